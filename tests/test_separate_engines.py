"""The whole server with an engine for each role: full weights replace those of one of them."""

import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call
from app.errors import EngineError
from tests.helpers.swapping import World, until
from tests.helpers.whole import client_of, whole_server


async def test_full_weights_of_one_role_are_promoted_served_and_rolled_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migrated_file: Path
) -> None:
    file = Path(shutil.copy(migrated_file, tmp_path / "spar.db"))
    database = Database(f"sqlite+aiosqlite:///{file}")
    async with (
        whole_server(monkeypatch, tmp_path, file, separate_engines=True) as app,
        client_of(app) as client,
    ):
        await World(database, tmp_path / "data", tmp_path / "base").add_full(Role.ACTOR, 1)
        assert (await client.post("/admin/checkpoints/actor/1/promote")).status_code == 200
        await until(lambda: app.state.services.registry.versions == Versions(1, 0))
        search = {"prompt": "Name a river.", "mode": "iterative"}
        answer = (await client.post("/generate", json=search)).json()
        assert answer["checkpoint"] == {"actor": 1, "refiner": 0}
        with pytest.raises(EngineError, match="actor@0"):
            await say(app, "actor@0")
        await say(app, "refiner@0")

        assert (await client.post("/admin/checkpoints/actor/rollback")).status_code == 200
        await until(lambda: app.state.services.registry.versions == Versions())
        await say(app, "actor@0")
    await database.close()


async def say(app: FastAPI, name: str) -> None:
    """Have the engine of a role say something."""
    call = Call((Message("user", "hello"),), name, Sampling(0.0, 1.0, 4))
    await app.state.services.engine.complete(call)
