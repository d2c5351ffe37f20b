"""The swap: a server follows the promotions in the database, and reports what it serves."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ulid import ULID

from app.checkpoints.registry import Checkpoint, Registry
from app.db.checkpoints import CheckpointRepository, Promotion, ServerRepository, ServerState
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.engine.base import Engine, is_asleep
from app.errors import CheckpointRefused, DatabaseError, NotFound, SparError
from app.serving.drain import DrainBarrier

log = logging.getLogger(__name__)


class ServerReport:
    """This server's row in the table of servers, from start to end."""

    def __init__(self, database: Database, url: str, seconds: float) -> None:
        """`url` is the server's address, `seconds` the longest interval between two reports."""
        now = datetime.now(UTC)
        self._database = database
        self._seconds = seconds
        self._state = ServerState(str(ULID()), url, Versions(), False, None, now, now)
        self._due = 0.0

    @property
    def id(self) -> str:
        """A new ULID at each start."""
        return self._state.id

    async def write(self, versions: Versions, *, ready: bool, error: str | None) -> None:
        """Update the row, if its content changed or the interval has passed.

        Raises:
            DatabaseError: the row cannot be written.
        """
        state = replace(self._state, versions=versions, ready=ready, error=error)
        now = asyncio.get_running_loop().time()
        if state == self._state and now < self._due:
            return
        async with self._database.session() as session:
            await ServerRepository(session).report(replace(state, seen_at=datetime.now(UTC)))
        self._state, self._due = state, now + self._seconds

    async def end(self) -> None:
        """Remove the row."""
        try:
            async with self._database.session() as session:
                await ServerRepository(session).remove(self.id)
        except DatabaseError as error:
            # Readers see by `seen_at` that the server has ended.
            log.warning("the row of this server cannot be removed: %s", error.message)


HISTORY = 100
"""Promotions read at each poll: the versions to keep loaded and to fall back to."""

OnSwap = Callable[[float | None], None]
"""Called with the seconds of a swap, from reading the promotion to serving it; None: it failed."""

ASLEEP = "asleep while a training has the GPU"

FAILURES_TO_LOG = 2
"""Consecutive failed polls that are logged; one alone may be a briefly locked database."""


@dataclass(frozen=True, slots=True)
class SwapTimes:
    """Intervals in seconds.

    poll: between reads of the promotions. retry: between tries after a transient error.
    report: between reports of what is served. idle: after which an unused version is unloaded.
    drain: how long running requests may finish before full weights are replaced.
    """

    poll: float = 0.5
    retry: float = 10.0
    report: float = 5.0
    idle: float = 300.0
    drain: float = 60.0


def ignore_swap(_: float | None) -> None:
    """For callers that do not count swaps."""


