"""`spar keys`: API keys and the audit log. Works on the database, without a server."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli import options
from app.cli.maintain import Data, DatabaseUrl
from app.domain.key import Key, KeyLimits, Scope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.db.session import Database

Result = TypeVar("Result")
Limit = Annotated[int | None, typer.Option(min=1, max=10**9, show_default="no limit")]

keys = typer.Typer(no_args_is_help=True, help="API keys, and the audit log.")


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Owner or purpose of the key.")],
    scope: Annotated[list[Scope], typer.Option(help="What the key permits. Repeatable.")],
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    searches: Annotated[
        int | None,
        typer.Option(min=1, show_default="no limit", help="Concurrent searches and calls."),
    ] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """Create a key and print it once: only its hash is stored."""
    from app.cli.console import err, print_json
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

    if not _in_session(add, data, database_url):
        raise InvalidRequest(
            f"there is a key named {name!r} already; revoke it first", field="name"
        )
    if as_json:
        print_json({"id": key.id, "name": name, "key": made.text})
    else:
        err().print("This is the key. It is not shown again:")
        print(made.text)


@keys.command("list")
def list_keys(
    revoked: Annotated[bool, typer.Option("--revoked", help="Include revoked keys.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """List the keys: names, scopes, limits, last use."""
    from pydantic import TypeAdapter

    from app.cli.console import out, print_json
    from app.cli.draw_admin import draw_keys
    from app.db.keys import KeyRepository

    async def read(session: "AsyncSession") -> list[Key]:
        repository = KeyRepository(session)
        return await (repository.all() if revoked else repository.in_use())

    found = _in_session(read, data, database_url)
    if as_json:
        adapter = TypeAdapter(Key)
        print_json([adapter.dump_python(key, mode="json", exclude={"digest"}) for key in found])
    else:
        out().print(draw_keys(found))


@keys.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """Revoke a key; running servers reject it within seconds."""
    from app.cli.console import print_json, say
    from app.errors import NotFound

    async def end(session: "AsyncSession") -> list[str]:
        from app.cli.maintain import record
        from app.db.keys import KeyRepository

        revoked = await KeyRepository(session).revoke(name)
        for key_id in revoked:
            await record(session, f"keys revoke {key_id} ({name})")
        return revoked

    revoked = _in_session(end, data, database_url)
    if not revoked:
        raise NotFound(f"there is no key {name!r} in use")
    if as_json:
        print_json({"revoked": revoked})
    else:
        say("Revoked.")


@keys.command("audit")
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    data: Data = None,
    database_url: DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """List admin actions: when, who, what, and the outcome."""
    from pydantic import TypeAdapter

    from app.cli.console import out, print_json
    from app.cli.draw_admin import draw_audit
    from app.db.keys import AuditRepository, StoredAction

    async def read(session: "AsyncSession") -> list[StoredAction]:
        return (await AuditRepository(session).page(limit))[0]

    actions = _in_session(read, data, database_url)
    if as_json:
        print_json(TypeAdapter(list[StoredAction]).dump_python(actions, mode="json"))
    else:
        out().print(draw_audit(actions))


def _in_session(
    work: "Callable[[AsyncSession], Awaitable[Result]]",
    data: Path | None,
    database_url: str | None,
) -> Result:
    """Run `work` in one transaction of the configured database, migrated first if need be.

    Raises:
        NotFound: There is no database; none is created.
    """
    from sqlalchemy import make_url

    from app.cli.maintain import within
    from app.config.settings import settings_from
    from app.errors import NotFound

    settings = settings_from(data=data, database_url=database_url)
    url = make_url(settings.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise NotFound(
            f"there is no database {url.database}: name the server's data folder with --data"
            " (SPAR_DATA), or create a database with `spar db upgrade`"
        )

    async def run(database: "Database") -> Result:
        async with database.session() as session:
            return await work(session)

    return within(settings.url, run)
