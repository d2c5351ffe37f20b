"""Talking to a running server: plain JSON calls, and the event stream of a search."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.api.schemas import GenerateIn, JudgeIn, NodeOut, Problem
from app.errors import SparError

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name (`message` where the server gave none) and its data."""

    name: str
    data: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in a byte stream, however it is cut into chunks.

    Comments and the fields `id` and `retry` are skipped, and so is an event that the end of
    the stream cut off.
    """
    name, data = "", list[str]()
    for line in _read_lines(chunks):
        if not line:
            if data:
                yield ServerEvent(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))


def _read_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by LF, CRLF or CR, and by nothing else (`str.splitlines` knows more ends)."""
    rest, after_cr, first = b"", False, True
    for chunk in filter(None, chunks):
        # The CR of a CRLF has already ended its line when the LF comes in the next chunk.
        fresh = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = fresh.endswith(b"\r")
        *whole, rest = _LINE_END.split(rest + fresh)
        for line in whole:
            text = line.decode(errors="replace")
            yield text.removeprefix("\ufeff") if first else text
            first = False


_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 120.0
"""An event stream has a heartbeat every few seconds; this much silence means it is dead."""

JsonObject = dict[str, Any]
_JSON_OBJECT = TypeAdapter(JsonObject)
_Schema = TypeVar("_Schema", bound=BaseModel)


class ServerUnreachable(SparError):
    """Nothing accepts connections at the address."""


class ConnectionLost(SparError):
    """The server stopped talking before the answer was complete."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the connection broke before the answer was complete: {reason}")


class NotOurServer(SparError):
    """Something answers at the address, and not as this program's server does."""


class Refused(SparError):
    """The server said no; the message and the field are its own."""


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
    list of processes. Every method raises `ServerUnreachable`, `ConnectionLost`, `NotOurServer` or
    `Refused`.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        # A proxy configured for the outside world cannot reach this machine's own address.
        local = urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
        with self._errors():
            self._http = httpx.Client(
                base_url=self._url,
                timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                headers={"content-type": "application/json", **_key()},
                trust_env=not local,
            )

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

    def read(self, schema: type[_Schema], answer: JsonObject) -> _Schema:
        """An answer in its typed form."""
        try:
            return schema.model_validate(answer)
        except ValidationError as error:
            raise self._stranger() from error

    def _call(self, method: str, path: str, **arguments: Any) -> JsonObject:
        with self._errors():
            response = self._http.request(method, path, **arguments)
        if response.is_error:
            raise self._refusal(response)
        return self._object(response.content)

    @contextmanager
    def _follow(self, method: str, path: str, **arguments: Any) -> Iterator[Iterator[ServerEvent]]:
        """The events of a stream; an `error` among them is raised."""
        timeout = httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
        with (
            self._errors(),
            self._http.stream(method, path, timeout=timeout, **arguments) as response,
        ):
            if response.is_error:
                response.read()
                raise self._refusal(response)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._stranger()
            yield self._events(response)

    def _events(self, response: httpx.Response) -> Iterator[ServerEvent]:
        for event in read_events(response.iter_bytes()):
            if event.name == "error":
                raise _refused(self.read(Problem, self._object(event.data)))
            yield event

    def _event(self, event: ServerEvent) -> Event | None:
        """None for an event that this client has no use for."""
        match event.name:
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
            raise self._stranger() from error

    def _refusal(self, response: httpx.Response) -> SparError:
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            return NotOurServer(
                f"{self._url} answered {response.status_code} {response.reason_phrase} without "
                "saying why; check that a spar server runs there"
            )
        return _refused(problem, response.headers.get("retry-after"))

    def _stranger(self) -> NotOurServer:
        return NotOurServer(
            f"what {self._url} answered cannot be understood; check that a spar server of this "
            "version runs there"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the HTTP library's errors into ours."""
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ServerUnreachable(
                f"{self._url} is not an address; write it like http://127.0.0.1:8000"
            ) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnreachable(
                f"no server answers at {self._url}; start one with `make serve` or `spar serve`,"
                " or name another one with --url or SPAR_URL"
            ) from error
        except httpx.ReadTimeout as error:
            reason = f"the server was silent for {_SILENCE_SECONDS:.0f} seconds"
            raise ConnectionLost(reason) from error
        except httpx.HTTPError as error:
            raise ConnectionLost(str(error)) from error


class _NodeId(BaseModel):
    id: int


class _Text(BaseModel):
    text: str


def _key() -> dict[str, str]:
    key = os.environ.get("SPAR_API_KEY")
    return {"authorization": f"Bearer {key}"} if key else {}


def _body(request: BaseModel) -> str:
    """Only what was asked for, so that the server's own defaults hold for the rest."""
    return request.model_dump_json(exclude_unset=True)


def _refused(problem: Problem, retry_after: str | None = None) -> Refused:
    named = not problem.field or f"`{problem.field}`" in problem.message
    where = "" if named else f" (field `{problem.field}`)"
    later = f"; try again in {retry_after} s" if retry_after else ""
    return Refused(problem.message + where + later, field=problem.field)
