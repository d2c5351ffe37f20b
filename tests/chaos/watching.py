"""Monitors a running system: unwritten searches, memory, processes, iterations."""

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
"""Seconds after a server's start from which its memory is measured."""
EXIT_SECONDS = 10.0
"""Seconds that processes have to exit after their parents."""
ENDINGS = frozenset({"succeeded", "failed", "cancelled"})
TOPICS = ("rivers", "bread", "the moon", "bicycles", "winter", "tea", "old maps", "bees")


@dataclass
class Watcher:
    """Records observations; `now` returns the seconds since the run began."""

    system: System
    now: Callable[[], float]
    keep_iterating: bool = True
    quiet: list[Quiet] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)
    """The observed states of each iteration, in order."""
    _polls: int = 0
    _families: set[psutil.Process] = field(default_factory=set)
    _memory: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with self.system.client() as client:
            while True:
                self._poll_processes()
                with suppress(httpx.HTTPError, KeyError, ValueError):
                    await self._poll_health(client)
                    await self._poll_iterations(client)
                await asyncio.sleep(EVERY_SECONDS)

    async def until_written(self, seconds: float) -> bool:
        """Wait until every search is written; False after `seconds`."""
        since = self.now()
        return await until(lambda: any(quiet.at > since for quiet in self.quiet), seconds)

    async def until_iterations_ended(self, seconds: float) -> bool:
        """Queue no more iterations and wait until all have ended; False after `seconds`."""
        self.keep_iterating = False
        # A poll in progress may still have queued one.
        enough = self._polls + 2
        return await until(lambda: self._polls >= enough and self._all_ended(), seconds)

    def _all_ended(self) -> bool:
        return all(states[-1] in ENDINGS for states in self.states.values())

    def memory(self) -> list[Memory]:
        """Memory of each server process that ran long enough."""
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

    async def orphans(self) -> list[str]:
        """Processes still running `EXIT_SECONDS` after the end.

        A helper process such as Python's resource tracker ends after its parent, not with it.
        """
        await until(lambda: not self._still_running(), EXIT_SECONDS)
        return self._still_running()

    def _still_running(self) -> list[str]:
        """Processes of the run, by observation or by data folder."""
        here = str(self.system.data)
        by_folder = {one for one in psutil.process_iter() if here in command(one)}
        return [
            f"process {one.pid}: {command(one)[:200]}"
            for one in self._families | by_folder
            if alive(one)
        ]

    def _poll_processes(self) -> None:
        for part in self.system.parts:
            # A part with a fault in progress is restarted by the fault.
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

    async def _poll_health(self, client: httpx.AsyncClient) -> None:
        asked, start = self.now(), self.system.server.starts
        health = (await client.get("/healthz")).json()
        if health["searches_unwritten"] == 0 and start == self.system.server.starts:
            self.quiet.append(Quiet(asked, start))

    async def _poll_iterations(self, client: httpx.AsyncClient) -> None:
        found = (await client.get("/admin/iterations", params={"limit": 100})).json()["iterations"]
        for one in found:
            states = self.states.setdefault(one["id"], [])
            if not states or states[-1] != one["status"]:
                states.append(one["status"])
        self._polls += 1
        if self.keep_iterating and all(one["status"] in ENDINGS for one in found):
            await _queue(client)


async def _queue(client: httpx.AsyncClient) -> None:
    """Queue a small iteration; most of its prompts have no constraints, so the votes decide."""
    prompts = [{"prompt": f"Tell me something about {topic}."} for topic in TOPICS]
    await client.post("/admin/prompts", json={"prompts": prompts})
    body: dict[str, Any] = {"preset": "micro", "promote": "always"}
    await client.post("/admin/iterations", json=body)
