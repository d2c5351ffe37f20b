"""Prometheus metrics that are updated as requests are handled.

Metrics read at scrape time, such as the length of the queue, are in `app.api.server_metrics`.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from app.db.iterations import IterationCounts, iteration_counts
from app.db.session import Database
from app.domain.search import Mode, Usage
from app.engine.base import Completion
from app.errors import DatabaseError
from app.search.base import SearchResult

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OTHER = "other"
"""Label of unknown routes and methods, so that clients cannot create time series."""

QUICK_TO_MINUTES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Buckets in seconds: from a health check to a search on a CPU."""
SWAP = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
FRESH_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0
"""Of the database query, so that a scrape does not hang."""
NODES = (1, 2, 3, 5, 8, 13, 21, 34, 64)


class Metrics:
    """The metrics of one process, in a separate registry."""

    def __init__(self) -> None:
        # Otherwise every counter has a second series with its creation time.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.requests = counter(
            "spar_http_requests",
            "Handled requests by route; the lane is foreground or background.",
            ("method", "route", "status", "lane"),
        )
        self.request_seconds = histogram(
            "spar_http_request_duration_seconds",
            "From the arrival of a request to the last byte of its response.",
            ("route", "lane"),
            buckets=QUICK_TO_MINUTES,
        )
        self.searches = counter(
            "spar_searches",
            "Ended searches; stop reasons include failed and cancelled.",
            ("mode", "stop_reason"),
        )
        self.accepted = counter(
            "spar_searches_accepted",
            "Searches whose best node is accepted.",
            ("mode",),
        )
        self.search_seconds = histogram(
            "spar_search_duration_seconds",
            "From the arrival of a request to the end of its search, queueing included.",
            ("mode",),
            buckets=QUICK_TO_MINUTES,
        )
        self.search_nodes = histogram(
            "spar_search_nodes",
            "Responses and refinements of one search.",
            ("mode",),
            buckets=NODES,
        )
        self.searches_running = Gauge(
            "spar_searches_running", "Running searches.", registry=self.registry
        )
        self.nodes = counter("spar_nodes", "Created nodes, by kind.", ("kind",))
        self.judgments = counter("spar_judgments", "Judgments made.")
        self.votes = counter("spar_votes", "Votes sampled.")
        self.tokens = counter(
            "spar_tokens",
            "Prompt and completion tokens of handled requests.",
            ("source", "kind"),
        )
        self.swap_seconds = histogram(
            "spar_swap_duration_seconds",
            "From reading a promotion to serving its versions.",
            buckets=SWAP,
        )
        self.swaps_failed = counter(
            "spar_swaps_failed",
            "Promotions that could not be served; the previous versions stay active.",
        )

    @property
    def generated_tokens(self) -> int:
        """Completion tokens of handled requests of every source."""
        samples = (sample for family in self.tokens.collect() for sample in family.samples)
        return int(sum(one.value for one in samples if one.labels.get("kind") == "completion"))

    def request(
        self, method: str, route: str | None, status: int, seconds: float, *, background: bool
    ) -> None:
        """Count a handled request; `route` is its template, None for an unknown path."""
        method = method if method in METHODS else OTHER
        route, lane = route or OTHER, "background" if background else "foreground"
        self.requests.labels(method, route, str(status), lane).inc()
        self.request_seconds.labels(route, lane).observe(seconds)

    def search(self, result: SearchResult) -> None:
        """Count a search that ended with a result."""
        mode, usage = result.request.mode, result.usage
        self.searches.labels(mode, result.stop_reason).inc()
        if result.best is not None and result.best.accepted:
            self.accepted.labels(mode).inc()
        self.search_seconds.labels(mode).observe(result.timing_ms / 1000)
        self.search_nodes.labels(mode).observe(usage.nodes)
        self.nodes.labels("response").inc(usage.responses)
        self.nodes.labels("refinement").inc(usage.refinements)
        self.usage("search", usage)

    def search_without_result(self, mode: Mode, reason: str) -> None:
        """Count a search that failed or was cancelled."""
        self.searches.labels(mode, reason).inc()

    def usage(self, source: str, usage: Usage) -> None:
        """Count the usage of a search or a judgment."""
        self.judgments.inc(usage.judgments)
        self.votes.inc(usage.votes)
        self._tokens(source, usage.prompt_tokens, usage.completion_tokens)

    def chat(self, completions: Iterable[Completion], *, background: bool) -> None:
        """Count chat completions without a search."""
        source = "background" if background else "chat"
        for completion in completions:
            self._tokens(source, completion.prompt_tokens, completion.completion_tokens)

    def swap(self, seconds: float | None) -> None:
        """Record the seconds of a swap, or a failed one (None)."""
        if seconds is None:
            self.swaps_failed.inc()
        else:
            self.swap_seconds.observe(seconds)

    def _tokens(self, source: str, prompt: int, completion: int) -> None:
        self.tokens.labels(source, "prompt").inc(prompt)
        self.tokens.labels(source, "completion").inc(completion)


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
