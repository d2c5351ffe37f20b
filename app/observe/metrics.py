"""Prometheus metrics that are updated as requests are handled.

Metrics read at scrape time, such as the length of the queue, are in `app.observe.snapshot`.
"""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from app.domain.search import Mode, Usage
from app.engine.base import Completion
from app.search.base import SearchResult

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OTHER = "other"
"""Label of unknown routes and methods, so that clients cannot create time series."""

QUICK_TO_MINUTES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Buckets in seconds: from a health check to a search on a CPU."""
SWAP = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
NODES = (1, 2, 3, 5, 8, 13, 21, 34, 64)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        # Otherwise every counter has a second series with its creation time.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._make_http()
        self._make_searches()
        self._make_work()
        self._make_swaps()

    def _make_http(self) -> None:
        self.requests = Counter(
            "spar_http_requests",
            "Handled requests by route; the lane is foreground or background.",
            ("method", "route", "status", "lane"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "spar_http_request_duration_seconds",
            "From the arrival of a request to the last byte of its response.",
            ("route", "lane"),
            buckets=QUICK_TO_MINUTES,
            registry=self.registry,
        )

    def _make_searches(self) -> None:
        self.searches = Counter(
            "spar_searches",
            "Ended searches; stop reasons include failed and cancelled.",
            ("mode", "stop_reason"),
            registry=self.registry,
        )
        self.accepted = Counter(
            "spar_searches_accepted",
            "Searches whose best node is accepted.",
            ("mode",),
            registry=self.registry,
        )
        self.search_seconds = Histogram(
            "spar_search_duration_seconds",
            "From the arrival of a request to the end of its search, queueing included.",
            ("mode",),
            buckets=QUICK_TO_MINUTES,
            registry=self.registry,
        )
        self.search_nodes = Histogram(
            "spar_search_nodes",
            "Responses and refinements of one search.",
            ("mode",),
            buckets=NODES,
            registry=self.registry,
        )
        self.searches_running = Gauge(
            "spar_searches_running", "Running searches.", registry=self.registry
        )

    def _make_work(self) -> None:
        self.nodes = Counter(
            "spar_nodes", "Created nodes, by kind.", ("kind",), registry=self.registry
        )
        self.judgments = Counter("spar_judgments", "Judgments made.", registry=self.registry)
        self.votes = Counter("spar_votes", "Votes sampled.", registry=self.registry)
        self.tokens = Counter(
            "spar_tokens",
            "Prompt and completion tokens of handled requests.",
            ("source", "kind"),
            registry=self.registry,
        )

    def _make_swaps(self) -> None:
        self.swap_seconds = Histogram(
            "spar_swap_duration_seconds",
            "From reading a promotion to serving its versions.",
            buckets=SWAP,
            registry=self.registry,
        )
        self.swaps_failed = Counter(
            "spar_swaps_failed",
            "Promotions that could not be served; the previous versions stay active.",
            registry=self.registry,
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
