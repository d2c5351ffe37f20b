"""HTTP clients of spar and vLLM servers, with typed errors.

`HttpClient` is asynchronous; the CLI's synchronous client uses the same options and errors.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, TypedDict, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError, SparError

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 2.0
"""Keep-alive of idle connections; below uvicorn's 5 s, so that no request races with the server
closing the connection."""
_LONGEST_MESSAGE = 500

Reply = TypeVar("Reply", bound=BaseModel)
Response = httpx2.Response


class HttpError(SparError):
    """A request to a server failed."""


class ServerUnreachable(HttpError):
    """Nothing accepts connections at the address."""


class ConnectionLost(HttpError):
    """The read timed out, or the connection broke, before the reply was complete."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the connection broke before the answer was complete: {reason}")


class InvalidReply(HttpError):
    """The reply does not match the schema; another program may listen at the address."""


class RequestRejected(HttpError):
    """The server replied with an error status.

    status_code: the HTTP status. param: the field that an OpenAI error names.
    `message`, `field` and `retry_after` (seconds) are the server's own.
    """

    def __init__(
        self,
        message: str,
        status_code: int,
        *,
        field: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, field=field, retry_after=retry_after)
        self.status_code = status_code
        self.param = param


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or `localhost`; other names are not resolved."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


class ClientOptions(TypedDict):
    """Arguments of `httpx2.Client` and `httpx2.AsyncClient`."""

    base_url: httpx2.URL
    headers: dict[str, str]
    limits: httpx2.Limits
    timeout: httpx2.Timeout
    trust_env: bool


def client_options(
    url: str,
    *,
    api_key: str | None,
    read_seconds: float | None,
    connections: int | None = None,
    keep_alive: bool = True,
) -> ClientOptions:
    """The options of a client for one server.

    Args:
        url: The server's address, with or without `/v1`.
        api_key: Sent as a bearer token with every request.
        read_seconds: Read timeout; None for no timeout.
        connections: Maximum concurrent requests; further ones queue. None for no limit.
        keep_alive: Whether to reuse connections.

    Raises:
        ConfigurationError: `url` is invalid, or the key has invalid characters.
    """
    try:
        base = httpx2.URL(url.rstrip("/").removesuffix("/v1"))
    except httpx2.InvalidURL:
        base = httpx2.URL()
    if base.scheme not in ("http", "https") or not base.host:
        raise ConfigurationError(f"{url} is not an address; write it like http://127.0.0.1:8000")
    headers = {"User-Agent": f"spar/{version('spar')}"}
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("the API key contains an invalid character")
        headers["Authorization"] = f"Bearer {api_key}"
    return ClientOptions(
        base_url=base,
        headers=headers,
        limits=httpx2.Limits(
            max_connections=connections,
            max_keepalive_connections=connections if keep_alive else 0,
            keepalive_expiry=IDLE_SECONDS,
        ),
        timeout=httpx2.Timeout(
            read_seconds, connect=min(CONNECT_SECONDS, read_seconds or CONNECT_SECONDS), pool=None
        ),
        # A proxy cannot reach this machine's loopback address.
        trust_env=not is_loopback(base.host),
    )


@contextmanager
def transport_errors(url: str) -> Iterator[None]:
    """Convert httpx's errors.

    Raises:
        ServerUnreachable: connecting failed.
        ConnectionLost: the read timed out or the connection broke.
    """
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise ServerUnreachable(f"{url} does not answer: {_reason(error)}") from error
    except httpx2.ReadTimeout as error:
        seconds = error.request.extensions["timeout"]["read"]
        raise ConnectionLost(f"{url} was silent for {seconds:g} seconds") from error
    except httpx2.RequestError as error:
        raise ConnectionLost(f"{url}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def parse(schema: type[Reply], content: str | bytes, source: str) -> Reply:
    """Validate a JSON reply; `source` is its URL.

    Raises:
        InvalidReply: it does not match the schema.
    """
    try:
        return schema.model_validate_json(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InvalidReply(f"what {source} answered cannot be understood: {reason}") from error


def rejection(response: Response) -> RequestRejected:
    """The error for an unsuccessful response whose body has been read.

    Supports problem details (spar), OpenAI's `error` object (vLLM) and FastAPI's `detail`.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    content: dict[str, Any] = body if isinstance(body, dict) else {}
    if isinstance(content.get("error"), dict):
        content = content["error"]
    message = content.get("message") or content.get("detail")
    if not message or message == response.reason_phrase:
        message = (
            f"{response.url} answered {response.status_code} {response.reason_phrase} without a"
            " reason; check that a spar server or vLLM runs there"
        )
    field, param = content.get("field"), content.get("param")
    return RequestRejected(
        str(message).strip()[:_LONGEST_MESSAGE],
        response.status_code,
        field=field if isinstance(field, str) else None,
        param=param if isinstance(param, str) else None,
        retry_after=_retry_after(response),
    )


def _retry_after(response: Response) -> int | None:
    """Seconds; the header's date form is ignored."""
    value = response.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() else None


class HttpClient:
    """Asynchronous client of one server; call `close` at the end.

    Arguments as for `client_options`.

    Raises:
        HttpError: a subclass of it, from every request.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        read_seconds: float,
        connections: int,
        keep_alive: bool = True,
    ) -> None:
        options = client_options(
            url,
            api_key=api_key,
            read_seconds=read_seconds,
            connections=connections,
            keep_alive=keep_alive,
        )
        self.url = str(options["base_url"]).rstrip("/")
        self._client = httpx2.AsyncClient(**options)

    async def close(self) -> None:
        """Close the connections; requests in progress fail."""
        await self._client.aclose()

    async def send(
        self, method: str, path: str, body: object = None, *, seconds: float | None = None
    ) -> Response:
        """The response, of any status; `seconds` overrides the client's timeout."""
        timeout = httpx2.USE_CLIENT_DEFAULT if seconds is None else seconds
        with transport_errors(self.url):
            return await self._client.request(method, path, json=body, timeout=timeout)

    async def request(
        self, schema: type[Reply], method: str, path: str, body: object = None
    ) -> Reply:
        """The validated reply of a successful request."""
        response = await self.send(method, path, body)
        if not response.is_success:
            raise rejection(response)
        return parse(schema, response.content, f"{self.url}{path}")

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[str, None]:
        """POST `body` and yield the data of each server-sent event."""
        with transport_errors(self.url):
            async with self._client.sse(path, method="POST", json=body) as source:
                if not source.response.is_success:
                    await source.response.aread()
                    raise rejection(source.response)
                async for event in source:
                    yield event.data