class Swapper:
    """Makes one server serve the newest promotion, and reports what it serves.

    Both roles' versions are loaded first and then activated together. Full weights, which replace
    those in memory, are loaded behind the drain barrier. If a version cannot be served, the server
    keeps its current versions and writes the reason into its row. While it serves none yet, it
    falls back to the newest earlier promotion that can be served, and finally to the base models.
    """

    def __init__(  # noqa: PLR0913 - called once, where the server is wired
        self,
        database: Database,
        registry: Registry,
        engine: Engine,
        *,
        drain: DrainBarrier,
        url: str,
        keep: int,
        times: SwapTimes = SwapTimes(),
        on_swap: OnSwap = ignore_swap,
    ) -> None:
        """`url` is the server's address; `keep` promoted versions per role stay loaded."""
        self._database = database
        self._registry = registry
        self._engine = engine
        self._drain = drain
        self._report = ServerReport(database, url, times.report)
        self._keep = keep
        self._times = times
        self._on_swap = on_swap
        self._task: asyncio.Task[None] | None = None
        self._tried: int | None = None
        self._retry_at: float | None = None
        self._error: str | None = None
        self._failures = 0

    @property
    def server_id(self) -> str:
        """This server's id in the table of servers."""
        return self._report.id

    def start(self) -> None:
        """Start to follow the promotions."""
        self._task = asyncio.create_task(self._watch(), name="swapper")

    async def close(self) -> None:
        """Stop, and remove this server's row."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._registry.close()
        await self._report.end()

    async def _watch(self) -> None:
        while True:
            try:
                await self._poll()
            except SparError as error:
                self._failed(error)
            except Exception:
                # A bug; the next promotion may succeed all the same.
                log.exception("following the promotions failed")
                await asyncio.sleep(self._times.retry)
            else:
                self._succeeded()
            await asyncio.sleep(self._times.poll)

    async def _poll(self) -> None:
        """One round.

        Raises:
            DatabaseError: the promotions cannot be read, or the row written.
            EngineUnavailable: a version cannot be unloaded.
        """
        async with self._database.session() as session:
            history = await CheckpointRepository(session).promotions(HISTORY)
        # The base models serve before the first promotion.
        history.append(Promotion())
        if self._due(history[0]):
            await self._follow(history)
        ready = self._registry.ready
        await self._report.write(
            self._registry.versions if ready else Versions(),
            ready=ready and self._engine.ready,
            error=self._error or (ASLEEP if is_asleep(self._engine) else None),
        )
        if self._engine.ready:
            await self._registry.retire(_newest(history, self._keep), self._times.idle)

    def _due(self, newest: Promotion) -> bool:
        if newest.id != self._tried:
            return True
        return self._retry_at is not None and _now() >= self._retry_at

    async def _follow(self, history: Sequence[Promotion]) -> None:
        """Serve the newest promotion, or its fallback while nothing is served yet."""
        newest = history[0]
        if newest.versions != Versions() and not self._engine.ready:
            return  # it is starting, or restarting: there is nothing to load adapters into
        self._tried, self._retry_at = newest.id, None
        reason: str | None = None
        for versions in dict.fromkeys(promotion.versions for promotion in history):
            if reason is not None and self._registry.intact:
                break
            try:
                await self._serve(versions)
            except (CheckpointRefused, NotFound) as error:
                reason = reason or error.message
            except SparError as error:
                pause = self._times.retry if self._registry.intact else self._times.poll
                self._retry_at = _now() + pause
                reason = reason or error.message
                break
            else:
                break
        self._note(newest, reason)

    async def _serve(self, versions: Versions) -> None:
        started, first = _now(), not self._registry.ready
        needed = await self._registry.needed(versions)
        if needed:
            async with self._drain.drained(self._times.drain):
                await self._registry.replace(needed, versions)
        else:
            for role in Role:
                await self._registry.prepare(role, versions.of(role))
            if self._registry.ready and versions == self._registry.versions:
                return
            self._registry.activate(versions)
        if not first:
            self._on_swap(_now() - started)
        log.info("now serving %s", _names(versions))

    def _note(self, newest: Promotion, reason: str | None) -> None:
        before = self._error
        self._error = reason and f"{_names(newest.versions)} cannot be served: {reason}"
        if self._error is not None and self._error != before:
            self._on_swap(None)
            log.error("%s", self._error)

    def _failed(self, error: SparError) -> None:
        self._failures += 1
        if self._failures == FAILURES_TO_LOG:
            log.error("promotions cannot be followed: %s", error.message)

    def _succeeded(self) -> None:
        if self._failures >= FAILURES_TO_LOG:
            log.warning("promotions can be followed again")
        self._failures = 0


def _newest(history: Iterable[Promotion], count: int) -> set[Checkpoint]:
    """The `count` versions of each role that were promoted last."""
    kept: set[Checkpoint] = set()
    for role in Role:
        versions = dict.fromkeys(promotion.versions.of(role) for promotion in history)
        kept |= {(role, version) for version in list(versions)[:count]}
    return kept


def _names(versions: Versions) -> str:
    return " and ".join(versions.served_name(role) for role in Role)


def _now() -> float:
    return asyncio.get_running_loop().time()
