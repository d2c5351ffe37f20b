"""Checks of the configuration and the database."""

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.db.session import Database
from app.doctor import Level, setup
from app.domain.key import Key


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


def test_only_an_engine_on_a_gpu_can_sleep() -> None:
    assert setup.sleeping(wanted=False, on_cpu=True).level is Level.OK
    assert setup.sleeping(wanted=True, on_cpu=False).level is Level.OK
    finding = setup.sleeping(wanted=True, on_cpu=True)
    assert finding.level is Level.FAIL
    assert "SPAR_SLEEP_WHILE_TRAINING" in finding.fix


def test_traces_go_to_an_address() -> None:
    assert setup.traces(None).level is Level.OK
    assert setup.traces("http://localhost:4318").level is Level.OK
    assert setup.traces("localhost:4318").level is Level.FAIL


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    finding, state = setup.database(f"sqlite+aiosqlite:///{tmp_path}/spar.db")
    assert (finding.level, state) == (Level.OK, None)
    assert not list(tmp_path.iterdir())


def test_a_migrated_database_is_fine(migrated_file: Path) -> None:
    finding, state = setup.database(f"sqlite+aiosqlite:///{migrated_file}")
    assert finding.level is Level.OK
    assert state is not None
    assert state.missing == 0


def test_missing_migrations_are_counted(migrated_file: Path, tmp_path: Path) -> None:
    finding, _ = setup.database(_with_revision("0001", migrated_file, tmp_path))
    assert finding.level is Level.WARN
    assert "spar db upgrade" in finding.fix


def test_a_newer_database_requires_a_newer_program(migrated_file: Path, tmp_path: Path) -> None:
    finding, _ = setup.database(_with_revision("9999", migrated_file, tmp_path))
    assert finding.level is Level.FAIL
    assert "update spar" in finding.fix


def test_an_invalid_database_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "spar.db"
    file.write_text("this is a text, and a long one, for a database's header has a hundred bytes")
    for url in (f"sqlite+aiosqlite:///{file}", "nonsense", "nonsense://x"):
        finding, state = setup.database(url)
        assert (finding.level, state) == (Level.FAIL, None)
        assert "SPAR_DATABASE_URL" in finding.fix


def test_an_unreachable_database_server_is_reported() -> None:
    finding, _ = setup.database("postgresql+psycopg://nobody:secret@127.0.0.1:9/x")
    assert finding.level is Level.FAIL
    assert "secret" not in finding.words


def _with_revision(revision: str, migrated: Path, folder: Path) -> str:
    """The URL of a copy with this revision."""
    copy = shutil.copy(migrated, folder / "copy.db")
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    return f"sqlite+aiosqlite:///{copy}"
