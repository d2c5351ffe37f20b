"""The outcome of a request, as observed by its client."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.chaos.asking import SEARCHED, Ask, Endpoint

Version = tuple[int, int]
"""The versions of actor and refiner."""

_MARK = re.compile(r"\b(actor|refiner)@(\d+)")


class End(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    CLEAN_ERROR = "clean error"
    """Problem details, also at the end of a stream."""
    TURNED_AWAY = "turned away"
    """The connection was refused."""
    LEFT = "client left"
    CUT = "cut"
    """The connection broke before the answer was complete."""
    SILENT = "silent"
    """No answer within the timeout."""
    GARBLED = "garbled"
    """The response is neither a valid answer nor a problem details error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The content of an answer; `search_id` is set for searches.

    announced: the versions in a stream's first event.
    named: every model version named in the answer.
    """

    versions: Version
    named: frozenset[tuple[str, int]]
    search_id: str | None = None
    announced: Version | None = None
    response: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: when it began and ended (seconds of the run), and how."""

    ask: Ask
    began: float
    ended: float
    end: End
    answer: Answer | None = None
    detail: str = ""


class Garbled(Exception):
    """An answer with an invalid format."""


def named_versions(text: str) -> frozenset[tuple[str, int]]:
    """The model versions named in a text, such as `actor@3`."""
    return frozenset((role, int(version)) for role, version in _MARK.findall(text))


def is_problem(status: int, media_type: str, body: bytes) -> bool:
    """Whether a response is a problem details error."""
    if status < 400 or not media_type.startswith("application/problem+json"):
        return False
    try:
        problem = json.loads(body)
    except ValueError:
        return False
    return isinstance(problem, dict) and problem.get("status") == status and "message" in problem


def read_answer(endpoint: Endpoint, found: Any, announced: Version | None = None) -> Answer:
    """Parse an answer's JSON object.

    Raises:
        Garbled: it has an invalid format.
    """
    try:
        reader = (
            _chat if endpoint not in (Endpoint.GENERATE, Endpoint.GENERATE_STREAM) else _generate
        )
        return _judge(found) if endpoint is Endpoint.JUDGE else reader(endpoint, found, announced)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Garbled(f"{endpoint}: {type(error).__name__}: {error}") from error


def _generate(_: Endpoint, found: Any, announced: Version | None) -> Answer:
    return Answer(
        versions=read_version(found["checkpoint"]),
        named=named_versions(json.dumps(found)),
        search_id=str(found["id"]),
        announced=announced,
        response=found["response"],
        tokens=int(found["usage"]["completion_tokens"]),
    )


def _chat(endpoint: Endpoint, found: Any, announced: Version | None) -> Answer:
    text = found["choices"][0]["message"]["content"]
    fingerprint = dict(named_versions(found["system_fingerprint"]))
    versions = (fingerprint["actor"], fingerprint["refiner"])
    named = named_versions(json.dumps(found))
    if endpoint not in SEARCHED:
        return Answer(versions, named, response=text)
    search = found["search"]
    return Answer(
        versions=read_version(search["checkpoint"]),
        named=named,
        search_id=str(search["id"]),
        announced=announced or versions,
        response=text,
        tokens=int(search["usage"]["completion_tokens"]),
    )


def _judge(found: Any) -> Answer:
    if not isinstance(found["accepted"], bool):
        raise TypeError("accepted is not a yes or no")
    return Answer(read_version(found["checkpoint"]), named_versions(json.dumps(found)))


def read_version(checkpoint: Any) -> Version:
    """Parse the API's versions; raises KeyError, TypeError and ValueError."""
    return int(checkpoint["actor"]), int(checkpoint["refiner"])
