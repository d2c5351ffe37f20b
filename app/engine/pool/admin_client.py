"""What a server can do of what searches, judging and swapping need, found out by asking it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion
from app.engine.remote_protocol import RETRY_SECONDS, chat_fields, engine_error
from app.errors import CheckpointRefused, EngineUnavailable
from app.http_client import HttpClient, HttpError, Response, rejection
from app.replies import ModelReply, ModelsReply

PROBE_SECONDS = 3.0
LOAD_SECONDS = 120.0
NO_SUCH_ENDPOINT = (404, 405)
_CONNECTIONS = 4


class VllmAdminClient:
    """Health, models and adapters of one server, at its address without `/v1`.

    Belongs to one event loop. Every method raises `EngineUnavailable` where the server does not
    answer.
    """

    def __init__(self, url: str, *, api_key: str | None) -> None:
        # A connection that is kept may be one to a server that is gone.
        self._http = HttpClient(
            url,
            api_key=api_key,
            read_seconds=PROBE_SECONDS,
            connections=_CONNECTIONS,
            keep_alive=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def check_health(self) -> None:
        """Raise `EngineUnavailable` unless the server reports that it is healthy."""
        response = await self._send("GET", "/health")
        if not response.is_success and response.status_code not in NO_SUCH_ENDPOINT:
            raise EngineUnavailable(
                f"{self._http.url}/health answered {response.status_code}",
                retry_after=RETRY_SECONDS,
            )

    async def models(self) -> list[ModelReply]:
        """What it serves, its own model first. Raises `EngineError`."""
        try:
            return (await self._http.request(ModelsReply, "GET", "/v1/models")).data
        except HttpError as error:
            raise engine_error(error) from error

    async def post_if_supported(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON reply to a request that the server may not support; None where it rejects it."""
        response = await self._send("POST", path, body, seconds=LOAD_SECONDS)
        if response.status_code == 429 or response.is_server_error:
            raise engine_error(rejection(response))
        try:
            return response.json() if response.is_success else None
        except ValueError:
            return None

    async def can_load_adapters(self) -> bool:
        """Whether adapters can be loaded while it runs; an empty request changes nothing."""
        response = await self._send("POST", "/v1/load_lora_adapter", {})
        return response.status_code not in NO_SUCH_ENDPOINT

    async def load_adapter(self, name: str, path: Path) -> None:
        """Have it serve an adapter; the folder must be there under the same path.

        Raises `CheckpointRefused`.
        """
        body = {"lora_name": name, "lora_path": str(path)}
        response = await self._send("POST", "/v1/load_lora_adapter", body, seconds=LOAD_SECONDS)
        if response.is_success or await self._serves(name, path):
            return
        # A server that has just died rejects every request.
        await self.check_health()
        reason = engine_error(rejection(response)).message
        raise CheckpointRefused(f"{self._http.url} cannot load {name}: {reason}")

    async def unload_adapter(self, name: str) -> None:
        """Have it unload an adapter, if it has it. Raises `EngineError`."""
        response = await self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if not response.is_success and response.status_code != 404:
            raise engine_error(rejection(response))

    async def _serves(self, name: str, path: Path) -> bool:
        """Whether another client, perhaps another spar server, has loaded this very adapter."""
        return any((model.id, model.root) == (name, str(path)) for model in await self.models())

    async def _send(
        self, method: str, path: str, body: object = None, *, seconds: float | None = None
    ) -> Response:
        try:
            return await self._http.send(method, path, body, seconds=seconds)
        except HttpError as error:
            raise engine_error(error) from error


MOST_LOGPROBS = 20
"""The likeliest tokens that OpenAI's interface tells at most."""
WORDS_TOKENS = 4
FLOOR = math.log(1e-9)
"""Stands for the log-probability of an option that is not among the likeliest tokens."""


