"""The whole server over a scripted engine, with given settings, and its keys."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key, KeyLimits, Scope
from app.keys.cache import digest_of, make_key
from tests.helpers.whole import client_of, whole_server

BODIES: dict[str, dict[str, str]] = {
    "/generate": {"prompt": "Name a river.", "mode": "greedy"},
    "/admin/iterations": {},
}


@dataclass(frozen=True)
class Open:
    """A running server."""

    app: FastAPI
    client: httpx.AsyncClient
    database: Database

    async def key(self, *scopes: Scope, name: str = "ann", limits: KeyLimits | None = None) -> str:
        """A new key, as its header."""
        made = make_key()
        key = Key(made.id, name, frozenset(scopes), digest_of(made.secret), limits or KeyLimits())
        async with self.database.session() as session:
            assert await KeyRepository(session).add(key)
        return f"Bearer {made.text}"

    async def ask(
        self, path: str, key: str | None = None, *, method: str = "POST", **more: str
    ) -> httpx.Response:
        """One request, by default of a search."""
        body = BODIES.get(path)
        headers = more if key is None else {"authorization": key, **more}
        return await self.client.request(method, path, json=body, headers=headers)


Serve = Callable[..., AbstractAsyncContextManager[Open]]


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The test's own database."""
    opened = Database(f"sqlite+aiosqlite:///{copy(migrated_file, tmp_path / 'test.db')}")
    yield opened
    await opened.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: Database) -> Serve:
    """Runs a server with these settings; a key that is new works at once."""

    servers = count()

    @asynccontextmanager
    async def serving(**settings: Any) -> AsyncIterator[Open]:
        file, folder = tmp_path / "test.db", tmp_path / str(next(servers))
        async with whole_server(monkeypatch, folder, file, **settings) as app:
            app.state.authorizer.key_cache.fresh_seconds = 0.0
            async with client_of(app) as client:
                yield Open(app, client, database)

    return serving
