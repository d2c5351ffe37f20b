"""Renders every error as RFC 9457 problem details."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.api.schemas import Problem
from app.errors import EngineUnavailable, SparError
from app.observe.logs import current_request

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

RESPONSE: dict[str, Any] = {
    "description": "An error, as RFC 9457 problem details.",
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}
"""The error response of every route, for the OpenAPI document."""

RENAMED = {"first_look": "quick_verdict", "gate": "accept_threshold"}
"""Request fields of version 0.1 and their names now; iteration options have their own."""

TITLES = {
    400: ("bad_request", "Bad request"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    413: ("body_too_large", "Body too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    422: ("invalid_request", "Invalid request"),
}


def problem(error: SparError) -> Problem:
    """The problem details of a `SparError`."""
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


def route_of(scope: Scope) -> str | None:
    """The template of the matched route, such as `/searches/{search_id}`, if any."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


def add_handlers(app: FastAPI) -> None:
    """Render `SparError`s, FastAPI's errors and unexpected exceptions as problem details."""
    app.add_exception_handler(SparError, _spar_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


async def _spar_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SparError)
    # Engine failures are logged where they happen, not once per request.
    if error.status >= 500 and not isinstance(error, EngineUnavailable):
        log.error("%s %s: %s", request.method, route_of(request.scope), error.message)
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return respond(problem(error), headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _malformed_json(f"the body is not valid JSON: {first['ctx']['error']}")
    if isinstance(first["input"], bytes):  # FastAPI parses only JSON content types
        kind, title = TITLES[415]
        message = "send the body as JSON, with the header Content-Type: application/json"
        return respond(Problem(type=kind, title=title, status=415, message=message))
    others = len(error.errors()) - 1
    message = _message(first) + (f" (and {others} more)" if others else "")
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
            message = f"there is no route {request.url.path}; /docs lists the routes"
        case 405:
            message = f"{request.url.path} does not accept {request.method}; see /docs"
    details = Problem(type=kind, title=title, status=error.status_code, message=message)
    return respond(details, dict(error.headers) if error.headers else None)


async def _unexpected(*_: object) -> JSONResponse:
    # Starlette raises the exception again after this, and uvicorn logs its traceback.
    details = Problem(
        type="internal",
        title="Internal error",
        status=500,
        message="an unexpected error; the server's log has the details",
    )
    context = current_request()
    return respond(details, None if context is None else {"X-Request-Id": context.id})


def field_name(location: Sequence[int | str]) -> str | None:
    """The location of a validation error, `("body", "search", "n")`, as `search.n`.

    The first part (body, query, path, header) is dropped. None for the whole body.
    """
    return ".".join(map(str, location[1:])) or None


def _message(error: dict[str, Any]) -> str:
    """The message of a validation error."""
    name = field_name(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            old = str(error["loc"][-1])
            if old in RENAMED and name is not None:
                return f"`{name}` has been renamed to `{name.removesuffix(old)}{RENAMED[old]}`"
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
