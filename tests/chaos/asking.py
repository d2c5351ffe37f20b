"""What clients ask: every endpoint and every mode, chosen by the seed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from app.domain.search import Mode

LEAVING = 0.15
"""The share of clients that do not wait for their answer."""
SHAPE = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1}
TOKENS = 16


class Endpoint(StrEnum):
    """A way to ask."""

    GENERATE = "generate"
    GENERATE_STREAM = "generate-stream"
    CHAT = "chat"
    CHAT_STREAM = "chat-stream"
    CHAT_SEARCH = "chat-search"
    CHAT_SEARCH_STREAM = "chat-search-stream"
    JUDGE = "judge"


SEARCHED = frozenset(
    {Endpoint.GENERATE, Endpoint.GENERATE_STREAM, Endpoint.CHAT_SEARCH, Endpoint.CHAT_SEARCH_STREAM}
)
"""The endpoints whose answers are searches, which are stored."""
STREAMED = frozenset({Endpoint.GENERATE_STREAM, Endpoint.CHAT_STREAM, Endpoint.CHAT_SEARCH_STREAM})
PATHS = {
    Endpoint.GENERATE: "/generate",
    Endpoint.GENERATE_STREAM: "/generate",
    Endpoint.JUDGE: "/judge",
}
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `prompt` is like no other request's; `leave_after` in seconds, or never."""

    number: int
    endpoint: Endpoint
    prompt: str
    body: dict[str, Any]
    leave_after: float | None = None

    @property
    def path(self) -> str:
        """Where it is sent."""
        return PATHS.get(self.endpoint, CHAT_PATH)


def mark(seed: int) -> str:
    """What the prompts of one run begin with."""
    return f"Chaos {seed}-"


def ask_for(seed: int, number: int) -> Ask:
    """The request of this number: the same again for the same seed."""
    random = Random(f"{seed}/{number}")
    endpoint, mode = random.choice(list(Endpoint)), random.choice(list(Mode))
    prompt = f"{mark(seed)}{number}: name a river."
    leave = random.uniform(0.02, 1.0) if random.random() < LEAVING else None
    return Ask(number, endpoint, prompt, BODIES[endpoint](prompt, mode), leave)


def _generate(prompt: str, mode: Mode, *, stream: bool) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "mode": mode.value,
        "search": SHAPE,
        "sampling": {"max_tokens": TOKENS},
        "stream": stream,
        "include_tree": True,
    }


def _chat(prompt: str, model: str, *, stream: bool) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": TOKENS,
        "stream": stream,
    }


def _chat_search(prompt: str, mode: Mode, *, stream: bool) -> dict[str, Any]:
    chat = _chat(prompt, f"actor:{mode.value}", stream=stream)
    return chat | {"search": SHAPE, "include_tree": True}


def _judge(prompt: str, _: Mode) -> dict[str, Any]:
    return {"prompt": prompt, "response": "The Nile.", "search": {"votes": 3}}


BODIES: dict[Endpoint, Callable[[str, Mode], dict[str, Any]]] = {
    Endpoint.GENERATE: lambda prompt, mode: _generate(prompt, mode, stream=False),
    Endpoint.GENERATE_STREAM: lambda prompt, mode: _generate(prompt, mode, stream=True),
    Endpoint.CHAT: lambda prompt, _: _chat(prompt, "actor", stream=False),
    Endpoint.CHAT_STREAM: lambda prompt, _: _chat(prompt, "actor", stream=True),
    Endpoint.CHAT_SEARCH: lambda prompt, mode: _chat_search(prompt, mode, stream=False),
    Endpoint.CHAT_SEARCH_STREAM: lambda prompt, mode: _chat_search(prompt, mode, stream=True),
    Endpoint.JUDGE: _judge,
}
