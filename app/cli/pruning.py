"""Forgetting old searches with a bar that shows how far it is."""

import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.auditing import record
from app.cli.console import err, say
from app.db.prune import Old, count, prune
from app.db.session import Database
from app.errors import InvalidRequest

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36500)


def age(text: str) -> timedelta:
    """`30d`, `12h`, `90m` or `2w`. Raises `InvalidRequest` for anything else."""
    match = re.fullmatch(r"(\d{1,7})([mhdw])", text)
    found = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if found is None or found > _LONGEST:
        raise InvalidRequest(f"{text!r} is no age: write 30d, 12h, 90m or 2w", field="older_than")
    return found


async def run(url: str, older_than: timedelta, *, keep_accepted: bool, dry_run: bool) -> None:
    """Forget the searches older than that, or only say how many there are.

    Raises `DatabaseError`; what was forgotten until then stays forgotten.
    """
    old = Old(datetime.now(UTC) - older_than, keep_accepted)
    database = Database(url)
    try:
        total = await count(database, old)
        if dry_run:
            say(f"Would be forgotten: {_searches(total)}.")
        else:
            async with database.session() as session:
                kept = ", accepted ones kept" if keep_accepted else ""
                await record(session, f"db prune {old.before:%Y-%m-%dT%H:%M:%SZ}{kept}")
            await _prune(database, old, total)
    finally:
        await database.close()


async def _prune(database: Database, old: Old, total: int) -> None:
    gone = 0
    columns = (TextColumn("forgetting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("", total=total)
        async with aclosing(prune(database, old)) as batches:
            async for batch in batches:
                gone += batch
                bar.update(task, completed=gone)
    say(f"Forgotten: {_searches(gone)}.")


def _searches(number: int) -> str:
    return "1 search" if number == 1 else f"{number:,} searches"
