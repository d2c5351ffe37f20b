"""The recorder writes all searches, and reports those it cannot write."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select

from app.db.prompts import PromptRepository
from app.db.recorder import Recorder
from app.db.searches import SearchRepository
from app.db.session import Database
from app.db.tables import NodeRow, SearchRow
from app.domain.iteration import Source
from app.errors import DatabaseError
from tests.db.building import search_id, searched
from tests.db.conftest import FullDisk
from tests.helpers.databases import on_sqlite

LOGGER = logging.getLogger("app.db.recorder")
NEVER = 3600.0

Lock = sqlite3.Connection | psycopg.Connection[Any]


@pytest.fixture
def lock(url: str) -> Iterator[Lock]:
    """Another process's connection, keeping writers away until it rolls back."""
    other: Lock
    if url.startswith("sqlite"):
        other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
    else:
        other = psycopg.connect(url)
        other.execute("LOCK TABLE searches IN SHARE MODE")
    yield other
    other.close()


async def stored(database: Database) -> list[str]:
    async with database.session() as session:
        return list(await session.scalars(select(SearchRow.id).order_by(SearchRow.id)))


async def test_many_searches_at_once_are_all_written(database: Database) -> None:
    recorder = Recorder(database)

    async def answer(number: int) -> None:
        recorder.submit(searched(search_id(number)))
        await recorder.wait_for(search_id(number))
        async with database.session() as session:
            assert await SearchRepository(session).get(search_id(number)) is not None

    await asyncio.gather(*(answer(number) for number in range(40)))
    assert await stored(database) == [search_id(number) for number in range(40)]
    assert (recorder.pending, recorder.lost) == (0, 0)


async def test_submitting_does_not_wait_for_the_write(database: Database, lock: Lock) -> None:
    recorder = Recorder(database)
    recorder.submit(searched(search_id(1)))
    assert recorder.pending == 1
    assert await stored(database) == []
    lock.rollback()
    await recorder.close(NEVER)
    assert recorder.pending == 0
    assert await stored(database) == [search_id(1)]


async def test_waiting_for_an_unknown_search_returns(database: Database) -> None:
    await Recorder(database).wait_for(search_id(1))


async def test_closing_writes_everything_pending(database: Database) -> None:
    recorder = Recorder(database)
    for number in range(40):
        recorder.submit(searched(search_id(number)))
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(number) for number in range(40)]
    assert (recorder.pending, recorder.lost) == (0, 0)


async def test_after_closing_nothing_is_accepted(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database)
    await recorder.close(NEVER)
    recorder.submit(searched(search_id(1)))
    assert (recorder.pending, recorder.lost) == (0, 1)
    assert search_id(1) in caplog.text


async def test_cancelling_a_waiter_does_not_cancel_the_write(database: Database) -> None:
    recorder = Recorder(database)
    recorder.submit(searched(search_id(1)))
    waiting = asyncio.create_task(recorder.wait_for(search_id(1)))
    await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(1)]


async def test_a_temporary_lock_is_retried(impatient: Database, lock: Lock) -> None:
    recorder = Recorder(impatient, retry_delays=[0] * 3)
    with on_warning(lock.rollback):
        recorder.submit(searched(search_id(1)))
        recorder.submit(searched(search_id(2)))
        await recorder.close(NEVER)
    assert await stored(impatient) == [search_id(1), search_id(2)]
    assert recorder.lost == 0


