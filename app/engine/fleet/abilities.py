"""What a server can do of what searches, judging and swapping need, found out by asking it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.domain.prompt import Message
from app.engine.fleet.door import ServerDoor
from app.engine.remote_shapes import chat_fields

_PROBE = (Message("user", "Count."), Message("assistant", "one two"))
_LAST_WORD = " two"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one server can do.

    tokenizes: it counts tokens (vLLM's `/tokenize`).
    prefills: it goes on with what was put in the assistant's mouth.
    scores: it tells the log-probabilities of the tokens it is asked for.
    prioritises: it takes calls with a priority.
    swaps: it takes adapters while it runs.
    """

    tokenizes: bool = True
    prefills: bool = True
    scores: bool = True
    prioritises: bool = True
    swaps: bool = True

    def missing(self) -> Iterator[str]:
        """What it cannot do, what happens instead, and what would help, a line each."""
        if not self.tokenizes:
            yield "no /tokenize: lengths are estimated, and token ids cannot be asked for"
        if not self.prefills:
            yield "no prefill (continue_final_message): verdicts and rewrites are asked for"
        if not self.scores:
            yield "no logprob_token_ids: P(yes) is read from the likeliest tokens, or from the text"
        if not self.prioritises:
            yield (
                "no priorities (vLLM: --scheduling-policy priority): the worker's calls are not"
                " put behind people's"
            )
        if not self.swaps:
            yield (
                "no adapters while it runs (vLLM: --enable-lora and"
                " VLLM_ALLOW_RUNTIME_LORA_UPDATING=1): only the base model is served"
            )


async def find_out(door: ServerDoor, model: str) -> Abilities:
    """Ask a server that is up; `model` is the name of its own model.

    It makes one to four calls of one token. Raises `EngineUnavailable` and `EngineError`.
    """
    word = await _tokens(door, {"model": model, "prompt": _LAST_WORD, "add_special_tokens": False})
    rendered = await _tokens(door, {"model": model, **chat_fields(_PROBE)})
    wanted = word[-1] if word else 0
    reply, prioritises = await _one_token(door, model, wanted)
    return Abilities(
        tokenizes=bool(word and rendered),
        # A template that closes the message puts tokens of its own behind the last word.
        prefills=bool(reply and word and rendered and rendered[-1] == word[-1]),
        scores=bool(word) and f"token_id:{wanted}" in _reported(reply),
        prioritises=prioritises,
        swaps=await door.has_door_for_adapters(),
    )


async def _tokens(door: ServerDoor, body: dict[str, Any]) -> list[int] | None:
    """The tokens of a text, or None where the server does not tell."""
    match await door.takes("/tokenize", body):
        case {"tokens": [*tokens]}:
            return tokens
    return None


async def _one_token(door: ServerDoor, model: str, wanted: int) -> tuple[Any, bool]:
    """The reply to a call that uses as much as it takes of what we need, and whether it may have
    a priority; None and false where it takes none of it."""
    call = {"model": model, **chat_fields(_PROBE), "max_tokens": 1, "temperature": 0.0}
    scored = {
        **call,
        "logprobs": True,
        "top_logprobs": 0,
        "logprob_token_ids": [wanted],
        "return_tokens_as_token_ids": True,
    }
    for body in (scored, call):
        for priority in ({"priority": 1}, {}):
            reply = await door.takes("/v1/chat/completions", {**body, **priority})
            if reply is not None:
                return reply, bool(priority)
    return None, False


def _reported(reply: Any) -> list[str]:
    """The tokens that a reply has log-probabilities of."""
    match reply:
        case {"choices": [{"logprobs": {"content": [{"top_logprobs": [*tokens]}, *_]}}, *_]}:
            return [str(token.get("token")) for token in tokens if isinstance(token, dict)]
    return []
