"""One run: load, faults, recovery, evidence."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from tests.chaos.scenario import Fault, Kind, scenario
from tests.chaos.scripted_server import LOADED
from tests.chaos.system import System, system
from tests.chaos.watching import Watcher

CALM_SECONDS = 8.0
"""Duration of the load after the last fault; the first half is for recovery."""
ANSWER_SECONDS = {True: 30.0, False: 180.0}
"""Response timeout, by whether the engine is scripted."""
WRITE_SECONDS = 60.0
ITERATE_SECONDS = {True: 90.0, False: 900.0}
SETTLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Parameters of a run.

    kinds: faults to inject, if the system supports them. clients: number of concurrent clients.
    pause: mean seconds between faults. iterate: whether self-play iterations run continuously.
    """

    seed: int
    seconds: float
    scripted: bool = True
    on_postgresql: bool = False
    kinds: Collection[Kind] = tuple(Kind)
    clients: int = 8
    pause: float = 2.0
    iterate: bool = True

    @property
    def system(self) -> str:
        """Description of the system."""
        engine = "scripted engine" if self.scripted else "real engine"
        return f"{engine}, {'PostgreSQL' if self.on_postgresql else 'SQLite'}"


async def run_chaos(folder: Path, plan: Plan) -> Report:
    """Run a system in `folder` under load and faults, and report."""
    async with system(folder, scripted=plan.scripted, on_postgresql=plan.on_postgresql) as made:
        load = Load(made.url, plan.seed, plan.clients, ANSWER_SECONDS[plan.scripted])
        possible = sorted(made.kinds & set(plan.kinds))
        faults = Faults(made, lambda: load.now, Random(plan.seed))
        watcher = Watcher(made, lambda: load.now, keep_iterating=plan.iterate)
        watching = asyncio.create_task(watcher.run())
        try:
            planned = scenario(plan.seed, plan.seconds, possible, pause=plan.pause)
            calm_from = await _damage(load, faults, planned)
            evidence = await _gather(made, load, faults, watcher, watching, calm_from)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return Report(
        seed=plan.seed,
        seconds=load.now,
        system=plan.system,
        injected=faults.injected,
        missed=faults.missed,
        uncovered=sorted(set(Kind) - set(possible)),
        evidence=evidence,
    )


async def _damage(load: Load, faults: Faults, planned: Sequence[Fault]) -> float:
    """Run load with faults, then load alone; returns the time by which it must have recovered."""
    loading = asyncio.create_task(load.run())
    try:
        await faults.run(planned)
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
            crashes=[crash for part in made.parts for crash in part.crashes],
            orphans=await watcher.orphans(),
            memory=watcher.memory(),
            adapters=adapters,
            kept=kept,
            serving=serving,
        )
    finally:
        await database.close()


async def _settled_adapters(made: System, kept: frozenset[str]) -> frozenset[str] | None:
    """The scripted engine's adapters after a time to unload; None for a real engine."""
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
    """The promoted and the active versions, after a time to swap."""
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
