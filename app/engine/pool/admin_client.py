"""Admin requests to one server, detection of its capabilities, and fallbacks without them."""

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

    Use it in one event loop only.

    Raises:
        EngineUnavailable: from every method, if the server does not respond.
    """

    def __init__(self, url: str, *, api_key: str | None) -> None:
        # A kept-alive connection may lead to a process that has ended.
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
        """Request `/health`.

        Raises:
            EngineUnavailable: the server is not healthy.
        """
        response = await self._send("GET", "/health")
        if not response.is_success and response.status_code not in NO_SUCH_ENDPOINT:
            raise EngineUnavailable(
                f"{self._http.url}/health returned {response.status_code}",
                retry_after=RETRY_SECONDS,
            )

    async def models(self) -> list[ModelReply]:
        """The models it serves, its base model first.

        Raises:
            EngineError: it rejects the request.
        """
        try:
            return (await self._http.request(ModelsReply, "GET", "/v1/models")).data
        except HttpError as error:
            raise engine_error(error) from error

    async def post_if_supported(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON reply; None if the server does not support the request.

        Raises:
            EngineError: it is overloaded or failed.
        """
        response = await self._send("POST", path, body, seconds=LOAD_SECONDS)
        if response.status_code == 429 or response.is_server_error:
            raise engine_error(rejection(response))
        try:
            return response.json() if response.is_success else None
        except ValueError:
            return None

    async def can_load_adapters(self) -> bool:
        """Whether it can load adapters at runtime; the empty probe request has no effect."""
        response = await self._send("POST", "/v1/load_lora_adapter", {})
        return response.status_code not in NO_SUCH_ENDPOINT

    async def load_adapter(self, name: str, path: Path) -> None:
        """Load an adapter; the server must see its folder under the same path.

        Raises:
            CheckpointRefused: the server cannot load it.
        """
        body = {"lora_name": name, "lora_path": str(path)}
        response = await self._send("POST", "/v1/load_lora_adapter", body, seconds=LOAD_SECONDS)
        if response.is_success or await self._serves(name, path):
            return
        # A server whose engine has died rejects every request.
        await self.check_health()
        reason = engine_error(rejection(response)).message
        raise CheckpointRefused(f"{self._http.url} cannot load {name}: {reason}")

    async def unload_adapter(self, name: str) -> None:
        """Unload an adapter, if loaded.

        Raises:
            EngineError: the server failed.
        """
        response = await self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if not response.is_success and response.status_code != 404:
            raise engine_error(rejection(response))

    async def _serves(self, name: str, path: Path) -> bool:
        """Whether the adapter is loaded already, perhaps by another client."""
        return any((model.id, model.root) == (name, str(path)) for model in await self.models())

    async def _send(
        self, method: str, path: str, body: object = None, *, seconds: float | None = None
    ) -> Response:
        try:
            return await self._http.send(method, path, body, seconds=seconds)
        except HttpError as error:
            raise engine_error(error) from error


MOST_LOGPROBS = 20
"""Maximum of `top_logprobs` in OpenAI's API."""
WORDS_TOKENS = 4
FLOOR = math.log(1e-9)
"""Log-probability assigned to an option that is not among the top tokens."""


def without_prefill(call: Call) -> Call:
    """The call without its prefill."""
    if call.messages[-1].role != "assistant":
        return call
    return replace(call, messages=call.messages[:-1])


def question(call: Call, options: Sequence[str], *, prefills: bool, logprobs: bool) -> Call:
    """A call whose completion names one of the options.

    Without prefill support, the prefill becomes a complete assistant message, followed by a user
    message that requests one of the options.
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
    """The options' log-probabilities in a completion of `question`; empty if it names none.

    Tokens are compared without surrounding spaces, which depend on the preceding text.
    """
    found: dict[str, float] = {}
    if completion.logprobs:
        for token in completion.logprobs[0].top:
            known = found.get(token.token.strip(), -math.inf)
            found[token.token.strip()] = max(known, token.logprob)
    if not any(option.strip() in found for option in options):
        found = _first_word_match(completion.text, options)
    if not found:
        return {}
    return {option: max(found.get(option.strip(), FLOOR), FLOOR) for option in options}


def _first_word_match(text: str, options: Sequence[str]) -> dict[str, float]:
    """The options that equal the text's first word, ignoring case."""
    words = text.split()
    first = words[0].strip(".,:;!*\"'").casefold() if words else ""
    return {option.strip(): 0.0 for option in options if option.strip().casefold() == first}


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Upper estimate of the conversation's tokens: three bytes per token, 8 per message."""
    return sum(len(message.content.encode()) // 3 + 8 for message in messages)


_PROBE = (Message("user", "Count."), Message("assistant", "one two"))
_LAST_WORD = " two"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one server supports.

    tokenizes: `/tokenize`.
    prefills: `continue_final_message`.
    scores: `logprob_token_ids`.
    prioritises: `priority`.
    swaps: loading adapters at runtime.
    """

    tokenizes: bool = True
    prefills: bool = True
    scores: bool = True
    prioritises: bool = True
    swaps: bool = True

    def missing(self) -> Iterator[str]:
        """One line per missing capability: its effect and how to enable it."""
        if not self.tokenizes:
            yield "no /tokenize: token counts are estimated, token ids are unavailable"
        if not self.prefills:
            yield "no prefill (continue_final_message): verdicts and rewrites use extra messages"
        if not self.scores:
            yield "no logprob_token_ids: P(yes) is read from the top tokens, or from the text"
        if not self.prioritises:
            yield (
                "no priorities (vLLM: --scheduling-policy priority): the worker's calls compete"
                " with interactive ones"
            )
        if not self.swaps:
            yield (
                "no adapters at runtime (vLLM: --enable-lora and"
                " VLLM_ALLOW_RUNTIME_LORA_UPDATING=1): only the base model is served"
            )


async def probe_capabilities(client: VllmAdminClient, model: str) -> Capabilities:
    """Detect the capabilities of a running server, with one to four calls of one token.

    Args:
        client: The server.
        model: The name of its base model.

    Raises:
        EngineUnavailable: it does not respond.
        EngineError: it fails.
    """
    word = await _tokens(
        client, {"model": model, "prompt": _LAST_WORD, "add_special_tokens": False}
    )
    rendered = await _tokens(client, {"model": model, **chat_fields(_PROBE)})
    wanted = word[-1] if word else 0
    reply, prioritises = await _one_token(client, model, wanted)
    return Capabilities(
        tokenizes=bool(word and rendered),
        # A template that closes the message appends tokens after the last word.
        prefills=bool(reply and word and rendered and rendered[-1] == word[-1]),
        scores=bool(word) and f"token_id:{wanted}" in _reported(reply),
        prioritises=prioritises,
        swaps=await client.can_load_adapters(),
    )


async def _tokens(client: VllmAdminClient, body: dict[str, Any]) -> list[int] | None:
    """The token ids; None if the server does not support `/tokenize`."""
    match await client.post_if_supported("/tokenize", body):
        case {"tokens": [*tokens]}:
            return tokens
    return None


async def _one_token(client: VllmAdminClient, model: str, wanted: int) -> tuple[Any, bool]:
    """The reply to the first accepted variant of a call, and whether that had a priority.

    None and False if every variant is rejected.
    """
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
    """The tokens whose log-probabilities a reply contains."""
    match reply:
        case {"choices": [{"logprobs": {"content": [{"top_logprobs": [*tokens]}, *_]}}, *_]}:
            return [str(token.get("token")) for token in tokens if isinstance(token, dict)]
    return []
