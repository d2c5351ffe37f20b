import json
import socket
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.config.settings import Settings
from tests.cli.replay import Run


class Started(ModuleType):
    """Replaces the server and records its arguments."""

    def __init__(self) -> None:
        super().__init__("app.main")
        self.calls: list[tuple[Settings, str]] = []

    def serve(self, settings: Settings, model: str) -> None:
        self.calls.append((settings, model))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    module = Started()
    monkeypatch.setitem(sys.modules, "app.main", module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The smallest folder that counts as a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(1, np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_the_server_is_started_with_what_was_given(
    spar: Run, started: Started, model: Path, tmp_path: Path, free_port: str
) -> None:
    data = tmp_path / "some" / "folder"
    result = spar("serve", "--port", free_port, "--data", str(data), "--model", str(model))
    assert result.exit_code == 0, result.stderr
    [(settings, path)] = started.calls
    assert (settings.port, settings.data, path) == (int(free_port), data, str(model))
    assert settings.model_fields_set >= {"port", "data", "model"}
    assert (data / "spar.db").exists()
    assert f"Model: {model}" in result.stdout
    assert "Starting" in result.stdout


def test_the_dtype_and_its_reason_are_printed_at_start(
    spar: Run, started: Started, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAR_DATA", str(tmp_path / "data"))
    result = spar("serve", "--port", "0", "--model", str(model))
    assert "Number type: " in result.stdout
    monkeypatch.setenv("SPAR_DTYPE", "float32")
    result = spar("serve", "--port", "0", "--model", str(model))
    assert "Number type: float32 (set by SPAR_DTYPE)" in result.stdout


def test_options_win_over_the_environment_and_the_rest_stays(
    spar: Run, started: Started, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAR_PORT", "1")
    monkeypatch.setenv("SPAR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPAR_MAX_NODES", "17")
    spar("serve", "--port", "0", "--model", str(model))
    [(settings, _)] = started.calls
    assert (settings.port, settings.data, settings.max_nodes) == (0, tmp_path / "data", 17)


def test_a_port_in_use_is_an_error_before_any_preparation(
    spar: Run, started: Started, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = spar("serve", "--port", str(port), "--data", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Cannot listen on ")
    assert started.calls == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model", "not a usable model folder"),
        ("--port", "--port is set to 70000: Input should be less than or equal to 65535"),
        ("--data", "cannot be written"),
    ],
)
def test_a_configuration_error_is_one_line_without_a_traceback(
    spar: Run, started: Started, tmp_path: Path, option: str, message: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    values = {"--model": str(tmp_path), "--port": "70000", "--data": str(file)}
    data = [] if option == "--data" else ["--data", str(tmp_path / "data")]
    result = spar("serve", "--port", "0", *data, option, values[option])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert started.calls == []


def test_a_bad_environment_variable_is_named(
    spar: Run, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAR_PORT", "eighty")
    result = spar("serve")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: SPAR_PORT is set to 'eighty': ")
