"""Model calls over HTTP: an OpenAI-compatible server's `/v1`, ours or `vllm serve`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta
from app.engine.remote_protocol import (
    Streamed,
    chat_body,
    chat_fields,
    completion_of,
    engine_error,
)
from app.errors import EngineError
from app.http_client import HttpClient, HttpError, InvalidReply, Reply, RequestRejected, parse
from app.replies import ChatReply, ChunkReply, HealthReply, ModelsReply, TokenizeReply

CONTEXT_TOKENS = 4096
"""Context length assumed for a server that does not report it."""
_CHAT = "/v1/chat/completions"
_DONE = "[DONE]"


class RemoteEngine:
    """An `Engine` over an OpenAI-compatible server that also has vLLM's `/tokenize`.

    Only `shown` calls are streamed. Others report their progress once, at the end, and none when
    cancelled. Cancelling closes the connection, upon which the server aborts the call.

    Args:
        url: The server's address, with or without `/v1`.
        connections: Maximum concurrent requests, tokenizing included; further ones queue here.
        timeout_s: Read timeout of a call, in seconds.
        api_key: Sent as a bearer token with every request.

    Raises:
        ConfigurationError: `url` is invalid.
    """

    def __init__(
        self, url: str, *, connections: int, timeout_s: float, api_key: str | None = None
    ) -> None:
        self._http = HttpClient(
            url, api_key=api_key, read_seconds=timeout_s, connections=connections
        )
        self._context_tokens = CONTEXT_TOKENS
        self._model: str | None = None
        self._single_tokens: dict[tuple[str, str], int | None] = {}
        self._unfinished = 0
        self._ready = False

    async def start(self) -> None:
        """Fetch the server's models and context length; callable again as a health check.

        Raises:
            EngineUnavailable: the server does not respond or is busy.
            EngineError: it rejects the request, or its reply is invalid.
        """
        models = (await self._request(ModelsReply, "GET", "/v1/models")).data
        lengths = [model.max_model_len for model in models if model.max_model_len is not None]
        self._context_tokens = min(lengths, default=CONTEXT_TOKENS)
        self._model = models[0].id if models else None

    async def asleep(self) -> bool:
        """Whether the engine of a spar server sleeps; raises as `start` does."""
        return (await self._request(HealthReply, "GET", "/healthz")).engine_asleep

    async def close(self) -> None:
        """Close the connections; calls in progress fail."""
        self._ready = False
        await self._http.close()

    @property
    def ready(self) -> bool:
        """Whether the server accepted the last request; False before `start`."""
        return self._ready

    @property
    def restarts(self) -> int:
        """Always 0: the server counts its own restarts."""
        return 0

    @property
    def context_tokens(self) -> int:
        """Context length reported by the server at `start`."""
        return self._context_tokens

    @property
    def unfinished(self) -> int:
        """Calls in progress from this client; the server may have others."""
        return self._unfinished

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        body = chat_body(call, self._context_tokens)
        self._unfinished += 1
        try:
            if call.shown:
                return await self._streamed(call, body, on_delta)
            reply = await self._request(ChatReply, "POST", _CHAT, body)
        finally:
            self._unfinished -= 1
        completion = completion_of(reply, call)
        on_delta(Delta(prompt_tokens=completion.prompt_tokens))
        on_delta(Delta(completion.text, completion.completion_tokens, logprobs=completion.logprobs))
        return completion

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        found = {option: await self._single_token(call.model, option) for option in options}
        tokens = {option: token for option, token in found.items() if token is not None}
        if not tokens:
            return {}
        one_token = replace(
            call,
            sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=1),
            logprobs=0,
            logprob_token_ids=tuple(dict.fromkeys(tokens.values())),
        )
        completion = await self.complete(one_token, on_delta)
        if not completion.logprobs:
            raise EngineError(f"{self._http.url} returned no log-probabilities")
        scores = {token.id: token.logprob for token in completion.logprobs[0].top}
        return {option: scores[token] for option, token in tokens.items() if token in scores}

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return (await self._tokenize(chat_fields(messages))).count

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        if isinstance(content, str):
            body = {"prompt": content, "add_special_tokens": special_tokens}
            return (await self._tokenize(body)).tokens
        return (await self._tokenize(chat_fields(content))).tokens

    async def _single_token(self, model: str, text: str) -> int | None:
        """The token id of a text that is exactly one token for this model, else None."""
        key = (model, text)
        if key not in self._single_tokens:
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            tokens = (await self._tokenize(body)).tokens
            self._single_tokens[key] = tokens[0] if len(tokens) == 1 else None
        return self._single_tokens[key]

    async def _tokenize(self, body: Mapping[str, Any]) -> TokenizeReply:
        """Uses the tokenizer of the server's first model, unless `body` names one."""
        named = {} if self._model is None else {"model": self._model}
        return await self._request(TokenizeReply, "POST", "/tokenize", {**named, **body})

    async def _request(
        self,
        schema: type[Reply],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        with self._errors():
            return await self._http.request(schema, method, path, body)

    async def _streamed(self, call: Call, body: Mapping[str, Any], on_delta: OnDelta) -> Completion:
        """Make a streaming call."""
        result = Streamed(call)
        with self._errors():
            async with aclosing(self._http.events(_CHAT, body)) as events:
                async for data in events:
                    if data != _DONE:
                        on_delta(result.read(parse(ChunkReply, data, self._http.url + _CHAT)))
        completion, rest = result.finish()
        on_delta(rest)
        return completion

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert HTTP errors into engine errors, and update `ready`.

        Raises:
            PromptTooLong, EngineUnavailable, EngineError: see `engine_error`.
        """
        try:
            yield
        except HttpError as error:
            self._ready = isinstance(error, InvalidReply) or (
                isinstance(error, RequestRejected) and error.status_code != 503
            )
            raise engine_error(error) from error
        self._ready = True
