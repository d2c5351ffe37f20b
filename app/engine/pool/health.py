"""Health checks of one server: active probes, call results, and circuit breaking."""

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
"""Consecutive failures of calls and probes after which a server is down."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between probes: `up` while up; while down from `first`, doubling, to `longest`."""

    up: float = 2.0
    first: float = 1.0
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """Health state of one server.

    up: whether calls are routed to it.
    failures: consecutive failures.
    pause: last backoff in seconds; 0 once a call has succeeded since.
    probe_at: time of the next probe, on the clock of the functions' `now`.
    """

    up: bool = False
    failures: int = 0
    pause: float = 0.0
    probe_at: float = 0.0


def call_succeeded(health: Health) -> Health:
    """State after a successful call, which resets the failures but never marks a server up."""
    return replace(health, failures=0, pause=0.0) if health.up else health


def call_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """State after a call that the server failed: probed at once, or down."""
    if not health.up:
        return health
    failures = health.failures + 1
    if failures >= FAILURES:
        return _down(health, failures, now, pauses)
    return replace(health, failures=failures, probe_at=now)


def probe_succeeded(health: Health, now: float, pauses: Pauses) -> Health:
    """State after a successful probe: up."""
    failures = health.failures if health.up else 0  # calls may fail where probes succeed
    return Health(True, failures, health.pause, now + pauses.up)


def probe_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """State after a failed probe: retried soon while up, else down with backoff."""
    failures = health.failures + 1
    if health.up and failures < FAILURES:
        return replace(health, failures=failures, probe_at=now + min(pauses.first, pauses.up))
    return _down(health, failures, now, pauses)


def lacking(health: Health, now: float) -> Health:
    """State of a server that may miss an adapter: down until an immediate probe succeeds."""
    return replace(health, up=False, probe_at=now)


def _down(health: Health, failures: int, now: float, pauses: Pauses) -> Health:
    pause = min(2 * health.pause, pauses.longest) if health.pause else pauses.first
    return Health(False, failures, pause, now + pause)


log = logging.getLogger(__name__)

Result = TypeVar("Result")


class HealthMonitor:
    """Probes the server at `url` from `start` to `stop`.

    `examine` is the probe, which raises `SparError` on failure; `on_return` is called on every
    transition to up.

    returns: number of transitions to up. trouble: error of the last probe; empty on success.
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
        self._changed = asyncio.Event()
        self._silent = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether calls are routed to the server."""
        return self._health.up

    def start(self) -> None:
        """Start probing."""
        self._watching = asyncio.create_task(self._watch(), name=f"watch {self._url}")

    async def stop(self) -> None:
        """Stop probing."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    def call_succeeded(self) -> None:
        """Record a successful call."""
        self._health = call_succeeded(self._health)

    def call_failed(self, error: Exception) -> None:
        """Record a call that the server failed."""
        self._note(call_failed(self._health, _now(), self._pauses), error)

    def lacks(self, error: SparError) -> None:
        """Record that it may miss an adapter: it is down until a probe succeeds."""
        self._note(lacking(self._health, _now()), error)

    async def unless_silent(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, which is cancelled when the server goes down.

        Raises:
            EngineUnavailable: the server went down.
        """
        return await race(work(), self._raise_when_silent())

    async def _raise_when_silent(self) -> NoReturn:
        await self._silent.wait()
        raise EngineUnavailable(f"{self._url} does not respond", retry_after=RETRY_SECONDS)

    async def _watch(self) -> None:
        while True:
            wait = self._health.probe_at - _now()
            if wait > 0:
                self._changed.clear()
                # Not wait_for: on Python 3.11 it can swallow a cancellation that races the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
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
            # A bug must not end the probe loop: the server would stay down for ever.
            log.exception("probing %s failed", self._url)
            self._note(probe_failed(self._health, _now(), self._pauses), error)
        else:
            self.trouble = ""
            self._silent.clear()
            self._note(probe_succeeded(self._health, _now(), self._pauses))

    def _note(self, found: Health, error: Exception | None = None) -> None:
        """Set the health state; log transitions to down, report transitions to up."""
        was_up, self._health = self.up, found
        self._changed.set()
        if was_up and not self.up:
            log.warning("%s is down: %s", self._url, error)
        if self.up and not was_up:
            self.returns += 1
            self._on_return()


def _now() -> float:
    return asyncio.get_running_loop().time()
