"""Client requests: every endpoint and mode, chosen by the seed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from app.domain.search import Mode

LEAVING = 0.15
"""Share of clients that disconnect early."""
SHAPE = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1}
TOKENS = 16


class Endpoint(StrEnum):
    """An API endpoint, streaming or not."""

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
"""The endpoints that run searches, which are stored."""
STREAMED = frozenset({Endpoint.GENERATE_STREAM, Endpoint.CHAT_STREAM, Endpoint.CHAT_SEARCH_STREAM})
PATHS = {
    Endpoint.GENERATE: "/generate",
    Endpoint.GENERATE_STREAM: "/generate",
    Endpoint.JUDGE: "/judge",
}
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request with a unique prompt; `leave_after`: seconds until the client disconnects."""

    number: int
    endpoint: Endpoint
    prompt: str
    body: dict[str, Any]
    leave_after: float | None = None

    @property
    def path(self) -> str:
        """The URL path."""
        return PATHS.get(self.endpoint, CHAT_PATH)


def mark(seed: int) -> str:
    """Prefix of the prompts of one run."""
    return f"Chaos {seed}-"


def ask_for(seed: int, number: int) -> Ask:
    """The request of this number, deterministic for a seed."""
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
