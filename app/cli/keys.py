"""`spar keys`: who may use a server that asks for keys. Works on the database, without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.maintain import Data, DatabaseUrl
from app.domain.key import Key, KeyLimits, Scope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

Result = TypeVar("Result")
Limit = Annotated[int | None, typer.Option(min=1, max=10**9, show_default="no limit")]

keys = typer.Typer(no_args_is_help=True, help="Keys, and who did what with them.")


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for. Repeatable.")],
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    searches: Annotated[
        int | None,
        typer.Option(min=1, show_default="no limit", help="Searches and calls at the same time."),
    ] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from app.cli.console import err
    from app.errors import InvalidRequest
    from app.keys.cache import digest_of, make_key

    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise InvalidRequest("a key's name has 1 to 64 printable characters", field="name")
    made = make_key()
    limits = KeyLimits(requests_per_minute, tokens_per_minute, searches)
    key = Key(made.id, name, frozenset(scope), digest_of(made.secret), limits)

    async def add(session: "AsyncSession") -> bool:
        from app.cli.maintain import record
        from app.db.keys import KeyRepository

        added = await KeyRepository(session).add(key)
        if added:
            scopes = ",".join(sorted(key.scopes))
            await record(session, f"keys create {key.id} ({name}) {scopes}")
        return added

    if not _do(add, data=data, database_url=database_url):
        raise InvalidRequest(
            f"there is a key named {name!r} already; revoke it first", field="name"
        )
    err().print("This is the key. It is not shown again:")
    print(made.text)


@keys.command("list")
def list_keys(
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List the keys: names, scopes, limits, last use."""
    from app.cli.console import out
    from app.cli.draw_admin import draw_keys
    from app.db.keys import KeyRepository

    async def read(session: "AsyncSession") -> list[Key]:
        repository = KeyRepository(session)
        return await (repository.all() if revoked else repository.in_use())

    out().print(draw_keys(_do(read, data=data, database_url=database_url)))


@keys.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Revoke a key; running servers refuse it within seconds."""
    from app.cli.console import say
    from app.errors import NotFound

    async def end(session: "AsyncSession") -> list[str]:
        from app.cli.maintain import record
        from app.db.keys import KeyRepository

        revoked = await KeyRepository(session).revoke(name)
        for key_id in revoked:
            await record(session, f"keys revoke {key_id} ({name})")
        return revoked

    if not _do(end, data=data, database_url=database_url):
        raise NotFound(f"there is no key {name!r} in use")
    say("Revoked.")


@keys.command("audit")
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List what admins did: when, who, what, and how it ended."""
    from app.cli.console import out
    from app.cli.draw_admin import draw_audit
    from app.db.keys import AuditRepository, StoredAction

    async def read(session: "AsyncSession") -> list[StoredAction]:
        return (await AuditRepository(session).page(limit))[0]

    out().print(draw_audit(_do(read, data=data, database_url=database_url)))


def _do(work: "Callable[[AsyncSession], Awaitable[Result]]", **options: object) -> Result:
    """Do something in one transaction of the configured database, made first if need be."""
    from app.config.preflight import check_data_folder
    from app.config.settings import settings_from
    from app.db.session import Database
    from app.db.upgrade import upgrade

    settings = settings_from(**options)
    check_data_folder(settings.data)
    upgrade(settings.url)

    async def run() -> Result:
        database = Database(settings.url)
        try:
            async with database.session() as session:
                return await work(session)
        finally:
            await database.close()

    return asyncio.run(run())
