"""Observes searches: always by metrics, and by traces if configured."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import ConfigurationError
from app.observe.logs import note_search
from app.observe.metrics import Metrics
from app.search.base import (
    OnEvent,
    OnPhase,
    SearchEvent,
    SearchRequest,
    SearchResult,
    ignore_phase,
)

if TYPE_CHECKING:
    from app.observe.tracing import SearchTrace, Tracing


class Observer:
    """Observes searches; other code updates `metrics` directly."""

    def __init__(self, tracing: "Tracing | None" = None) -> None:
        self.metrics = Metrics()
        self._tracing = tracing

    @contextmanager
    def search(self, request: SearchRequest) -> Iterator["WatchedSearch"]:
        """Observe a search while the block runs."""
        note_search(request.id)
        self.metrics.searches_running.inc()
        try:
            if self._tracing is None:
                yield WatchedSearch(self.metrics, None)
            else:
                with self._tracing.search(request) as trace:
                    yield WatchedSearch(self.metrics, trace)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            reason = "cancelled" if cancelled else "failed"
            self.metrics.search_without_result(request.mode, reason)
            raise
        finally:
            self.metrics.searches_running.dec()

    def close(self) -> None:
        """Flush pending traces; blocks meanwhile."""
        if self._tracing is not None:
            self._tracing.close()


class WatchedSearch:
    """One observed search."""

    def __init__(self, metrics: Metrics, trace: "SearchTrace | None") -> None:
        self._metrics = metrics
        self._trace = trace

    @property
    def on_phase(self) -> OnPhase:
        """For `run_search`."""
        return ignore_phase if self._trace is None else self._trace.on_phase

    def wrap(self, on_event: OnEvent) -> OnEvent:
        """For `run_search`: calls `on_event` and updates the trace."""
        trace = self._trace
        if trace is None:
            return on_event

        def both(event: SearchEvent) -> None:
            trace.on_event(event)
            on_event(event)

        return both

    def ended(self, result: SearchResult) -> None:
        """Record the result of the search."""
        self._metrics.search(result)
        if self._trace is not None:
            self._trace.ended(result)


def open_observer(otlp_endpoint: str | None) -> Observer:
    """An observer that sends traces to this endpoint, if any.

    Raises:
        ConfigurationError: the packages for traces are not installed.
    """
    if not otlp_endpoint:
        return Observer()
    try:
        from app.observe.tracing import open_tracing
    except ImportError as error:
        raise ConfigurationError(
            f"SPAR_OTLP_ENDPOINT is set, but {error.name} is not installed: pip install"
            " 'spar[tracing]', or unset it.",
            field="otlp_endpoint",
        ) from error
    return Observer(open_tracing(otlp_endpoint))
