"""One server of a pool: routing, adapters, health and calls."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from app.domain.checkpoint import Role, parse_served_name
from app.domain.prompt import Message
from app.engine.base import Call, Completion, OnDelta
from app.engine.pool import admin_client as plain
from app.engine.pool.admin_client import Capabilities, VllmAdminClient, probe_capabilities
from app.engine.pool.health import HealthMonitor, Pauses
from app.engine.remote import RemoteEngine
from app.engine.remote_protocol import RETRY_SECONDS, CallRefused, ServerBusy
from app.errors import CheckpointRefused, EngineError, EngineUnavailable, SparError

AFFINITY_CALLS = 16
"""Load slack: the cache-affine replica is preferred while it has at most this many more calls in
progress than the least loaded one. About one search's concurrency: its calls share a prefix cache,
and several searches spread out.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A server and its number of calls in progress."""

    url: str
    calls: int


def choose(loads: Iterable[Load], key: str, slack: int = AFFINITY_CALLS) -> str | None:
    """The server for a call with affinity key `key`; None without servers.

    Among the servers within `slack` calls of the least loaded, the one that ranks highest for the
    key (rendezvous hashing): adding or removing a server moves only that server's keys.
    """
    known = list(loads)
    if not known:
        return None
    most = min(load.calls for load in known) + slack
    return max((load.url for load in known if load.calls <= most), key=lambda url: _rank(url, key))


def _rank(url: str, key: str) -> tuple[bytes, str]:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=_person(url))
    return digest.digest(), url


def _person(url: str) -> bytes:
    return blake2b(url.encode(), digest_size=16).digest()


BASE_VERSION = 0
"""The version that stands for the server's base model, without an adapter."""


class AdapterRegistry:
    """Adapter names, their folders, and which of them are active.

    A name is bound to one folder permanently (servers cache prefixes under it). Deactivated
    adapters stay registered: searches that started with one finish with it.
    """

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._wanted: set[str] = set()

    def put(self, name: str, path: Path) -> Role:
        """Activate an adapter and return its role.

        Raises:
            CheckpointRefused: the name is invalid, or bound to another folder.
        """
        served = parse_served_name(name)
        if served is None or served[1] == BASE_VERSION:
            raise CheckpointRefused(f"{name} is not an adapter name")
        known = self._folders.setdefault(name, path)
        if known != path:
            raise CheckpointRefused(f"{name} is served from {known} already")
        self._wanted.add(name)
        return served[0]

    def deactivate(self, name: str) -> None:
        """Exclude it from `wanted`."""
        self._wanted.discard(name)

    def forget(self, name: str) -> None:
        """Remove an adapter that was never served; its name is free again."""
        self._wanted.discard(name)
        self._folders.pop(name, None)

    def folder(self, name: str) -> Path | None:
        """The folder of a registered adapter, active or not."""
        return self._folders.get(name)

    def wanted(self, roles: Set[Role]) -> Mapping[str, Path]:
        """The active adapters of these roles, with their folders."""
        return {
            name: self._folders[name]
            for name in sorted(self._wanted)
            if (served := parse_served_name(name)) is not None and served[0] in roles
        }


log = logging.getLogger(__name__)

CONNECTIONS = 1024
"""Maximum concurrent calls; further ones queue here, without regard to priority."""
DETECTION_SECONDS = 60.0
"""Timeout of capability detection: a few calls of one token, also on a busy server."""

Result = TypeVar("Result")


