"""Whatever the OpenAPI document allows or forbids is answered as the document says."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.config.settings import Settings
from app.main import create_app
from tests.integration.server import Server

pytestmark = pytest.mark.engine

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CHAT = "/v1/chat/completions"
LIMITS = {
    "/generate": ("budget", {"deadline_ms": 100}),
    "/judge": ("search", {"votes": 1}),
    CHAT: ("budget", {"deadline_ms": 100}),
}
"""What keeps an answer cheap, by path."""
SEARCH_FIELDS = {"search", "budget", "constraints"}
NEEDING_OTHERS = (
    "top_logprobs",
    "stream_options",
    "max_completion_tokens",
    "logprob_token_ids",
    "return_tokens_as_token_ids",
    "continue_final_message",
    "add_generation_prompt",
)
USER = {"role": "user", "content": "Name a river."}
CONFIG = {
    "seed": 1,
    # A judgment has no deadline, and valid bodies at every bound would be many of them.
    "operations": [
        {
            "include-path": "/judge",
            "phases": {"coverage": {"generation": {"mode": "negative"}}},
        }
    ],
}

document = create_app(Settings(), "any model").openapi()
api = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))


@api.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_every_operation(case: Case[Any], server: Server) -> None:
    if isinstance(case.body, dict) and case.path in LIMITS:
        change = acceptable if follows_the_document(case) else cheap_if_accepted
        case.body = change(case.path, case.body)
    case.call_and_validate(base_url=server.url, timeout=120, checks=CHECKS)


def follows_the_document(case: Case[Any]) -> bool:
    """Whether the case was generated to be valid."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def acceptable(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body that follows the document, made cheap, and to follow what no document can say.

    A user has the last word, of fields that exclude each other one is kept, and only versions
    that exist are asked for: hardly any generated body would be accepted otherwise.
    """
    if body.get("checkpoint") is not None:
        body = body | {"checkpoint": {"actor": 0}}
    if path == CHAT:
        body = without(body, *NEEDING_OTHERS) | {"messages": [*body["messages"], USER]}
        if body.keys().isdisjoint(SEARCH_FIELDS):
            return without(body, "include_tree") | {"model": "actor", "max_tokens": 4}
        body = without(body, "n", "logprobs") | {"model": "actor:bfs"}
    elif body.get("prompt") is None:
        body = body | {"messages": [*(body.get("messages") or []), USER]}
    else:
        body = without(body, "messages")
    field, limits = LIMITS[path]
    return body | {field: (body.get(field) or {}) | limits}


def cheap_if_accepted(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body that does not follow the document, with limits where it names none itself."""
    field, limits = LIMITS[path]
    given = body.get(field, {})
    if not isinstance(given, dict) or (path == CHAT and field not in body):
        return body
    return body | {field: limits | given}


def without(body: dict[str, Any], *fields: str) -> dict[str, Any]:
    """The body without these fields."""
    return {name: value for name, value in body.items() if name not in fields}


def test_the_document_is_the_one_that_is_served(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == document
