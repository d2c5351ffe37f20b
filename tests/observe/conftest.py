"""The whole server over a scripted engine, and a client of it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.helpers.whole import client_of, whole_server


@pytest.fixture
async def app(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migrated_file: Path
) -> AsyncIterator[FastAPI]:
    """The server."""
    database = Path(shutil.copy(migrated_file, tmp_path / "spar.db"))
    async with whole_server(monkeypatch, tmp_path, database) as running:
        yield running


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server."""
    async with client_of(app) as opened:
        yield opened
