"""The migrations lead from any earlier database to the tables the code uses, and back."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from app.db.searches import SearchRepository, StoredSearch
from app.db.session import Database, open_engine
from app.db.tables import Base
from app.db.upgrade import SCRIPTS, alembic_config, upgrade
from app.domain.iteration import IterationOptions, TrainOptions
from app.domain.judgment import ConstraintResult, Judgment, Vote
from tests.helpers.databases import KINDS
from tests.helpers.postgres import PostgresServer

T = TypeVar("T")
FIRST = "0001"
FILLED = (Path(__file__).parent / "filled_0001.sql").read_text()
REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory(str(SCRIPTS)).walk_revisions()))
]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/test.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.new_database()
    yield server.url(name)
    server.drop_database(name)


def within(url: str, work: Callable[[Connection], T]) -> T:
    """Do something in one transaction of the kind migrations run in."""

    async def run() -> T:
        engine = open_engine(url, migrating=True)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def migrate(url: str, step: Callable[..., None], revision: str) -> None:
    within(url, lambda connection: step(alembic_config(connection), revision))


def tables(url: str) -> set[str]:
    return set(within(url, lambda connection: inspect(connection).get_table_names()))


def fill(connection: Connection) -> None:
    for statement in FILLED.split(";\n"):
        connection.exec_driver_sql(statement)


WHEN = {"created_at": datetime(2026, 3, 1, tzinfo=UTC)}
ITERATION = WHEN | {
    "id": "i",
    "kind": "self_play",
    "status": "cancelled",
    "preset": "tiny",
    "promote": "gate",
    "cancel_requested": False,
}
EVALUATION = WHEN | {
    "id": "e",
    "identity": "",
    "suite": "llmbar",
    "source": "",
    "digest": "",
    "actor_version": 0,
    "refiner_version": 0,
    "model": "",
    "seed": 0,
    "with_constraints": False,
    "total": 1,
    "program": "",
    "command": "",
    "seconds": 0,
}


def add(connection: Connection, table: str, **values: Any) -> None:
    """Insert a row into a table as it is at the moment, not as the code has it."""
    there = sa.Table(table, sa.MetaData(), autoload_with=connection)
    connection.execute(there.insert().values(**values))


def stored(url: str, table: str, column: str) -> Any:
    """The JSON in a column of a table's only row."""
    selected = sa.select(sa.column(column, sa.JSON)).select_from(sa.table(table))
    return within(url, lambda connection: connection.execute(selected).scalar_one())


def broken_references(connection: Connection) -> list[Any]:
    """PostgreSQL has none at any time; SQLite does not check while tables are rebuilt."""
    if connection.dialect.name == "postgresql":
        return []
    return list(connection.exec_driver_sql("PRAGMA foreign_key_check"))


def test_there_is_one_line_of_revisions() -> None:
    assert REVISIONS[0] == FIRST
    assert len(ScriptDirectory(str(SCRIPTS)).get_heads()) == 1


def test_an_empty_database_gets_the_tables_of_the_code(url: str) -> None:
    upgrade(url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))

    assert within(url, differences) == []


def test_constraints_have_the_names_of_the_code(url: str) -> None:
    upgrade(url)

    def names(connection: Connection) -> set[str | None]:
        inspector = inspect(connection)
        return {
            constraint["name"]
            for table in Base.metadata.tables
            for constraint in (
                inspector.get_pk_constraint(table),
                *inspector.get_foreign_keys(table),
                *inspector.get_unique_constraints(table),
            )
        }

    expected = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
    }
    assert within(url, names) == expected


def test_a_filled_database_keeps_what_it_holds(url: str) -> None:
    migrate(url, command.upgrade, FIRST)
    within(url, fill)
    upgrade(url)

    assert within(url, broken_references) == []
    search = asyncio.run(read(url, "01JZ0000000000000000000001"))
    assert search is not None
    assert (search.prompt, search.response, search.value) == ("Name a color.", "Blue.", 1.0)
    assert [node.text for node in search.nodes] == ["", "A dog.", "Blue."]
    assert search.nodes[2].judgment == Judgment(
        votes=(Vote(True, 0.75, "Good."), Vote(True, 0.5, "Fine.")),
        constraints=(ConstraintResult("regex", {"pattern": "B"}, True, "found"),),
        accept_threshold=0.5,
    )


