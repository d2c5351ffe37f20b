"""HTTP client of a running server: JSON calls, and the event stream of a search."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
from httpx2 import ServerSentEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.api.schemas import GenerateIn, JudgeIn, NodeOut, Problem
from app.errors import SparError
from app.http_client import (
    CONNECT_SECONDS,
    InvalidReply,
    Reply,
    RequestRejected,
    ServerUnreachable,
    client_options,
    rejection,
    transport_errors,
)

_SILENCE_SECONDS = 120.0
"""An event stream has a heartbeat every few seconds; after this long without one it is dead."""

JsonObject = dict[str, Any]
_JSON_OBJECT = TypeAdapter(JsonObject)


class Refused(SparError):
    """The server rejected the request; message and field are the server's."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node was created, or is now judged."""

    node: NodeOut


@dataclass(frozen=True, slots=True)
class NodeAccepted:
    """The node that ends the search."""

    id: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of a greedy answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """The answer: the JSON object that a call without streaming gives."""

    answer: JsonObject


Event = NodeSeen | NodeAccepted | TextDelta | Final


class Client:
    """Calls to one server; a context manager that closes its connections.

    The key in the environment variable `SPAR_API_KEY` is sent along; an option would show in the
    list of processes.

    Raises:
        ConfigurationError: the URL is invalid.
        ServerUnreachable, ConnectionLost, InvalidReply, Refused: raised by every method.
    """

    def __init__(self, url: str) -> None:
        options = client_options(url, api_key=os.environ.get("SPAR_API_KEY"), read_seconds=None)
        self._url = str(options["base_url"]).rstrip("/")
        options["headers"]["Content-Type"] = "application/json"
        self._http = httpx2.Client(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._http.close()

    def generate(self, request: GenerateIn) -> JsonObject:
        """The answer to a request, as one JSON object."""
        return self._call("POST", "/generate", content=_body(request))

    @contextmanager
    def stream(self, request: GenerateIn) -> Iterator[Iterator[Event]]:
        """The events of a search, `Final` at its end. Leaving early stops the search."""
        with self._follow("POST", "/generate", content=_body(request)) as events:
            yield filter(None, map(self._event, events))

    def judge(self, request: JudgeIn) -> JsonObject:
        """The judgment of a given response."""
        return self._call("POST", "/judge", content=_body(request))

    def searches(self, limit: int) -> JsonObject:
        """The newest stored searches, at most `limit`."""
        return self._call("GET", "/searches", params={"limit": limit})

    def search(self, search_id: str) -> JsonObject:
        """One stored search with its whole tree."""
        return self._call("GET", f"/searches/{quote(search_id, safe='')}")

    def read(self, schema: type[Reply], answer: JsonObject) -> Reply:
        """An answer in its typed form."""
        try:
            return schema.model_validate(answer)
        except ValidationError as error:
            raise self._invalid_reply() from error

    def _call(self, method: str, path: str, **arguments: Any) -> JsonObject:
        with self._errors():
            response = self._http.request(method, path, **arguments)
        if response.is_error:
            raise _refused(rejection(response))
        return self._object(response.content)

    @contextmanager
    def _follow(
        self, method: str, path: str, **arguments: Any
    ) -> Iterator[Iterator[ServerSentEvent]]:
        """The events of a stream; an `error` among them is raised."""
        timeout = httpx2.Timeout(_SILENCE_SECONDS, connect=CONNECT_SECONDS)
        with (
            self._errors(),
            self._http.sse(
                path, method=method, timeout=timeout, max_event_size=None, **arguments
            ) as source,
        ):
            if source.response.is_error:
                source.response.read()
                raise _refused(rejection(source.response))
            yield self._events(source)

    def _events(self, source: httpx2.EventSource) -> Iterator[ServerSentEvent]:
        try:
            for event in source:
                if event.event == "error":
                    problem = self.read(Problem, self._object(event.data))
                    raise _refused(
                        RequestRejected(problem.message, problem.status, field=problem.field)
                    )
                yield event
        except httpx2.SSEError as error:
            raise self._invalid_reply() from error

    def _event(self, event: ServerSentEvent) -> Event | None:
        """None for an event that this client ignores."""
        match event.event:
            case "node" | "judged":
                return NodeSeen(self.read(NodeOut, self._object(event.data)))
            case "accepted":
                return NodeAccepted(self.read(_NodeId, self._object(event.data)).id)
            case "delta":
                return TextDelta(self.read(_Text, self._object(event.data)).text)
            case "final":
                return Final(self._object(event.data))
            case _:
                return None

    def _object(self, text: str | bytes) -> JsonObject:
        try:
            return _JSON_OBJECT.validate_json(text)
        except ValidationError as error:
            raise self._invalid_reply() from error

    def _invalid_reply(self) -> InvalidReply:
        return InvalidReply(
            f"what {self._url} answered cannot be understood; check that a spar server of this "
            "version runs there"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert the HTTP library's errors into `SparError`s for the command line."""
        try:
            with transport_errors(self._url):
                yield
        except ServerUnreachable as error:
            raise ServerUnreachable(
                f"no server answers at {self._url}; start one with `make serve` or `spar serve`,"
                " or name another one with --url or SPAR_URL"
            ) from error


class _NodeId(BaseModel):
    id: int


class _Text(BaseModel):
    text: str


def _body(request: BaseModel) -> str:
    """Only the given options, so that the server's defaults apply to the rest."""
    return request.model_dump_json(exclude_unset=True)


def _refused(error: RequestRejected) -> Refused:
    named = not error.field or f"`{error.field}`" in error.message
    where = "" if named else f" (field `{error.field}`)"
    later = f"; try again in {error.retry_after} s" if error.retry_after else ""
    return Refused(error.message + where + later, field=error.field)
