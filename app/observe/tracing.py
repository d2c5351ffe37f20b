"""OpenTelemetry traces: a trace per search, a span per node, without any text.

This module requires OpenTelemetry and is imported only if traces are configured.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.domain.judgment import Judgment
from app.domain.tree import Node
from app.observe.logs import current_request
from app.search.base import (
    NodeCreated,
    NodeJudged,
    Phase,
    SearchEvent,
    SearchRequest,
    SearchResult,
)


class Tracing:
    """Creates the traces of one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("spar", __version__)

    @contextmanager
    def search(self, request: SearchRequest) -> Iterator["SearchTrace"]:
        """The trace of one search; continues the trace of the request's `traceparent`, if any."""
        http = current_request()
        parent = Context()
        if http is not None and http.traceparent is not None:
            carrier = {"traceparent": http.traceparent}
            parent = TraceContextTextMapPropagator().extract(carrier, parent)
        span = self._tracer.start_span("search", parent, SpanKind.SERVER)
        span.set_attributes(
            {
                "spar.search.id": request.id,
                "spar.search.mode": request.mode,
                "spar.checkpoint.actor": request.versions.actor,
                "spar.checkpoint.refiner": request.versions.refiner,
            }
        )
        if http is not None:
            span.set_attribute("spar.request.id", http.id)
        with _ended(span):
            yield SearchTrace(self._tracer, span)

    def close(self) -> None:
        """Flush pending spans."""
        self._provider.shutdown()


class SearchTrace:
    """The spans of one search."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._nodes: dict[int, Span] = {}

    @contextmanager
    def on_phase(self, phase: Phase, node_id: int) -> Iterator[None]:
        """A span during the block: of a node below the search, of other phases below the node."""
        # A given response is the root, which has no span.
        own = None if phase is Phase.NODE else self._nodes.get(node_id)
        above = own or self._span
        span = self._tracer.start_span(phase, set_span_in_context(above, Context()))
        if phase is Phase.NODE:
            span.set_attribute("spar.node.id", node_id)
            self._nodes[node_id] = span
        with _ended(span):
            yield

    def on_event(self, event: SearchEvent) -> None:
        """Set the attributes of a node's span."""
        match event:
            case NodeCreated(node) if node.id in self._nodes:
                self._nodes[node.id].set_attributes(_made(node))
            case NodeJudged(node, judgment) if node.id in self._nodes:
                self._nodes[node.id].set_attributes(_judged(judgment))
            case _:
                pass

    def ended(self, result: SearchResult) -> None:
        """Set the result and usage on the search's span."""
        usage, best = result.usage, result.best
        self._span.set_attributes(
            {
                "spar.search.stop_reason": result.stop_reason,
                "spar.search.nodes": usage.nodes,
                "spar.search.votes": usage.votes,
                "spar.search.prompt_tokens": usage.prompt_tokens,
                "spar.search.completion_tokens": usage.completion_tokens,
                "spar.search.duration_ms": result.timing_ms,
                "spar.search.accepted": best is not None and best.accepted,
            }
        )
        if best is not None and best.judgment is not None:
            self._span.set_attributes(_judged(best.judgment))


def open_tracing(endpoint: str) -> Tracing:
    """Traces sent in batches to an OTLP endpoint over HTTP, such as `http://localhost:4318`.

    OpenTelemetry's own variables (`OTEL_...`) configure samplers, headers and limits.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "spar"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


@contextmanager
def _ended(span: Span) -> Iterator[None]:
    """End the span with the block. Records only the type of an exception: a message may quote."""
    try:
        yield
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()


def _made(node: Node) -> dict[str, str | int | bool]:
    return {
        "spar.node.kind": node.kind,
        "spar.node.depth": node.depth,
        "spar.node.parent": -1 if node.parent is None else node.parent,
        "spar.node.partial": node.partial,
        "spar.node.completion_tokens": node.completion_tokens,
    }


def _judged(judgment: Judgment) -> dict[str, float | bool]:
    attributes: dict[str, float | bool] = {"spar.accepted": judgment.accepted}
    if judgment.value is not None:
        attributes["spar.value"] = judgment.value
    return attributes
