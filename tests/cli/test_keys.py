"""`spar keys` on a database of its own, without a server."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from typer.testing import Result

from app.cli.client import Client
from app.db.session import Database
from app.domain.key import Scope
from app.keys.cache import KeyCache
from tests.cli.conftest import served
from tests.cli.replay import Run


@pytest.fixture
def keys(spar: Run, tmp_path: Path) -> Run:
    """Runs `spar keys ...` on an empty database."""
    spar("db", "upgrade", "--data", str(tmp_path))

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return spar("keys", *arguments, "--data", str(tmp_path), stdin=stdin)

    return run


def recognised(text: str, folder: Path) -> frozenset[Scope] | None:
    """The scopes that a server grants the key."""

    async def find() -> frozenset[Scope] | None:
        database = Database(f"sqlite+aiosqlite:///{folder / 'spar.db'}")
        ring = KeyCache(database)
        try:
            key = await ring.find(text)
            await ring.close()
        finally:
            await database.close()
        return None if key is None else key.scopes

    return asyncio.run(find())


def test_the_first_key_needs_no_server_and_is_shown_once(keys: Run, tmp_path: Path) -> None:
    made = keys("create", "ann", "--scope", "generate", "--scope", "judge")
    assert made.exit_code == 0
    text = made.stdout.strip()
    assert recognised(text, tmp_path) == frozenset({Scope.GENERATE, Scope.JUDGE})
    secret = text.split("_", 2)[2]
    assert secret not in keys("list").output + keys("audit").output
    with sqlite3.connect(tmp_path / "spar.db") as database:
        assert secret not in "\n".join(database.iterdump())


@pytest.mark.parametrize(
    "command", [["create", "ann", "--scope", "admin"], ["list"], ["revoke", "ann"], ["audit"]]
)
def test_without_a_database_nothing_is_created(
    spar: Run, tmp_path: Path, command: list[str]
) -> None:
    folder = tmp_path / "data"
    result = spar("keys", *command, "--data", str(folder))
    assert result.exit_code == 1
    assert f"there is no database {folder}/spar.db" in result.stderr
    assert not folder.exists()


def test_keys_and_the_audit_log_as_json(keys: Run) -> None:
    made = json.loads(keys("create", "ann", "--scope", "judge", "--json").stdout)
    (listed,) = json.loads(keys("list", "--json").stdout)
    assert (listed["id"], listed["name"], listed["scopes"]) == (made["id"], "ann", ["judge"])
    assert "digest" not in listed
    assert json.loads(keys("revoke", "ann", "--json").stdout) == {"revoked": [made["id"]]}
    actions = json.loads(keys("audit", "--json").stdout)
    assert [one["action"]["action"].split()[:2] for one in actions] == [
        ["keys", "revoke"],
        ["keys", "create"],
    ]


def test_a_revoked_key_is_gone(keys: Run, tmp_path: Path) -> None:
    text = keys("create", "ann", "--scope", "admin").stdout.strip()
    assert keys("revoke", "ann").exit_code == 0
    assert recognised(text, tmp_path) is None
    assert "ann" not in keys("list").stdout
    assert "revoked" in keys("list", "--revoked").stdout
    again = keys("revoke", "ann")
    assert again.exit_code == 1
    assert "no key 'ann'" in again.stderr


def test_limits_and_scopes_are_listed(keys: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    limits = ("--requests-per-minute", "60", "--tokens-per-minute", "9000", "--searches", "2")
    keys("create", "ann", "--scope", "generate", *limits)
    shown = " ".join(keys("list").stdout.split())
    for words in ("ann", "generate", "60 requests", "9,000", "2 at a", "never"):
        assert words in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "--scope", "admin"),
        ("a\nb", "--scope", "admin"),
        ("a" * 65, "--scope", "admin"),
        ("ann",),
        ("ann", "--scope", "everything"),
        ("ann", "--scope", "admin", "--searches", "0"),
    ],
)
def test_invalid_options_are_refused(keys: Run, arguments: tuple[str, ...]) -> None:
    assert keys("create", *arguments).exit_code in (1, 2)
    assert "ann" not in keys("list").stdout


def test_names_in_use_are_not_given_twice(keys: Run) -> None:
    assert keys("create", "ann", "--scope", "admin").exit_code == 0
    again = keys("create", "ann", "--scope", "judge")
    assert (again.exit_code, again.stdout) == (1, "")


def test_the_audit_log_has_the_creator_of_each_key(keys: Run) -> None:
    keys("create", "ann", "--scope", "judge")
    keys("revoke", "ann")
    shown = keys("audit").stdout
    assert shown.index("keys revoke") < shown.index("keys create")
    assert "command line" in shown


def test_a_public_server_without_keys_does_not_start(
    spar: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.maintain.resolve", lambda model: "no model is needed")
    refused = spar("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path))
    assert refused.exit_code == 1
    assert "spar keys create NAME" in " ".join(refused.stderr.split())


def test_the_command_line_shows_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = FastAPI(), []

    @app.get("/searches")
    def searches(request: Request) -> dict[str, str]:
        seen.append(request.headers.get("authorization"))
        return {}

    with served(app) as url:
        for value in ("spar_a_b", ""):
            monkeypatch.setenv("SPAR_API_KEY", value)
            with Client(url) as client:
                client.searches(1)
    assert seen == ["Bearer spar_a_b", None]
