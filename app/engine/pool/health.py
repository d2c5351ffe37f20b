"""Watching one server: probes, what calls say of it, and whether it is used."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn, TypeVar

from app.concurrency import race
from app.engine.remote_protocol import RETRY_SECONDS
from app.errors import EngineUnavailable, SparError

FAILURES = 3
"""Failures in a row, of calls and probes together, after which a server is not used."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between probes: of a server that is up, and of one that is down, growing twofold."""

    up: float = 2.0
    first: float = 1.0
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one server.

    up: whether calls may go to it.
    failures: in a row, until now.
    pause: seconds it last had to stay away; 0 when a call has succeeded since.
    probe_at: when to probe, on the clock that the functions are given.
    """

    up: bool = False
    failures: int = 0
    pause: float = 0.0
    probe_at: float = 0.0


def call_succeeded(health: Health) -> Health:
    """A call came back, so earlier failures were not the end. Never brings a server up."""
    return replace(health, failures=0, pause=0.0) if health.up else health


def call_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """A call failed by the server's fault: it is probed at once, or stays away for a while."""
    if not health.up:
        return health
    failures = health.failures + 1
    if failures >= FAILURES:
        return _away(health, failures, now, pauses)
    return replace(health, failures=failures, probe_at=now)


def probe_succeeded(health: Health, now: float, pauses: Pauses) -> Health:
    """It answers and has what it needs: it is used."""
    failures = health.failures if health.up else 0  # calls may fail where probes succeed
    return Health(True, failures, health.pause, now + pauses.up)


def probe_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """It does not answer: what was up has some tries more, what is down waits longer."""
    failures = health.failures + 1
    if health.up and failures < FAILURES:
        return replace(health, failures=failures, probe_at=now + min(pauses.first, pauses.up))
    return _away(health, failures, now, pauses)


def lacking(health: Health, now: float) -> Health:
    """It may not have what it needs: not used until a probe at once has seen to that."""
    return replace(health, up=False, probe_at=now)


def _away(health: Health, failures: int, now: float, pauses: Pauses) -> Health:
    pause = min(2 * health.pause, pauses.longest) if health.pause else pauses.first
    return Health(False, failures, pause, now + pause)


log = logging.getLogger(__name__)

Result = TypeVar("Result")


class HealthMonitor:
    """Probes the server at `url` from `start` to `stop`.

    `examine` is the probe, which raises `SparError` where the server is not as it should be;
    `on_return` is called whenever it comes up.

    returns: how often it came up. trouble: why the last probe failed; empty if it did not.
    """

    def __init__(
        self,
        url: str,
        examine: Callable[[], Awaitable[None]],
        on_return: Callable[[], None],
        pauses: Pauses,
    ) -> None:
        self.returns = 0
        self.trouble = ""
        self._url = url
        self._examine = examine
        self._on_return = on_return
        self._pauses = pauses
        self._health = Health()
        self._nudged = asyncio.Event()
        self._silent = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the server is used."""
        return self._health.up

    def start(self) -> None:
        """Begin to probe."""
        self._watching = asyncio.create_task(self._watch(), name=f"watch {self._url}")

    async def stop(self) -> None:
        """Probe no more."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    def call_succeeded(self) -> None:
        """A call came back."""
        self._health = call_succeeded(self._health)

    def call_failed(self, error: Exception) -> None:
        """A call failed by the server's fault."""
        self._note(call_failed(self._health, _now(), self._pauses), error)

    def lacks(self, error: SparError) -> None:
        """It may not have what it needs: it is not used until a probe has seen to that."""
        self._note(lacking(self._health, _now()), error)

    async def unless_silent(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result, unless the server turns out to be gone meanwhile: `EngineUnavailable`."""
        return await race(work(), self._raise_when_silent())

    async def _raise_when_silent(self) -> NoReturn:
        await self._silent.wait()
        raise EngineUnavailable(f"{self._url} does not answer", retry_after=RETRY_SECONDS)

    async def _watch(self) -> None:
        while True:
            wait = self._health.probe_at - _now()
            if wait > 0:
                self._nudged.clear()
                # Not by wait_for: on Python 3.11 it forgets a cancellation that comes with a nudge.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._nudged.wait()
            else:
                await self._probe()

    async def _probe(self) -> None:
        try:
            await self._examine()
        except SparError as error:
            self.trouble = error.message
            self._note(probe_failed(self._health, _now(), self._pauses), error)
            if not self.up:
                self._silent.set()
        except Exception as error:
            # A mistake of ours must not end the watch: the server would never come back.
            log.exception("%s cannot be probed", self._url)
            self._note(probe_failed(self._health, _now(), self._pauses), error)
        else:
            self.trouble = ""
            self._silent.clear()
            self._note(probe_succeeded(self._health, _now(), self._pauses))

    def _note(self, found: Health, error: Exception | None = None) -> None:
        """Take over what is known now, and tell where that changes who is used."""
        was_up, self._health = self.up, found
        self._nudged.set()
        if was_up and not self.up:
            log.warning("%s is not used for now: %s", self._url, error)
        if self.up and not was_up:
            self.returns += 1
            self._on_return()


def _now() -> float:
    return asyncio.get_running_loop().time()
