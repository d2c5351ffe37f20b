"""The growth of a database: empty, filled, and what each costs."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from app.db.upgrade import upgrade
from benchmarks.filling import Size, fill
from benchmarks.growth import measure, plans
from benchmarks.progress import progress_bar
from benchmarks.report import Row


async def measure_growth(
    url: str | None, size: Size, rounds: int, console: Console
) -> dict[str, list[Row]]:
    """What queries cost before and after a database is filled, by title; prints their plans.

    Raises `ConfigurationError` where the database cannot be upgraded.
    """
    with tempfile.TemporaryDirectory() as folder:
        used = url or f"sqlite+aiosqlite:///{Path(folder) / 'spar.db'}"
        await asyncio.to_thread(upgrade, used)
        # A little, so that there is something to find.
        async for _ in fill(used, Size(rounds, 10 * rounds), seed=1):
            pass
        before = await measure(used, rounds)
        with progress_bar(console, size.searches) as advance:
            async for done in fill(used, size):
                advance("searches", done)
        for name, lines in (await plans(used)).items():
            console.print(f"searches {name}: {lines[0].strip()}", markup=False, highlight=False)
            for line in lines[1:]:
                console.print(f"  {line.strip()}", markup=False, highlight=False)
        after = await measure(used, rounds)
    title = f"{size.searches:,} searches, {size.nodes:,} nodes"
    return {"Nearly empty": before, title: after}
