"""Keys stop when they are revoked, without a query for each request."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key, Scope
from app.errors import DatabaseError
from app.keys.cache import KeyCache, digest_of, make_key


async def new_key(database: Database, name: str = "ann") -> str:
    made = make_key()
    async with database.session() as session:
        key = Key(made.id, name, frozenset({Scope.JUDGE}), digest_of(made.secret))
        assert await KeyRepository(session).add(key)
    return made.text


async def stored(database: Database) -> list[Key]:
    async with database.session() as session:
        return await KeyRepository(session).all()


async def test_a_key_is_recognised_with_what_it_may_do(database: Database) -> None:
    text = await new_key(database)
    key = await KeyCache(database).find(text)
    assert key is not None
    assert (key.name, key.scopes) == ("ann", frozenset({Scope.JUDGE}))
    assert text.rpartition("_")[2] not in repr(key)


async def test_a_revoked_key_stops_within_seconds(database: Database) -> None:
    text, key_cache = await new_key(database), KeyCache(database, fresh_seconds=0.05)
    assert await key_cache.find(text)
    await key_cache.close()
    async with database.session() as session:
        assert await KeyRepository(session).revoke("ann")
    await asyncio.sleep(0.06)
    assert await key_cache.find(text) is None


async def test_many_requests_are_one_query(database: Database) -> None:
    text, key_cache, queries = await new_key(database), KeyCache(database), []
    event.listen(
        database._engine.sync_engine, "before_cursor_execute", lambda *a: queries.append(a[2])
    )
    await asyncio.gather(*(key_cache.find(text) for _ in range(50)))
    await asyncio.gather(*(key_cache.find("spar_unknown_key") for _ in range(50)))
    await key_cache.close()
    assert [query.split()[0] for query in queries] == ["BEGIN", "SELECT", "BEGIN", "UPDATE"]


async def test_the_last_use_is_noted(database: Database) -> None:
    text, key_cache = await new_key(database), KeyCache(database)
    assert [key.used_at for key in await stored(database)] == [None]
    await key_cache.find(text)
    await key_cache.close()
    [key] = await stored(database)
    assert key.used_at is not None
    assert datetime.now(UTC) - key.used_at < timedelta(minutes=1)


async def test_keys_stay_valid_while_the_database_is_unavailable(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    text, key_cache = await new_key(database), KeyCache(database, fresh_seconds=0.0)
    assert await key_cache.find(text)
    await key_cache.close()
    broken = Database("sqlite+aiosqlite:////nowhere/at/all.db")
    key_cache._database = broken
    assert await key_cache.find(text)
    assert "read last stay valid" in caplog.text
    with pytest.raises(DatabaseError):
        await KeyCache(broken).find(text)
    await broken.close()


async def test_an_internal_key_is_in_no_table(database: Database) -> None:
    made = make_key()
    internal = Key(made.id, "worker", frozenset({Scope.JUDGE}), digest_of(made.secret))
    key_cache = KeyCache(database, internal)
    assert await key_cache.find(made.text) is internal
    assert await key_cache.find(f"spar_{made.id}_guess") is None


async def test_a_key_name_in_use_is_refused(database: Database) -> None:
    await new_key(database)
    async with database.session() as session:
        assert not await KeyRepository(session).add(Key("2", "ann", frozenset(), "d"))
        assert await KeyRepository(session).revoke("ann")
        assert not await KeyRepository(session).revoke("ann")
        assert await KeyRepository(session).add(Key("2", "ann", frozenset(), "d"))
