"""Model calls over HTTP: an OpenAI-compatible server's `/v1`, ours or `vllm serve`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta
from app.engine.remote_protocol import (
    RETRY_SECONDS,
    ChatReply,
    HealthReply,
    ModelsReply,
    Streamed,
    TokenizeReply,
    chat_body,
    chat_fields,
    error_of,
)
from app.errors import ConfigurationError, EngineError, EngineUnavailable

CONTEXT_TOKENS = 4096
"""What a server that does not tell its models' context is taken to have."""
_CHAT = "/v1/chat/completions"
_DONE = "[DONE]"
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 2.0
"""Less than the 5 s after which uvicorn closes an idle connection: a request must not meet that."""
_LOCAL = {"localhost", "127.0.0.1", "::1"}

_Reply = TypeVar("_Reply", bound=BaseModel)


class RemoteEngine:
    """An `Engine` over an OpenAI-compatible server that also has vLLM's `/tokenize`.

    Only calls that are `shown` are streamed. The others report their progress once, when they have
    ended, and nothing when they are cancelled. Cancelling closes the connection, on which the
    server aborts the call.

    url: the server's address, with or without `/v1`.
    connections: requests at the same time, tokenizing included; more wait for their turn here.
    timeout_s: seconds that one whole call may take.
    api_key: sent as a bearer token with every request.

    Raises `ConfigurationError` for what is no address.
    """

    def __init__(
        self, url: str, *, connections: int, timeout_s: float, api_key: str | None = None
    ) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{url} is not an address; write it like http://127.0.0.1:8000"
            )
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=_IDLE_SECONDS,
            ),
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_SECONDS, pool=None),
            # A proxy configured for the outside world cannot reach this machine's own address.
            trust_env=parts.hostname not in _LOCAL,
        )
        self._timeout_s = timeout_s
        self._context_tokens = CONTEXT_TOKENS
        self._model: str | None = None
        self._single_tokens: dict[tuple[str, str], int | None] = {}
        self._unfinished = 0
        self._ready = False

    async def start(self) -> None:
        """Learn the server's models and context. May be called again, to see whether it is back.

        Raises `EngineUnavailable` and `EngineError`.
        """
        models = (await self._request(ModelsReply, "GET", "/v1/models")).data
        lengths = [model.max_model_len for model in models if model.max_model_len is not None]
        self._context_tokens = min(lengths, default=CONTEXT_TOKENS)
        self._model = models[0].id if models else None

    async def asleep(self) -> bool:
        """Whether the engine of a server of ours sleeps. Raises as `start` does."""
        return (await self._request(HealthReply, "GET", "/healthz")).engine_asleep

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._ready = False
        await self._http.aclose()

    @property
    def ready(self) -> bool:
        """Whether the server took the last request; false before `start`."""
        return self._ready

    @property
    def restarts(self) -> int:
        """Always 0: the server keeps its own count."""
        return 0

    @property
    def context_tokens(self) -> int:
        """Prompt and completion together may be this long, as the server said at the start."""
        return self._context_tokens

    @property
    def unfinished(self) -> int:
        """Calls of this engine that have not ended; the server may have others."""
        return self._unfinished

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Generate one completion; see `Engine.complete`."""
        body = chat_body(call, self._context_tokens)
        self._unfinished += 1
        try:
            if call.shown:
                return await self._streamed(call, body, on_delta)
            reply = await self._request(ChatReply, "POST", _CHAT, body)
        finally:
            self._unfinished -= 1
        completion = reply.completion(call)
        on_delta(Delta(prompt_tokens=completion.prompt_tokens))
        on_delta(Delta(completion.text, completion.completion_tokens, logprobs=completion.logprobs))
        return completion

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """Log-probabilities of the options as the next token; see `Engine.score`."""
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
            raise EngineError(f"{self._url} answered without the log-probabilities asked for")
        scores = {token.id: token.logprob for token in completion.logprobs[0].top}
        return {option: scores[token] for option, token in tokens.items() if token in scores}

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length in tokens of the rendered conversation. Raises `EngineUnavailable`."""
        return (await self._tokenize(chat_fields(messages))).count

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """Token ids of a text or of the rendered conversation; see `Engine.tokenize`."""
        if isinstance(content, str):
            body = {"prompt": content, "add_special_tokens": special_tokens}
            return (await self._tokenize(body)).tokens
        return (await self._tokenize(chat_fields(content))).tokens

    async def _single_token(self, model: str, text: str) -> int | None:
        """The id of a text that is exactly one token of this model's, else None."""
        key = (model, text)
        if key not in self._single_tokens:
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            tokens = (await self._tokenize(body)).tokens
            self._single_tokens[key] = tokens[0] if len(tokens) == 1 else None
        return self._single_tokens[key]

    async def _tokenize(self, body: Mapping[str, Any]) -> TokenizeReply:
        """All models of a server are taken to read alike, unless `body` names one."""
        named = {} if self._model is None else {"model": self._model}
        return await self._request(TokenizeReply, "POST", "/tokenize", {**named, **body})

    async def _request(
        self,
        shape: type[_Reply],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> _Reply:
        """One request. Raises `PromptTooLong`, `EngineUnavailable` and `EngineError`."""
        with self._failures(path):
            response = await self._http.request(method, path, json=body)
            self._accept(response)
            return shape.model_validate_json(response.content)

    async def _streamed(self, call: Call, body: Mapping[str, Any], on_delta: OnDelta) -> Completion:
        """A call whose text is reported as it comes. Raises as `_request`."""
        result = Streamed(call)
        with self._failures(_CHAT):
            async with self._http.stream("POST", _CHAT, json=body) as response:
                if not response.is_success:
                    await response.aread()
                self._accept(response)
                async for line in response.aiter_lines():
                    event = line.removeprefix("data:").strip()
                    if line.startswith("data:") and event != _DONE:
                        on_delta(result.read(event))
        completion, rest = result.finish()
        on_delta(rest)
        return completion

    def _accept(self, response: httpx.Response) -> None:
        """Note whether the server takes calls. Raises what its refusal means."""
        if not response.is_success:
            self._ready = response.status_code != httpx.codes.SERVICE_UNAVAILABLE
            raise error_of(response)
        self._ready = True

    @contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        """What goes wrong on the way, as errors of an engine."""
        try:
            yield
        except httpx.ReadTimeout as error:
            self._ready = False
            raise EngineUnavailable(
                f"{self._url} was silent for {self._timeout_s:g} seconds",
                retry_after=RETRY_SECONDS,
            ) from error
        except httpx.RequestError as error:
            self._ready = False
            raise EngineUnavailable(
                f"{self._url} does not answer: {error or type(error).__name__}",
                retry_after=RETRY_SECONDS,
            ) from error
        except ValidationError as error:
            raise EngineError(
                f"what {self._url}{path} answered cannot be understood: {error.errors()[0]['msg']}"
            ) from error
