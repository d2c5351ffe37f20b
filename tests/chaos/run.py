"""One run: load, faults, calm, and what is left."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx

from app.db.session import Database
from tests.chaos.asking import mark
from tests.chaos.evidence import (
    Evidence,
    iterated,
    kept_adapters,
    lost_in,
    stored_searches,
)
from tests.chaos.faults import Faults
from tests.chaos.load import Load
from tests.chaos.outcome import Version, read_version
from tests.chaos.report import Report
from tests.chaos.scenario import Kind, scenario
from tests.chaos.scripted_server import LOADED
from tests.chaos.system import System, system
from tests.chaos.watching import Watcher

CALM_SECONDS = 8.0
"""How long the load goes on when the last fault is over; the first half is for recovering."""
ANSWER_SECONDS = {True: 30.0, False: 180.0}
"""How long an answer may take, scripted or not, with everything that may happen meanwhile."""
WRITE_SECONDS = 60.0
ITERATE_SECONDS = {True: 90.0, False: 900.0}
SETTLE_SECONDS = 15.0


async def run_chaos(
    folder: Path,
    seed: int,
    seconds: float,
    *,
    scripted: bool = True,
    on_postgresql: bool = False,
    kinds: Collection[Kind] = tuple(Kind),
    clients: int = 8,
    pause: float = 2.0,
) -> Report:
    """Run a system for so many seconds under load and faults, then look at what is left."""
    async with system(folder, scripted=scripted, on_postgresql=on_postgresql) as made:
        load = Load(made.url, seed, clients, ANSWER_SECONDS[scripted])
        possible = sorted(made.kinds & set(kinds))
        faults = Faults(made, lambda: load.now, Random(seed))
        watcher = Watcher(made, lambda: load.now)
        watching = asyncio.create_task(watcher.run())
        try:
            calm_from = await _damage(load, faults, seed, seconds, possible, pause)
            evidence = await _gather(made, load, faults, watcher, watching, calm_from)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return Report(
        seed=seed,
        seconds=load.now,
        system=_named(scripted, on_postgresql),
        injected=faults.injected,
        missed=faults.missed,
        uncovered=sorted(set(Kind) - set(possible)),
        evidence=evidence,
    )


def _named(scripted: bool, on_postgresql: bool) -> str:
    engine = "scripted engine" if scripted else "real engine"
    return f"{engine}, {'PostgreSQL' if on_postgresql else 'SQLite'}"


async def _damage(
    load: Load, faults: Faults, seed: int, seconds: float, kinds: list[Kind], pause: float
) -> float:
    """Load and faults together, then load alone; the moment from which all must work again."""
    loading = asyncio.create_task(load.run())
    try:
        await faults.run(scenario(seed, seconds, kinds, pause=pause))
        calm_from = load.now + CALM_SECONDS / 2
        load.stop_at(load.now + CALM_SECONDS)
        await loading
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return calm_from


async def _gather(
    made: System,
    load: Load,
    faults: Faults,
    watcher: Watcher,
    watching: "asyncio.Task[None]",
    calm_from: float,
) -> Evidence:
    await watcher.until_iterations_ended(ITERATE_SECONDS[made.scripted])
    await watcher.until_written(WRITE_SECONDS)
    database = Database(made.database_url)
    try:
        kept = await kept_adapters(database)
        adapters = await _settled_adapters(made, kept)
        serving = await _serving(made)
        watching.cancel()
        await made.close()
        return Evidence(
            outcomes=tuple(load.outcomes),
            calm_from=calm_from,
            ends=tuple(faults.ends),
            quiet=tuple(watcher.quiet),
            stored=await stored_searches(database, mark(load.seed)),
            lost_ids=lost_in(made.server.log),
            iterations=await iterated(database, watcher.states),
            orphans=watcher.orphans(),
            memory=watcher.memory(),
            adapters=adapters,
            kept=kept,
            serving=serving,
        )
    finally:
        await database.close()


async def _settled_adapters(made: System, kept: frozenset[str]) -> frozenset[str] | None:
    """What the scripted engine has loaded, when it has had the time to unload; a real one cannot
    be asked.
    """
    if not made.scripted:
        return None
    found = frozenset[str]()
    async with made.client() as client:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    with suppress(httpx.HTTPError):
                        found = frozenset((await client.get(LOADED)).json()["adapters"])
                        if found <= kept:
                            break
                    await asyncio.sleep(0.2)
    return found


async def _serving(made: System) -> tuple[Version, Version] | None:
    """What is promoted and what the server serves, when it has had the time to follow."""
    found: tuple[Version, Version] | None = None
    async with made.client() as client:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while found is None or found[0] != found[1]:
                    answer = (await client.get("/admin/serving")).json()
                    if answer["servers"]:
                        newest = max(answer["servers"], key=lambda one: str(one["started_at"]))
                        found = read_version(answer["promoted"]), read_version(newest)
                    await asyncio.sleep(0.2)
    return found