async def test_a_permanent_lock_loses_the_search_after_the_last_attempt(
    impatient: Database, lock: Lock, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(impatient, retry_delays=[0, 0])
    recorder.submit(searched(search_id(1)))
    await recorder.close(NEVER)
    assert recorder.lost == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert search_id(1) in caplog.records[-1].getMessage()
    assert "locked" in caplog.records[-1].getMessage()


async def test_closing_stops_at_its_timeout_and_counts_lost_searches(
    impatient: Database, lock: Lock, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(impatient, retry_delays=[NEVER])
    recorder.submit(searched(search_id(1)))
    recorder.submit(searched(search_id(2)))
    await recorder.close(0.01)
    assert (recorder.pending, recorder.lost) == (0, 2)
    assert search_id(1) in caplog.text
    assert search_id(2) in caplog.text


async def test_waiting_for_a_search_raises_when_a_write_fails(
    impatient: Database, lock: Lock
) -> None:
    recorder = Recorder(impatient, retry_delays=[0.01] * 1000)
    recorder.submit(searched(search_id(1)))
    recorder.submit(searched(search_id(2)))
    for number in (2, 1):
        with pytest.raises(DatabaseError, match="locked") as caught:
            await recorder.wait_for(search_id(number))
        assert caught.value.retry_after == 1
    lock.rollback()
    await recorder.close(NEVER)
    assert await stored(impatient) == [search_id(1), search_id(2)]
    await recorder.wait_for(search_id(2))


async def test_a_search_that_is_stored_already_is_not_lost(database: Database) -> None:
    recorder = Recorder(database)
    for _ in range(2):
        recorder.submit(searched(search_id(1)))
    await recorder.close(NEVER)
    assert (await stored(database), recorder.lost) == ([search_id(1)], 0)


@on_sqlite
async def test_searches_on_a_full_disk_are_written_when_space_is_free(
    database: Database, full_disk: FullDisk
) -> None:
    recorder = Recorder(database, retry_delays=[0] * 3)
    with on_warning(full_disk.make_room):
        recorder.submit(searched(search_id(1), text="long " * 100_000))
        await recorder.close(NEVER)
    assert (await stored(database), recorder.lost) == ([search_id(1)], 0)


@on_sqlite
@pytest.mark.usefixtures("full_disk")
async def test_a_permanently_full_disk_loses_one_search_but_not_the_next(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, retry_delays=[0])
    recorder.submit(searched(search_id(1), text="long " * 100_000))
    recorder.submit(searched(search_id(2)))
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(2)]
    assert recorder.lost == 1
    later, lost = (record.getMessage() for record in caplog.records)
    assert f"search {search_id(1)} will be written later" in later
    assert f"search {search_id(1)} was answered but not stored" in lost
    assert "disk is full" in lost
    async with database.session() as session:
        orphans = select(func.count()).where(NodeRow.search_id == search_id(1))
        assert await session.scalar(orphans) == 0


async def test_a_result_that_cannot_be_converted_does_not_block_the_next(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = object()
    recorder = Recorder(database)
    recorder.submit(searched(search_id(1), text=broken))
    recorder.submit(searched(search_id(2)))
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(2)]
    assert recorder.lost == 1
    assert "Traceback" in caplog.text


async def test_memory_is_bounded(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(database, capacity=2)
    for number in range(3):
        recorder.submit(searched(search_id(number)))
    assert (recorder.pending, recorder.lost) == (2, 1)
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(0), search_id(1)]
    assert search_id(2) in caplog.text


async def pooled(database: Database) -> list[tuple[str, Source]]:
    async with database.session() as session:
        page, _ = await PromptRepository(session).page(10)
        return [(one.prompt.instruction, one.source) for one in page]


async def test_prompts_join_the_pool_only_if_enabled(database: Database) -> None:
    recorder = Recorder(database)
    recorder.submit(searched(search_id(1)))
    await recorder.close(NEVER)
    assert await pooled(database) == []


async def test_a_repeated_prompt_is_stored_once(database: Database) -> None:
    recorder = Recorder(database, keep_prompts=True)
    for number, instruction in enumerate(["Name a color.", "Name a bird.", "Name a color."]):
        recorder.submit(searched(search_id(number), instruction=instruction))
    await recorder.close(NEVER)
    assert len(await stored(database)) == 3
    assert sorted(await pooled(database)) == [
        ("Name a bird.", Source.RECORDED),
        ("Name a color.", Source.RECORDED),
    ]


async def test_prompts_of_background_searches_are_not_added(database: Database) -> None:
    recorder = Recorder(database, keep_prompts=True)
    result = searched(search_id(1))
    recorder.submit(replace(result, request=replace(result.request, priority=10)))
    await recorder.close(NEVER)
    assert await stored(database) == [search_id(1)]
    assert await pooled(database) == []


class on_warning(logging.Handler):
    """Runs a function at every warning of the recorder, when a write has failed."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._action = action

    def emit(self, _: logging.LogRecord) -> None:
        self._action()

    def __enter__(self) -> None:
        LOGGER.addHandler(self)

    def __exit__(self, *_: object) -> None:
        LOGGER.removeHandler(self)
