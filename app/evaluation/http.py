"""The client of the server under evaluation, whose errors classify failures by their scope."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.concurrency import backoff, retry
from app.errors import SparError
from app.http_client import (
    CONNECT_SECONDS,
    HttpClient,
    HttpError,
    InvalidReply,
    Reply,
    RequestRejected,
)

_ANSWER_SECONDS = 3600.0
"""Read timeout: a search on a busy server may take long; a dead connection is closed by it."""
_ATTEMPTS = 3
"""Attempts at a request that the server answers with its own error (5xx)."""
_LONGEST_PAUSE_SECONDS = 30.0

_ROW_FIELDS = ("prompt", "messages", "constraints", "response")
"""The fields of a request that come from the row; all others are the same for every row."""


class ServerGone(SparError):
    """The server stayed unavailable for the allowed time; the run can be resumed."""


class RunRefused(SparError):
    """The server rejects what all rows have in common: a version, an option, the API key."""


class RowRefused(SparError):
    """The server cannot answer this row; a retry would not succeed."""


class _Away(Exception):
    """The server is unreachable or overloaded: retried for `Patience.seconds`."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _ServerFailed(Exception):
    """The server failed on this request (5xx): retried up to `_ATTEMPTS` times."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to retry an unavailable server, and the first pause between retries, in seconds."""

    seconds: float = 300.0
    pause: float = 1.0


class Server:
    """A client of a spar server with at most `at_once` requests in flight; to be closed.

    key: the bearer token, if the server requires one.

    Raises:
        ConfigurationError: The URL or the key is malformed.
    """

    def __init__(
        self, url: str, *, at_once: int, key: str | None = None, patience: Patience = Patience()
    ) -> None:
        self._patience = patience
        self._slots = asyncio.Semaphore(at_once)
        self._http = HttpClient(url, api_key=key, read_seconds=_ANSWER_SECONDS, connections=at_once)
        self.url = self._http.url

    async def close(self) -> None:
        """Close the connections; requests in progress fail."""
        await self._http.close()

    async def get(self, schema: type[Reply], path: str) -> Reply:
        """GET.

        Raises:
            ServerGone: The server stayed unavailable.
            RunRefused: The server rejects what all rows have in common.
            RowRefused: The server rejects this request.
        """
        return await self._request(schema, "GET", path)

    async def post(self, schema: type[Reply], path: str, body: Mapping[str, Any]) -> Reply:
        """POST; raises the same errors as `get`."""
        return await self._request(schema, "POST", path, body)

    async def answers(self) -> bool:
        """Whether a server responds at the URL, ready or not."""
        try:
            await self._http.send("GET", "/healthz", seconds=CONNECT_SECONDS)
        except HttpError:
            return False
        return True

    async def wait_ready(self) -> None:
        """Wait until the server is ready.

        Raises:
            ServerGone: The server stayed unavailable.
            RunRefused: The server rejects the request, for example its API key.
        """
        await self.get(_Anything, "/readyz")

    async def _request(
        self, schema: type[Reply], method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Reply:
        """Send a request until it succeeds or fails permanently."""

        async def attempt() -> Reply:
            return await self._attempt(schema, method, path, body)

        async def attempts() -> Reply:
            pauses = backoff(self._patience.pause, _LONGEST_PAUSE_SECONDS)
            return await retry(attempt, _ServerFailed, islice(pauses, _ATTEMPTS - 1))

        def pause_for(error: _Away, pause: float) -> float:
            return max(pause, min(error.retry_after or 0, _LONGEST_PAUSE_SECONDS))

        try:
            return await retry(
                attempts,
                _Away,
                backoff(self._patience.pause, _LONGEST_PAUSE_SECONDS),
                within=self._patience.seconds,
                on_failure=pause_for,
            )
        except _ServerFailed as error:
            raise RowRefused(str(error)) from error
        except _Away as error:
            raise ServerGone(f"{self.url} stayed unavailable: {error}") from error

    async def _attempt(
        self, schema: type[Reply], method: str, path: str, body: Mapping[str, Any] | None
    ) -> Reply:
        async with self._slots:
            try:
                return await self._http.request(schema, method, path, body)
            except RequestRejected as error:
                raise _meaning(error) from error
            except InvalidReply as error:
                raise RunRefused(
                    f"{error.message}; check that a spar server of this version runs there"
                ) from error
            except HttpError as error:
                raise _Away(error.message) from error
            except UnicodeEncodeError as error:
                raise RowRefused(
                    "the text contains a lone surrogate, which UTF-8 cannot encode"
                ) from error


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def _meaning(error: RequestRejected) -> Exception:
    """Classify a rejection: retry, fail the row, or fail the run."""
    match error.status_code:
        case 429 | 503:
            return _Away(error.message, error.retry_after)
        case 413:
            return RowRefused(error.message)
        case 422 if error.field is not None and error.field.startswith(_ROW_FIELDS):
            return RowRefused(error.message)
        case status if status >= 500:
            return _ServerFailed(error.message)
        case _:
            return RunRefused(error.message, field=error.field)