def without_prefill(call: Call) -> Call:
    """The same call without its opened answer, which the conversation must not depend on."""
    if call.messages[-1].role != "assistant":
        return call
    return replace(call, messages=call.messages[:-1])


def question(call: Call, options: Sequence[str], *, prefills: bool, logprobs: bool) -> Call:
    """A call whose answer says which of the options comes next.

    Where the opened answer cannot be continued, it is given as said, and the option is asked for.
    """
    messages = call.messages
    if not prefills and messages[-1].role == "assistant":
        words = " or ".join(dict.fromkeys(option.strip().lower() for option in options))
        messages = (*messages, Message("user", f"Go on with one word: {words}."))
    length = 1 if logprobs else WORDS_TOKENS
    return replace(
        call,
        messages=messages,
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=length),
        logprobs=MOST_LOGPROBS if logprobs else None,
        logprob_token_ids=(),
    )


def read_scores(completion: Completion, options: Sequence[str]) -> Mapping[str, float]:
    """The options' log-probabilities in an answer to `question`; nothing if it says none of them.

    Spaces around a token do not count: whether a word has one depends on what was before it.
    """
    found: dict[str, float] = {}
    if completion.logprobs:
        for token in completion.logprobs[0].top:
            known = found.get(token.token.strip(), -math.inf)
            found[token.token.strip()] = max(known, token.logprob)
    if not any(option.strip() in found for option in options):
        found = _as_said(completion.text, options)
    if not found:
        return {}
    return {option: max(found.get(option.strip(), FLOOR), FLOOR) for option in options}


def _as_said(text: str, options: Sequence[str]) -> dict[str, float]:
    """The options that the text's first word is, in whatever case."""
    words = text.split()
    first = words[0].strip(".,:;!*\"'").casefold() if words else ""
    return {option.strip(): 0.0 for option in options if option.strip().casefold() == first}


def estimated_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a conversation has, rather too many: three bytes to a token."""
    return sum(len(message.content.encode()) // 3 + 8 for message in messages)


_PROBE = (Message("user", "Count."), Message("assistant", "one two"))
_LAST_WORD = " two"


@dataclass(frozen=True, slots=True)
class Capabilities:
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


async def probe_capabilities(client: VllmAdminClient, model: str) -> Capabilities:
    """Ask a server that is up; `model` is the name of its own model.

    It makes one to four calls of one token. Raises `EngineUnavailable` and `EngineError`.
    """
    word = await _tokens(
        client, {"model": model, "prompt": _LAST_WORD, "add_special_tokens": False}
    )
    rendered = await _tokens(client, {"model": model, **chat_fields(_PROBE)})
    wanted = word[-1] if word else 0
    reply, prioritises = await _one_token(client, model, wanted)
    return Capabilities(
        tokenizes=bool(word and rendered),
        # A template that closes the message puts tokens of its own behind the last word.
        prefills=bool(reply and word and rendered and rendered[-1] == word[-1]),
        scores=bool(word) and f"token_id:{wanted}" in _reported(reply),
        prioritises=prioritises,
        swaps=await client.can_load_adapters(),
    )


async def _tokens(client: VllmAdminClient, body: dict[str, Any]) -> list[int] | None:
    """The tokens of a text, or None where the server does not tell."""
    match await client.post_if_supported("/tokenize", body):
        case {"tokens": [*tokens]}:
            return tokens
    return None


async def _one_token(client: VllmAdminClient, model: str, wanted: int) -> tuple[Any, bool]:
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
            reply = await client.post_if_supported("/v1/chat/completions", {**body, **priority})
            if reply is not None:
                return reply, bool(priority)
    return None, False


def _reported(reply: Any) -> list[str]:
    """The tokens that a reply has log-probabilities of."""
    match reply:
        case {"choices": [{"logprobs": {"content": [{"top_logprobs": [*tokens]}, *_]}}, *_]}:
            return [str(token.get("token")) for token in tokens if isinstance(token, dict)]
    return []
