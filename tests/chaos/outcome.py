"""What became of a request, as its client saw it."""

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
    """Nobody listened: there was no server to accept it."""
    LEFT = "client left"
    CUT = "cut"
    """The connection broke before the answer was whole."""
    SILENT = "silent"
    """No answer in the time that every answer takes."""
    GARBLED = "garbled"
    """Something came that is neither an answer nor an error of ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer said. `search_id` is set where it came from a search.

    announced: the versions that a stream named before it began.
    named: every version of a model that is named anywhere in the answer.
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
    """An answer that has not the shape it must have; the text says where."""


def named_versions(text: str) -> frozenset[tuple[str, int]]:
    """The models with versions that a text names, such as `actor@3`."""
    return frozenset((role, int(version)) for role, version in _MARK.findall(text))


def is_problem(status: int, media_type: str, body: bytes) -> bool:
    """Whether a response is an error as ours are."""
    if status < 400 or not media_type.startswith("application/problem+json"):
        return False
    try:
        problem = json.loads(body)
    except ValueError:
        return False
    return isinstance(problem, dict) and problem.get("status") == status and "message" in problem


def read_answer(endpoint: Endpoint, found: Any, announced: Version | None = None) -> Answer:
    """What the JSON object of an answer says. Raises `Garbled`."""
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
    """The versions as the API writes them. Raises KeyError, TypeError and ValueError."""
    return int(checkpoint["actor"]), int(checkpoint["refiner"])
