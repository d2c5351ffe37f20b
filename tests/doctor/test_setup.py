"""Checks of the configuration: fine, and each way in which it is not."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from app import __version__
from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.db.session import Database
from app.doctor import setup
from app.doctor.finding import Level
from app.domain.key import Key

HEALTHY: dict[str, Any] = {"engine_ready": True, "version": __version__}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The smallest folder that counts as a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "llama", "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(1, np.float32)}, folder / "model.safetensors")
    return folder


def test_a_model_is_a_whole_folder_or_a_name(model: Path) -> None:
    assert setup.model(str(model)).level is Level.OK
    assert setup.model("owner/name").level is Level.WARN
    assert setup.model(str(model / "no")).level is Level.FAIL
    (model / "tokenizer.json").unlink()
    assert setup.model(str(model)).level is Level.FAIL


def test_weights_take_what_their_number_type_takes(model: Path) -> None:
    save_file({"weight": np.zeros((1024, 1024), np.float16)}, model / "model.safetensors")
    assert setup.weights_gib(model, "bfloat16") == 2 / 1024
    assert setup.weights_gib(model, "float32") == 4 / 1024


def public(file: Path, **values: Any) -> Settings:
    return Settings(
        _env_file=None, host="0.0.0.0", database_url=f"sqlite+aiosqlite:///{file}", **values
    )


def test_a_key_is_there_where_it_is_needed(migrated_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "spar.db"
    file.write_bytes(migrated_file.read_bytes())
    missing = setup.keys(public(file), ready=True)
    assert (missing.level, "spar keys create" in missing.fix) == (Level.FAIL, True)
    assert setup.keys(public(file), ready=False).level is Level.WARN
    assert setup.keys(public(file, keys="off"), ready=True).level is Level.WARN
    assert setup.keys(Settings(_env_file=None), ready=False).level is Level.OK
    asyncio.run(make_key(f"sqlite+aiosqlite:///{file}"))
    assert setup.keys(public(file), ready=True).level is Level.OK


async def make_key(url: str) -> None:
    database = Database(url)
    async with database.session() as session:
        await KeyRepository(session).add(Key("id", "ann", frozenset(), "digest"))
    await database.close()


def test_the_context_is_one_the_model_knows(model: Path, tmp_path: Path) -> None:
    assert setup.context(model, 2048).level is Level.OK
    finding = setup.context(model, 4096)
    assert finding.level is Level.FAIL
    assert "SPAR_CONTEXT_TOKENS=2048" in finding.fix
    assert setup.context(tmp_path, 4096).level is Level.OK


def test_adapters_fit_the_engine(tmp_path: Path) -> None:
    assert setup.adapters(tmp_path, rank=16, count=0).level is Level.OK
    for name, rank in (("actor@1", 16), ("actor@2", 32)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "adapter_config.json").write_text("{")
    assert setup.adapters(tmp_path, rank=32, count=4).level is Level.OK
    finding = setup.adapters(tmp_path, rank=16, count=4)
    assert finding.level is Level.FAIL
    assert "actor@2" in finding.words
    assert "SPAR_ADAPTER_RANK=32" in finding.fix
    assert setup.adapters(tmp_path, rank=32, count=0).level is Level.FAIL


def test_a_schedule_wants_a_worker() -> None:
    assert setup.schedule(None, worker=False).level is Level.OK
    assert setup.schedule("0 3 * * *", worker=True).level is Level.OK
    assert setup.schedule("0 3 * * *", worker=False).level is Level.WARN


@pytest.mark.parametrize(
    ("content", "level"),
    [
        ("distributed_type: FSDP\nnum_processes: 2\n", Level.OK),
        ("just words", Level.FAIL),
        ("a: [", Level.FAIL),
        (None, Level.FAIL),
    ],
)
def test_the_file_for_training_is_one(tmp_path: Path, content: str | None, level: Level) -> None:
    file = tmp_path / "accelerate.yaml"
    if content is not None:
        file.write_text(content)
    assert setup.accelerate(file).level is level
    assert setup.accelerate(None).level is Level.OK


def test_labelled_pairs_are_a_file(tmp_path: Path) -> None:
    assert setup.labelled_pairs(None).level is Level.OK
    assert setup.labelled_pairs(Path(__file__)).level is Level.OK
    assert setup.labelled_pairs(tmp_path / "no").level is Level.FAIL


def test_a_taken_port_is_fine_only_if_it_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        taken = setup.port("127.0.0.1", number, None)
        assert taken.level is Level.FAIL
        assert "another port" in taken.fix
        assert setup.port("127.0.0.1", number, HEALTHY).level is Level.OK
    assert setup.port("127.0.0.1", 0, None).level is Level.OK


@pytest.mark.parametrize(
    "trouble",
    [
        {"engine_ready": False},
        {"version": "0.0.1"},
        {"searches_lost": 2},
        {"engine_restarts": 1},
    ],
)
def test_a_server_s_troubles_are_told(trouble: dict[str, Any]) -> None:
    assert setup.server(None).level is Level.OK
    assert setup.server(HEALTHY).level is Level.OK
    finding = setup.server(HEALTHY | trouble)
    assert finding.level is Level.WARN
    assert finding.fix


def test_a_server_whose_engine_sleeps_is_well() -> None:
    finding = setup.server(HEALTHY | {"engine_ready": False, "engine_asleep": True})
    assert finding.level is Level.OK
    assert "sleeps" in finding.words


def test_only_an_engine_on_a_gpu_can_sleep() -> None:
    assert setup.sleeping(wanted=False, on_cpu=True).level is Level.OK
    assert setup.sleeping(wanted=True, on_cpu=False).level is Level.OK
    finding = setup.sleeping(wanted=True, on_cpu=True)
    assert finding.level is Level.FAIL
    assert "SPAR_SLEEP_WHILE_TRAINING" in finding.fix


def test_a_worker_needs_its_server() -> None:
    assert setup.worker(None, None).level is Level.OK
    assert setup.worker("http://x", HEALTHY).level is Level.OK
    assert setup.worker("http://x", None).level is Level.FAIL


def test_nobody_answers_where_nobody_is() -> None:
    assert setup.ask_health("http://127.0.0.1:9") is None
    assert setup.ask_health("nonsense") is None


def test_traces_go_to_an_address() -> None:
    assert setup.traces(None).level is Level.OK
    assert setup.traces("http://localhost:4318").level is Level.OK
    assert setup.traces("localhost:4318").level is Level.FAIL