class Replica:
    """One server, monitored from `start` to `close`.

    It is `up` while probes and calls succeed and it has every active adapter of its roles. When it
    goes down, its calls in progress fail at once instead of waiting for a hung process.

    calls: number of calls in progress.
    """

    def __init__(
        self,
        url: str,
        roles: Set[Role],
        adapter_registry: AdapterRegistry,
        *,
        api_key: str | None,
        call_seconds: float,
        pauses: Pauses,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.roles = roles
        self.capabilities = Capabilities()
        self.calls = 0
        self._engine = RemoteEngine(
            self.url, connections=CONNECTIONS, timeout_s=call_seconds, api_key=api_key
        )
        self._client = VllmAdminClient(self.url, api_key=api_key)
        self._adapter_registry = adapter_registry
        self._watch = HealthMonitor(self.url, self._examine, self._log_up, pauses)
        self._model = ""
        self._held: set[str] = set()
        self._lock = asyncio.Lock()
        self._logged: Capabilities | None = None

    @property
    def up(self) -> bool:
        """Whether calls are routed to it."""
        return self._watch.up

    @property
    def returns(self) -> int:
        """Number of transitions to up."""
        return self._watch.returns

    @property
    def trouble(self) -> str:
        """Error of the last probe; empty on success."""
        return self._watch.trouble

    @property
    def context_tokens(self) -> int:
        """Context length reported when it came up."""
        return self._engine.context_tokens

    def start(self) -> None:
        """Start health checks."""
        self._watch.start()

    async def close(self) -> None:
        """Stop health checks, unload the adapters loaded from here, and close the connections."""
        await self._watch.stop()
        if self.up:
            for name in list(self._held):
                await self.drop(name)
        await self._engine.close()
        await self._client.close()

    async def take(self, name: str, path: Path) -> None:
        """Load an adapter, if not loaded.

        Raises:
            CheckpointRefused: the server cannot load it.
            EngineUnavailable: it does not respond; it is down until it has the adapter.
        """
        async with self._lock:
            try:
                await self._watch.unless_silent(lambda: self._client.load_adapter(name, path))
            except EngineUnavailable as error:
                self._watch.lacks(error)
                raise
            self._held.add(name)

    async def drop(self, name: str) -> None:
        """Unload an adapter; on failure it is unloaded when the server is up again."""
        async with self._lock:
            if name not in self._held:
                return
            try:
                await self._client.unload_adapter(name)
            except SparError as error:
                self._watch.lacks(error)
            else:
                self._held.discard(name)

    async def complete(self, call: Call, on_delta: OnDelta) -> Completion:
        """See `Engine.complete`."""
        if not self.capabilities.prefills:
            call = plain.without_prefill(call)
        named = self._named(call)
        return await self._made(named.model, lambda: self._engine.complete(named, on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta
    ) -> Mapping[str, float]:
        """See `Engine.score`; without server support the model generates one of the options."""
        named, can = self._named(call), self.capabilities
        if can.scores and can.prefills:
            return await self._made(
                named.model, lambda: self._engine.score(named, options, on_delta)
            )

        async def ask(*, logprobs: bool) -> Mapping[str, float]:
            asked = plain.question(named, options, prefills=can.prefills, logprobs=logprobs)
            made = self._made(asked.model, lambda: self._engine.complete(asked, on_delta))
            return plain.read_scores(await made, options)

        try:
            return await ask(logprobs=True)
        except CallRefused:  # no support for logprobs at all
            return await ask(logprobs=False)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`; an estimate if the server has no `/tokenize`."""
        if not self.capabilities.tokenizes:
            return plain.estimated_tokens(messages)
        return await self._made("", lambda: self._engine.count_tokens(messages))

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool
    ) -> list[int]:
        """See `Engine.tokenize`.

        Raises:
            EngineError: the server has no `/tokenize`.
        """
        if not self.capabilities.tokenizes:
            raise EngineError(f"{self.url} cannot tokenize")
        return await self._made(
            "", lambda: self._engine.tokenize(content, special_tokens=special_tokens)
        )

    def _named(self, call: Call) -> Call:
        """The call with the server's name for its base model, and a priority if supported."""
        served = parse_served_name(call.model)
        base = served is not None and served[1] == BASE_VERSION
        priority = call.priority if self.capabilities.prioritises else 0
        return replace(call, model=self._model if base else call.model, priority=priority)

    async def _made(self, model: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Run a call and record its outcome as health.

        An adapter that the server has lost (restarted, or unloaded by another client) is reloaded.
        """
        self.calls += 1
        try:
            try:
                result = await self._watch.unless_silent(work)
            except CallRefused as refusal:
                await self._reload(model, refusal)
                result = await self._watch.unless_silent(work)
        except (CallRefused, ServerBusy):
            raise
        except EngineError as error:
            self._watch.call_failed(error)
            raise
        finally:
            self.calls -= 1
        self._watch.call_succeeded()
        return result

    async def _reload(self, model: str, refusal: CallRefused) -> None:
        """Load the adapter that a rejected call names; raise the rejection if there is none."""
        path = self._adapter_registry.folder(model)
        if path is None:
            raise refusal
        try:
            await self.take(model, path)
        except CheckpointRefused as error:
            raise refusal from error

    async def _examine(self) -> None:
        """The probe: check health, detect capabilities after a restart, sync adapters."""
        await self._client.check_health()
        models = await self._client.models()
        if not models:
            raise EngineUnavailable(f"{self.url} serves no model", retry_after=RETRY_SECONDS)
        if not self.up:
            self._model = models[0].id
            await self._detect_capabilities()
        await self._sync_adapters({model.id: model.root for model in models})

    async def _detect_capabilities(self) -> None:
        try:
            async with asyncio.timeout(DETECTION_SECONDS):
                await self._engine.start()
                self.capabilities = await probe_capabilities(self._client, self._model)
        except TimeoutError as error:
            raise EngineUnavailable(
                f"{self.url} is healthy but does not answer calls", retry_after=RETRY_SECONDS
            ) from error

    async def _sync_adapters(self, listed: Mapping[str, str | None]) -> None:
        """Load missing active adapters; unload inactive ones that were loaded from here."""
        async with self._lock:
            wanted = self._adapter_registry.wanted(self.roles)
            for name in self._held - wanted.keys():
                await self._client.unload_adapter(name)
                self._held.discard(name)
            for name, path in wanted.items():
                if listed.get(name) != str(path):
                    if name in listed:  # bound to another folder
                        await self._client.unload_adapter(name)
                    await self._client.load_adapter(name, path)
                self._held.add(name)

    def _log_up(self) -> None:
        """Log that it is up, and its missing capabilities when they change."""
        log.warning("%s is up for %s", self.url, " and ".join(sorted(self.roles)))
        if self.capabilities != self._logged:
            self._logged = self.capabilities
            for line in self.capabilities.missing():
                log.warning("%s has %s", self.url, line)
