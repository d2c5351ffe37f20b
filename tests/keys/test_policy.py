"""When keys are needed, and when a server may start."""

from pathlib import Path

import pytest

from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key
from app.errors import ConfigurationError
from app.keys.cache import proves, read_key
from app.keys.policy import check_keys, internal_key, keys_needed


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def test_keys_are_needed_where_others_can_reach_the_server() -> None:
    assert not keys_needed(settings())
    assert keys_needed(settings(host="0.0.0.0"))
    assert keys_needed(settings(keys="required"))
    assert not keys_needed(settings(host="0.0.0.0", keys="off"))


async def test_a_server_that_needs_keys_and_has_none_does_not_start(
    database: Database, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    public = settings(host="0.0.0.0", database_url=url)
    with pytest.raises(ConfigurationError, match="spar keys create"):
        await check_keys(public)
    await check_keys(settings(host="0.0.0.0", keys="off", database_url=url))
    await check_keys(settings(database_url=url))
    async with database.session() as session:
        await KeyRepository(session).add(Key("id", "ann", frozenset(), "digest"))
    await check_keys(public)
    async with database.session() as session:
        await KeyRepository(session).revoke("id")
    with pytest.raises(ConfigurationError):
        await check_keys(public)


def test_the_worker_beside_a_server_gets_a_key_of_its_own() -> None:
    theirs, key = internal_key(settings(host="0.0.0.0"))
    assert key is not None
    assert theirs.api_key is not None
    shown = read_key(theirs.api_key)
    assert shown is not None
    assert shown.id == key.id
    assert proves(shown.secret, key.digest)
    assert internal_key(settings(host="0.0.0.0"))[0].api_key != theirs.api_key


def test_a_worker_needs_no_key_if_none_is_required() -> None:
    assert internal_key(settings()) == (settings(), None)


def test_a_worker_of_another_server_sends_the_configured_key() -> None:
    given = settings(host="0.0.0.0", worker_url="http://other:8000", api_key="spar_a_b")
    assert internal_key(given) == (given, None)


def test_settings_do_not_show_the_key() -> None:
    assert "spar_a_b" not in repr(settings(api_key="spar_a_b"))
