"""Prometheus metrics that are read at scrape time."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from app.db.iterations import IterationCounts, iteration_counts
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import IterationKind, Stage, Status
from app.engine.metrics import EngineFigures
from app.errors import DatabaseError

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0
"""Of the database query, so that a scrape does not hang."""


class StoredFigures:
    """Counts of iterations, cached for `fresh_seconds`."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database = database
        self._fresh_seconds = fresh_seconds
        self._counts: IterationCounts | None = None
        self._read_at = -fresh_seconds
        self._lock = asyncio.Lock()

    async def get(self) -> IterationCounts | None:
        """The counts, or None while the database is unavailable."""
        async with self._lock:
            if time.monotonic() - self._read_at >= self._fresh_seconds:
                self._counts = await self._read()
                self._read_at = time.monotonic()
            return self._counts

    async def _read(self) -> IterationCounts | None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._database.session() as session:
                return await iteration_counts(session)
        except (DatabaseError, TimeoutError) as error:
            log.warning("iterations cannot be counted: %s", str(error) or "no answer in time")
            return None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a server, as a Prometheus collector.

    Attributes:
        engines: vLLM's own metrics by engine; empty if the engine has none.
        iterations: None if the database is unavailable.
    """

    version: str
    ready: bool
    engine_ready: bool
    engine_asleep: bool
    engine_restarts: int
    engine_calls: int
    engines: Mapping[str, EngineFigures]
    requests_running: int
    requests_waiting: int
    background_calls: int
    versions: Versions | None
    searches_unwritten: int
    searches_lost: int
    iterations: IterationCounts | None

    def collect(self) -> Iterator[Metric]:
        """Every metric family, including those without a sample."""
        yield InfoMetricFamily("spar_build", "The running version.", {"version": self.version})
        yield _gauge("spar_ready", "1 if requests are served.", self.ready)
        yield from self._queue()
        yield from self._record()
        yield from self._checkpoints()
        yield from self._engine()
        yield from self._iterations()

    def _queue(self) -> Iterator[Metric]:
        requests = GaugeMetricFamily(
            "spar_queue_requests",
            "Requests that run or wait, background calls excluded.",
            labels=["state"],
        )
        requests.add_metric(["running"], self.requests_running)
        requests.add_metric(["waiting"], self.requests_waiting)
        yield requests
        yield _gauge("spar_background_calls", "Running background calls.", self.background_calls)

    def _record(self) -> Iterator[Metric]:
        yield _gauge(
            "spar_searches_unwritten",
            "Ended searches not yet in the database.",
            self.searches_unwritten,
        )
        yield _counter(
            "spar_searches_lost", "Searches that could not be stored.", self.searches_lost
        )

    def _checkpoints(self) -> Iterator[Metric]:
        served = GaugeMetricFamily(
            "spar_checkpoint_version",
            "The version of each role that new requests get; 0 is the base model.",
            labels=["role"],
        )
        if self.versions is not None:
            for role in Role:
                served.add_metric([role], self.versions.of(role))
        yield served

    def _engine(self) -> Iterator[Metric]:
        yield _gauge("spar_engine_ready", "1 if the engine accepts calls.", self.engine_ready)
        yield _gauge(
            "spar_engine_asleep", "1 while the engine sleeps for a training.", self.engine_asleep
        )
        yield _gauge(
            "spar_engine_calls", "Calls running or queued in the engine.", self.engine_calls
        )
        yield _counter(
            "spar_engine_restarts",
            "Restarts of the engine after it died.",
            self.engine_restarts,
        )
        for name, words in ENGINE_GAUGES.items():
            gauge = GaugeMetricFamily(f"spar_engine_{name}", words, labels=["engine"])
            for engine, figures in self.engines.items():
                gauge.add_metric([engine], getattr(figures, name))
            yield gauge
        for name, words in ENGINE_COUNTERS.items():
            counter = CounterMetricFamily(f"spar_engine_{name}", words, labels=["engine"])
            for engine, figures in self.engines.items():
                counter.add_metric([engine], getattr(figures, name))
            yield counter

    def _iterations(self) -> Iterator[Metric]:
        yield _gauge("spar_database_up", "1 if the database answered.", self.iterations is not None)
        iterations = GaugeMetricFamily(
            "spar_iterations", "Iterations in the database.", labels=["kind", "status"]
        )
        stages = GaugeMetricFamily(
            "spar_iteration_stages", "Stages of all iterations.", labels=["stage", "status"]
        )
        if self.iterations is not None:
            for kind in IterationKind:
                for status in Status:
                    count = self.iterations.iterations.get((kind, status), 0)
                    iterations.add_metric([kind, status], count)
            for stage in Stage:
                for status in Status:
                    count = self.iterations.stages.get((stage, status), 0)
                    stages.add_metric([stage, status], count)
        yield iterations
        yield stages


ENGINE_GAUGES = {
    "running_requests": "Requests in vLLM's running batch.",
    "waiting_requests": "Requests waiting in vLLM.",
    "kv_cache_usage_ratio": "Share of vLLM's KV cache in use.",
}
ENGINE_COUNTERS = {
    "prefix_cache_queried_tokens": "Prompt tokens looked up in vLLM's prefix cache.",
    "prefix_cache_hit_tokens": "Prompt tokens found in vLLM's prefix cache.",
    "prompt_tokens": "Prompt tokens processed by vLLM, cached ones included.",
    "generated_tokens": "Tokens generated by vLLM.",
    "preemptions": "Requests preempted by vLLM for lack of KV cache.",
}
"""Fields of `EngineFigures`; their metrics are named `spar_engine_...`."""


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=float(value))


def _counter(name: str, words: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, words, value=float(value))