def test_renamed_options_are_found_under_their_new_names(url: str) -> None:
    migrate(url, command.upgrade, FIRST)
    within(url, fill)
    told = {"search": {"gate": 0.5, "n": 2}, "sampling": {"stop": ['"gate": 1']}}

    def store(connection: Connection) -> None:
        connection.execute(
            sa.text("UPDATE searches SET options = :options").bindparams(
                sa.bindparam("options", told, sa.JSON())
            )
        )

    within(url, store)
    upgrade(url)
    search = asyncio.run(read(url, "01JZ0000000000000000000001"))
    assert search is not None
    assert search.options["search"] == {"accept_threshold": 0.5, "n": 2}
    assert search.options["sampling"] == {"stop": ['"gate": 1']}


def test_iterations_and_evaluations_of_an_older_version_are_read(url: str) -> None:
    """Their options, and the results of an unfinished iteration, under the current names."""
    migrate(url, command.upgrade, "0006")
    lora = {"method": "lora", "rank": 8, "alpha": 16, "targets": ["o_proj"], "warmup": 0}
    actor = {"learning_rate": 1e-4, **lora}
    options = {"data": {"gate": 0.25, "own_pairs": 3}, "actor": actor, "refiner": actor}
    judgment = {"votes": [], "constraints": [{"kwargs": {"schema": {"gate": 1}}}], "gate": 0.5}

    def store(connection: Connection) -> None:
        add(connection, "iterations", **ITERATION, options=options)
        result = [{"text": "Blue.", "judgment": judgment}]
        add(connection, "items", iteration_id="i", stage="judge", key="0", result=result)
        summary = {"figures": [{"name": "accuracy"}], "floors": {}}
        add(connection, "evaluations", **EVALUATION, options={}, summary=summary)

    within(url, store)
    upgrade(url)
    told = IterationOptions.model_validate(stored(url, "iterations", "options"))
    assert (told.data.accept_threshold, told.data.on_policy_pairs) == (0.25, 3)
    assert told.actor == TrainOptions(
        learning_rate=1e-4, lora_rank=8, lora_alpha=16, lora_targets=("o_proj",), warmup_ratio=0
    )
    [done] = stored(url, "items", "result")
    assert done["judgment"]["accept_threshold"] == 0.5
    assert done["judgment"]["constraints"] == judgment["constraints"]
    summary = stored(url, "evaluations", "summary")
    assert summary == {"metrics": [{"name": "accuracy"}], "floors": {}}
    migrate(url, command.downgrade, "0006")
    assert stored(url, "iterations", "options") == options
    assert stored(url, "items", "result")[0]["judgment"] == judgment


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # only SQLite rebuilds tables
def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(url: str) -> None:
    migrate(url, command.upgrade, FIRST)
    within(url, fill)

    def rebuild(connection: Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("searches", recreate="always"):
            pass

    within(url, rebuild)
    assert within(url, lambda connection: connection.scalar(sa.text("SELECT count(*) FROM votes")))


async def read(url: str, search_id: str) -> StoredSearch | None:
    database = Database(url)
    try:
        async with database.session() as session:
            return await SearchRepository(session).get(search_id)
    finally:
        await database.close()


def test_every_migration_can_be_reverted_and_repeated(url: str) -> None:
    shapes = [tables(url)]
    for revision in REVISIONS:
        migrate(url, command.upgrade, revision)
        shapes.append(tables(url))
    for revision, shape in zip(["base", *REVISIONS], shapes, strict=True):
        migrate(url, command.upgrade, "head")
        migrate(url, command.downgrade, revision)
        assert tables(url) - {"alembic_version"} == shape - {"alembic_version"}
    upgrade(url)
    assert tables(url) == {*Base.metadata.tables, "alembic_version"}
