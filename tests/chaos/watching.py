"""Looks at a running system all the time: what is written, what grows, what was started."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import httpx
import psutil

from tests.chaos.evidence import Memory, Quiet
from tests.chaos.process import alive, command
from tests.chaos.system import System
from tests.chaos.waiting import until

EVERY_SECONDS = 0.5
WARM_SECONDS = 10.0
"""From a server's start until its memory counts as warm."""
ENDINGS = frozenset({"succeeded", "failed", "cancelled"})
TOPICS = ("rivers", "bread", "the moon", "bicycles", "winter", "tea", "old maps", "bees")


@dataclass
class Watcher:
    """Notes what it sees; `now` tells the seconds of the run."""

    system: System
    now: Callable[[], float]
    keep_iterating: bool = True
    quiet: list[Quiet] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)
    """The states of each iteration, in the order they were seen in."""
    _looks: int = 0
    _families: set[psutil.Process] = field(default_factory=set)
    _memory: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    async def run(self) -> None:
        """QuickVerdict until cancelled."""
        async with self.system.client() as client:
            while True:
                self._look_at_processes()
                with suppress(httpx.HTTPError, KeyError, ValueError):
                    await self._look_at_health(client)
                    await self._look_at_iterations(client)
                await asyncio.sleep(EVERY_SECONDS)

    async def until_written(self, seconds: float) -> bool:
        """Whether every search is written within so many seconds."""
        since = self.now()
        return await until(lambda: any(quiet.at > since for quiet in self.quiet), seconds)

    async def until_iterations_ended(self, seconds: float) -> bool:
        """Whether every iteration ends within so many seconds; none is queued any more."""
        self.keep_iterating = False
        # The last one may have been queued by a look that was under way.
        enough = self._looks + 2
        return await until(lambda: self._looks >= enough and self._all_ended(), seconds)

    def _all_ended(self) -> bool:
        return all(states[-1] in ENDINGS for states in self.states.values())

    def memory(self) -> list[Memory]:
        """How much each server process needed, of those that lived long enough to say."""
        found = []
        for start, samples in self._memory.items():
            warm = [(at, size) for at, size in samples if at - samples[0][0] >= WARM_SECONDS]
            if len(warm) >= 8:
                sizes = [size for _, size in warm]
                quarter = len(sizes) // 4
                seconds = warm[-1][0] - warm[0][0]
                first, last = int(median(sizes[:quarter])), int(median(sizes[-quarter:]))
                found.append(Memory(start, seconds, first, last))
        return found

    def orphans(self) -> list[str]:
        """What runs although everything was ended: what was seen, or works on the data folder."""
        here = str(self.system.data)
        by_folder = {one for one in psutil.process_iter() if here in command(one)}
        return [
            f"process {one.pid}: {command(one)[:200]}"
            for one in self._families | by_folder
            if alive(one)
        ]

    def _look_at_processes(self) -> None:
        for part in self.system.parts:
            # Whoever has a fault at the moment is started by that.
            if not part.busy.locked():
                part.revive()
            if part.running:
                with suppress(psutil.NoSuchProcess):
                    self._families |= {psutil.Process(part.pid), *part.family()}
        server = self.system.server
        with suppress(psutil.Error):
            if server.running:
                size = psutil.Process(server.pid).memory_info().rss
                self._memory.setdefault(server.starts, []).append((self.now(), size))

    async def _look_at_health(self, client: httpx.AsyncClient) -> None:
        asked, start = self.now(), self.system.server.starts
        health = (await client.get("/healthz")).json()
        if health["searches_unwritten"] == 0 and start == self.system.server.starts:
            self.quiet.append(Quiet(asked, start))

    async def _look_at_iterations(self, client: httpx.AsyncClient) -> None:
        found = (await client.get("/admin/iterations", params={"limit": 100})).json()["iterations"]
        for one in found:
            states = self.states.setdefault(one["id"], [])
            if not states or states[-1] != one["status"]:
                states.append(one["status"])
        self._looks += 1
        if self.keep_iterating and all(one["status"] in ENDINGS for one in found):
            await _queue(client)


async def _queue(client: httpx.AsyncClient) -> None:
    """Queue a small iteration; most of its prompts have no constraints, so the votes decide."""
    prompts = [{"prompt": f"Tell me something about {topic}."} for topic in TOPICS]
    await client.post("/admin/prompts", json={"prompts": prompts})
    body: dict[str, Any] = {"preset": "micro", "promote": "always"}
    await client.post("/admin/iterations", json=body)
