"""From a refusal of an OpenAI-compatible server to our errors."""

from typing import Any

import httpx

from app.errors import EngineError, EngineUnavailable, PromptTooLong, SparError

RETRY_SECONDS = 5
"""When to come back to a server that does not say it itself."""
_LONGEST_MESSAGE = 500

_TOO_LONG = "maximum context length"
"""In every message with which vLLM refuses a prompt that does not fit."""


class ServerBusy(EngineUnavailable):
    """The server takes no calls just now, and says so: it is not broken."""


class CallRefused(EngineError):
    """The server will not make this call, and nor would another of its kind."""


def error_of(response: httpx.Response) -> SparError:
    """The error for a response that is not a success, with the server's own message."""
    refusal = _refusal(response)
    message = _message(refusal) or f"the server answered {response.status_code} without saying why"
    status = response.status_code
    if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return ServerBusy(message, retry_after=_retry_after(response))
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return PromptTooLong(message)
    if status == httpx.codes.BAD_REQUEST and _is_too_long(refusal, message):
        return PromptTooLong(message)
    kind = CallRefused if response.is_client_error else EngineError
    return kind(f"the server refused the call ({status}): {message}")


def _refusal(response: httpx.Response) -> dict[str, Any]:
    """The part of the body that says what is wrong: ours, or vLLM's `error`."""
    try:
        body = response.json()
    except ValueError:
        return {"message": response.text}
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    return error if isinstance(error, dict) else body


def _message(refusal: dict[str, Any]) -> str:
    message = refusal.get("message") or refusal.get("detail") or ""
    return str(message).strip()[:_LONGEST_MESSAGE]


def _is_too_long(refusal: dict[str, Any], message: str) -> bool:
    # A prompt that fills the context to the last token leaves vLLM's clipped max_tokens at 0;
    # no call of ours asks for less than 1.
    return _TOO_LONG in message or refusal.get("param") == "max_tokens"


def _retry_after(response: httpx.Response) -> int:
    """Seconds; the header's other form, a date, is not worth reading."""
    given = response.headers.get("retry-after", "")
    return int(given) if given.isascii() and given.isdigit() else RETRY_SECONDS
