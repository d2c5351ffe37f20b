"""`spar doctor` on this machine."""

import json
import socket
from pathlib import Path

from tests.cli.replay import Run
from tests.helpers.checkpoint_files import make_base

CHECKS = (
    *(
        "python",
        "vllm",
        "torch",
        "gpu",
        "cores",
        "dtype",
        "model",
        "memory",
        "engine",
        "data",
        "database",
    ),
    *("clock", "keys", "adapters", "port", "server", "worker", "schedule", "training", "sleep"),
    *("pairs", "traces"),
)


def test_every_check_has_a_line_and_trouble_an_exit_code(spar: Run, tmp_path: Path) -> None:
    model = make_base(tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        options = ("--model", str(model), "--data", str(tmp_path / "data"), "--port", port)
        result = spar("doctor", *options)
        as_json = json.loads(spar("doctor", "--json", *options).stdout)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == [*CHECKS]
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "fail"}
    failed = {line.split()[1] for line in lines if line.startswith("fail")}
    assert failed >= {"model", "port"}
    assert all(" -> " in line for line in lines if not line.startswith("ok"))
    assert [finding["check"] for finding in as_json] == [*CHECKS]
    assert not (tmp_path / "data").exists()


def test_a_setting_that_cannot_be_is_named(spar: Run) -> None:
    result = spar("doctor", "--port", "70000")
    assert result.exit_code == 1
    assert "--port is set to 70000" in result.stderr
