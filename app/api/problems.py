"""Every error as RFC 9457 problem details, rendered in this one place."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.access_log import route_of
from app.api.schemas import Problem
from app.errors import EngineUnavailable, SparError
from app.observe.logs import current_request

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

RESPONSE: dict[str, Any] = {
    "description": "What is wrong, and where.",
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}
"""How an OpenAPI document describes an error of any route."""

RENAMED = {
    "first_look": "quick_verdict",
    "gate": "accept_threshold",
    "own_pairs": "on_policy_pairs",
}
"""Request fields of version 0.1 and their names now."""

TITLES = {
    400: ("bad_request", "Bad request"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    413: ("body_too_large", "Body too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    422: ("invalid_request", "Invalid request"),
}


def problem(error: SparError) -> Problem:
    """The problem details of one of our errors."""
    return Problem(
        type=error.type,
        title=error.title,
        status=error.status,
        message=error.message,
        field=error.field,
    )


def respond(details: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Problem details as a response."""
    return JSONResponse(
        details.model_dump(exclude_none=True),
        status_code=details.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def add_handlers(app: FastAPI) -> None:
    """Render our errors, FastAPI's and the unforeseen, all in the same shape."""
    app.add_exception_handler(SparError, _spar_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unforeseen)


async def _spar_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SparError)
    # The engine's own end and return are logged where they happen, not once per request.
    if error.status >= 500 and not isinstance(error, EngineUnavailable):
        log.error("%s %s: %s", request.method, route_of(request.scope), error.message)
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return respond(problem(error), headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _malformed_json(f"the body is not valid JSON: {first['ctx']['error']}")
    if isinstance(first["input"], bytes):  # FastAPI leaves a body unread that is not called JSON
        kind, title = TITLES[415]
        message = "send the body as JSON, with the header Content-Type: application/json"
        return respond(Problem(type=kind, title=title, status=415, message=message))
    others = len(error.errors()) - 1
    message = _words(first) + (f" (and {others} more)" if others else "")
    kind, title = TITLES[422]
    field = field_name(first["loc"])
    return respond(Problem(type=kind, title=title, status=422, message=message, field=field))


def _malformed_json(message: str) -> JSONResponse:
    details = Problem(type="malformed_json", title="Malformed JSON", status=400, message=message)
    return respond(details)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind, title = TITLES.get(error.status_code, ("error", "Error"))
    message = str(error.detail)
    match error.status_code:
        case 400 if "parsing the body" in message:
            return _malformed_json(
                "the body is not valid JSON in UTF-8, is nested too deeply, or holds a number of"
                " too many digits"
            )
        case 404:
            message = f"there is nothing at {request.url.path}; /docs shows what there is"
        case 405:
            message = f"{request.url.path} does not take {request.method}; /docs shows what it does"
    details = Problem(type=kind, title=title, status=error.status_code, message=message)
    return respond(details, dict(error.headers) if error.headers else None)


async def _unforeseen(*_: object) -> JSONResponse:
    # Starlette raises the error again after this, so the log gets its traceback there.
    details = Problem(
        type="internal",
        title="Internal error",
        status=500,
        message="an unforeseen error; the server's log has the details",
    )
    context = current_request()
    return respond(details, None if context is None else {"X-Request-Id": context.id})


def field_name(location: Sequence[int | str]) -> str | None:
    """`("body", "search", "n")` as `search.n`; None for the whole body.

    The first part is the place (body, query, path, header); a field may have the same name.
    """
    return ".".join(map(str, location[1:])) or None


def _words(error: dict[str, Any]) -> str:
    """A validation error in plain words."""
    name = field_name(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            old = str(error["loc"][-1])
            if old in RENAMED and name is not None:
                return (
                    f"the field `{name}` was renamed: use `{name.removesuffix(old)}{RENAMED[old]}`"
                )
            return f"the field `{name}` is not known"
        case "missing":
            return f"the field `{name}` is required" if name else "a JSON body is required"
        case "model_attributes_type":
            return f"`{name}` must be a JSON object" if name else "the body must be a JSON object"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            text = error["msg"][0].lower() + error["msg"][1:]
            return f"`{name}`: {text}" if name else str(text)
