"""The client of the server under evaluation; errors tell what a failure means for the run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ConfigurationError, SparError

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 3600.0
"""Timeout of an answer: a search on a busy server may take long."""
_IDLE_SECONDS = 2.0
"""Less than the 5 s after which uvicorn closes an idle connection, which would fail a request."""
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_ATTEMPTS = 3
_LONGEST_PAUSE_SECONDS = 30.0

_ROW_FIELDS = ("prompt", "messages", "constraints", "response")
"""The fields of a request that come from the row; all others are the same for every row."""

_Reply = TypeVar("_Reply", bound=BaseModel)


class ServerGone(SparError):
    """The server stayed unavailable for the allowed time; the run can be resumed."""


class RunRefused(SparError):
    """The server rejects what all rows have in common: a version, an option, the API key."""


class RowRefused(SparError):
    """The server cannot answer this row; a retry would not help."""


class _Away(Exception):
    """The server is unreachable or overloaded: retried for some minutes."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _Failed(Exception):
    """The server failed on this call: retried twice."""


class _Problem(BaseModel):
    model_config = ConfigDict(extra="ignore")

    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server that is away, in seconds, and the first pause between tries."""

    seconds: float = 300.0
    pause: float = 1.0


class Server:
    """A server of ours, asked with at most `at_once` requests in flight. Close it at the end.

    key: sent as a bearer token, where the server wants one.
    Raises `ConfigurationError` for what is no address, and for what is no key.
    """

    def __init__(
        self, url: str, *, at_once: int, key: str | None = None, patience: Patience = Patience()
    ) -> None:
        self.url = url.rstrip("/")
        host = _host(self.url)
        self._patience = patience
        self._slots = asyncio.Semaphore(at_once)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=_authorization(key),
            limits=httpx.Limits(max_connections=at_once, keepalive_expiry=_IDLE_SECONDS),
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            # A proxy of the environment cannot reach this machine's loopback address.
            trust_env=host not in _LOCAL,
        )

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        await self._http.aclose()

    async def get(self, shape: type[_Reply], path: str) -> _Reply:
        """Read something. Raises `ServerGone`, `RunRefused` and `RowRefused`."""
        return await self._retry(lambda: self._call(shape, "GET", path))

    async def post(self, shape: type[_Reply], path: str, body: Mapping[str, Any]) -> _Reply:
        """Ask for something. Raises `ServerGone`, `RunRefused` and `RowRefused`."""
        return await self._retry(lambda: self._call(shape, "POST", path, body))

    async def answers(self) -> bool:
        """Whether anything answers at the address, ready or not."""
        try:
            await self._http.get("/healthz", timeout=_CONNECT_SECONDS)
        except httpx.RequestError:
            return False
        return True

    async def wait_ready(self) -> None:
        """Wait until the server takes requests. Raises `ServerGone` and `RunRefused`."""
        await self.get(_Anything, "/readyz")

    async def _retry(self, attempt: Callable[[], Awaitable[_Reply]]) -> _Reply:
        pause, failures = self._patience.pause, 0
        end: float | None = None
        while True:
            try:
                return await attempt()
            except _Failed as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise RowRefused(str(error)) from error
            except _Away as error:
                pause = max(pause, error.retry_after)
                # From the first failure on: the call before it may have run for long.
                end = time.monotonic() + self._patience.seconds if end is None else end
                if time.monotonic() + pause > end:
                    raise ServerGone(f"{self.url} stayed away: {error}") from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _call(
        self,
        shape: type[_Reply],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> _Reply:
        async with self._slots:
            try:
                response = await self._http.request(method, path, json=body)
            except httpx.RequestError as error:
                raise _Away(str(error) or type(error).__name__) from error
            except UnicodeEncodeError as error:
                raise RowRefused("the text holds half a character (a lone surrogate)") from error
        if not response.is_success:
            raise _error_of(response)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError as error:
            raise RunRefused(
                f"what {self.url}{path} answered cannot be understood; check that a spar server of"
                " this version runs there"
            ) from error


def _host(url: str) -> str:
    """The address's host. Raises `ConfigurationError` for what is no address."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigurationError(f"{url} is not an address; write it like http://127.0.0.1:8000")
    return parts.host


def _authorization(key: str | None) -> dict[str, str]:
    """The header that shows a key. Raises `ConfigurationError` for one that none can hold."""
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError("SPAR_API_KEY has a character that no key has")
    return {"authorization": f"Bearer {key}"}


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def _error_of(response: httpx.Response) -> Exception:
    """What a refusal means: try again, give up the row, or give up the run."""
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem(
            message=f"{response.url} answered {response.status_code} without a reason; check that a"
            " spar server runs there"
        )
    match response.status_code:
        case 429 | 503:
            return _Away(problem.message, _retry_after(response))
        case 413:
            return RowRefused(problem.message)
        case 422 if problem.field is not None and problem.field.startswith(_ROW_FIELDS):
            return RowRefused(problem.message)
        case status if status >= 500:
            return _Failed(problem.message)
        case _:
            return RunRefused(problem.message, field=problem.field)


def _retry_after(response: httpx.Response) -> float:
    """Seconds, but no longer than a server that is away is waited for between two tries."""
    given = response.headers.get("retry-after", "")
    seconds = float(given) if given.isascii() and given.isdigit() else 0.0
    return min(seconds, _LONGEST_PAUSE_SECONDS)
