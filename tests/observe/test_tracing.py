"""Traces of searches that went through the whole server, in memory."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app import main
from app.errors import EngineError
from app.observe.observer import Observer, open_observer
from app.observe.tracing import Tracing
from tests.helpers.whole import client_of, whole_server

PROMPT = "a secret prompt"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
BODY = {
    "prompt": PROMPT,
    "mode": "iterative",
    "search": {"votes": 1},
    "budget": {"max_nodes": 2},
}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def client(
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    migrated_file: Path,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose traces go to the exporter."""

    def observer(_: str | None) -> Observer:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Observer(Tracing(provider))

    monkeypatch.setattr(main, "open_observer", observer)
    database = Path(shutil.copy(migrated_file, tmp_path / "spar.db"))
    async with whole_server(monkeypatch, tmp_path, database) as app, client_of(app) as opened:
        yield opened


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    """The finished spans of this name, in the order of their start."""
    spans = [span for span in exporter.get_finished_spans() if span.name == name]
    return sorted(spans, key=lambda span: span.start_time or 0)


def below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    """Whether one span is another's child."""
    return child.parent is not None and child.parent.span_id == parent.context.span_id


async def test_a_search_is_a_trace_and_a_node_a_span(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = (await client.post("/generate", json=BODY)).json()
    [search] = named(exporter, "search")
    first, second = named(exporter, "node")
    assert search.parent is None
    assert below(first, search)
    assert below(second, search)
    [respond] = named(exporter, "respond")
    [refine] = named(exporter, "refine")
    assert below(respond, first)
    assert below(refine, second)
    judged = named(exporter, "judge")
    assert [below(span, node) for span, node in zip(judged, (first, second), strict=True)] == [
        True,
        True,
    ]
    assert search.attributes is not None
    assert dict(search.attributes) | {"spar.search.duration_ms": 0, "spar.request.id": ""} == {
        "spar.search.id": answer["id"],
        "spar.search.mode": "iterative",
        "spar.search.stop_reason": answer["stop_reason"],
        "spar.search.nodes": answer["usage"]["nodes"],
        "spar.search.votes": answer["usage"]["votes"],
        "spar.search.prompt_tokens": answer["usage"]["prompt_tokens"],
        "spar.search.completion_tokens": answer["usage"]["completion_tokens"],
        "spar.search.accepted": False,
        "spar.search.duration_ms": 0,
        "spar.request.id": "",
        "spar.checkpoint.actor": 0,
        "spar.checkpoint.refiner": 0,
        "spar.accepted": False,
        "spar.value": 0.0,
    }
    assert second.attributes is not None
    assert second.attributes["spar.node.parent"] == first.attributes["spar.node.id"]  # type: ignore[index]
    assert second.attributes["spar.node.kind"] == "refinement"
    assert second.attributes["spar.value"] == 0.0


async def test_the_judgment_of_a_given_response_belongs_to_the_search_span(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = await client.post("/generate", json=BODY | {"response": "one two three four five"})
    assert answer.status_code == 200, answer.text
    [search] = named(exporter, "search")
    assert below(named(exporter, "judge")[0], search)


async def test_the_clients_trace_is_continued(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
    await client.post("/generate", json=BODY, headers=headers)
    spans = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    [search] = named(exporter, "search")
    assert search.parent is not None
    assert f"{search.parent.span_id:016x}" == PARENT
    assert search.attributes is not None
    assert search.attributes["spar.request.id"] == "mine"


async def test_a_damaged_traceparent_begins_a_new_trace(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    response = await client.post("/generate", json=BODY, headers={"traceparent": "00-x-y-z"})
    assert response.status_code == 200
    [search] = named(exporter, "search")
    assert search.parent is None


async def test_a_trace_contains_no_text(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = (await client.post("/generate", json=BODY)).json()
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert PROMPT not in told
    assert answer["response"] not in told
    assert answer["critique"] not in told


async def test_an_error_ends_its_spans_with_its_type_only(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise EngineError(PROMPT)

    monkeypatch.setattr("app.roles.actor.Actor.respond", fail)
    assert (await client.post("/generate", json=BODY)).status_code >= 500
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"search", "node", "respond"}
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "EngineError"
        assert PROMPT not in span.to_json()


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from app.observe.observer import open_observer; open_observer(None);"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_endpoint_opens_traces() -> None:
    observer = open_observer("http://127.0.0.1:9")
    assert observer._tracing is not None
    observer.close()
