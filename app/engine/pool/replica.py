"""One server of a pool: its health, its adapters, and the calls made to it."""

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
"""So many calls more than the least loaded server may one have, to be preferred all the same.

About what one search asks at once: it stays together, and several do not pile up.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A server and how many calls it is working on."""

    url: str
    calls: int


def choose(loads: Iterable[Load], key: str, slack: int = AFFINITY_CALLS) -> str | None:
    """The server for a call with this affinity; None where there is no server.

    Among those within `slack` calls of the least loaded, the one that ranks first for the key
    (rendezvous hashing): a server that comes or goes moves only the keys that are its own.
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
"""The version of a role that is the server's own model, without an adapter."""


class AdapterRegistry:
    """Names of adapters, their folders, and which of them are wanted now.

    A name stands for one folder for ever (servers keep what they computed under it), and is not
    forgotten: searches that began with an adapter end with it, also after it is put away.
    """

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._wanted: set[str] = set()

    def put(self, name: str, path: Path) -> Role:
        """Want an adapter from now on; its role. Raises `CheckpointRefused`."""
        served = parse_served_name(name)
        if served is None or served[1] == BASE_VERSION:
            raise CheckpointRefused(f"{name} is no name of an adapter")
        known = self._folders.setdefault(name, path)
        if known != path:
            raise CheckpointRefused(f"{name} is served from {known} already")
        self._wanted.add(name)
        return served[0]

    def put_away(self, name: str) -> None:
        """Want it no more."""
        self._wanted.discard(name)

    def forget(self, name: str) -> None:
        """It was never served: its name may get another folder."""
        self._wanted.discard(name)
        self._folders.pop(name, None)

    def folder(self, name: str) -> Path | None:
        """Where an adapter is that was ever served under this name."""
        return self._folders.get(name)

    def wanted(self, roles: Set[Role]) -> Mapping[str, Path]:
        """The adapters that a server of these roles is to have, with their folders."""
        return {
            name: self._folders[name]
            for name in sorted(self._wanted)
            if (served := parse_served_name(name)) is not None and served[0] in roles
        }


log = logging.getLogger(__name__)

CONNECTIONS = 1024
"""More calls at once wait here, where their priority counts for nothing."""
ACQUAINTANCE_SECONDS = 60.0
"""For a call or two of one token, also on a server that is busy."""

Result = TypeVar("Result")


class Replica:
    """One server, watched from `start` to `close`.

    It is used while it is `up`: it answers probes, calls come back, and it has every adapter that
    is wanted of it. Calls under way when it stops answering fail at once, and so do not wait for
    a process that hangs.

    calls: those under way.
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
        """Raises `ConfigurationError` for what is no address."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self.roles = roles
        self.capabilities = Capabilities()
        self.calls = 0
        self._engine = RemoteEngine(
            self.url, connections=CONNECTIONS, timeout_s=call_seconds, api_key=api_key
        )
        self._client = VllmAdminClient(self.url, api_key=api_key)
        self._adapter_registry = adapter_registry
        self._watch = HealthMonitor(self.url, self._examine, self._is_back, pauses)
        self._model = ""
        self._held: set[str] = set()
        self._lock = asyncio.Lock()
        self._told: Capabilities | None = None

    @property
    def up(self) -> bool:
        """Whether it is used."""
        return self._watch.up

    @property
    def returns(self) -> int:
        """How often it came up."""
        return self._watch.returns

    @property
    def trouble(self) -> str:
        """Why the last probe failed; empty if it did not."""
        return self._watch.trouble

    @property
    def context_tokens(self) -> int:
        """What it said when it came up."""
        return self._engine.context_tokens

    def start(self) -> None:
        """Begin to watch it."""
        self._watch.start()

    async def close(self) -> None:
        """Take our adapters from it, stop watching, and close the connections."""
        await self._watch.stop()
        if self.up:
            for name in list(self._held):
                await self.drop(name)
        await self._engine.close()
        await self._client.close()

    async def take(self, name: str, path: Path) -> None:
        """Load an adapter, if it does not have it. Raises `CheckpointRefused`, `EngineUnavailable`.

        Where it does not answer it is not used before it has been given what it misses.
        """
        async with self._lock:
            try:
                await self._watch.unless_silent(lambda: self._client.load_adapter(name, path))
            except EngineUnavailable as error:
                self._watch.lacks(error)
                raise
            self._held.add(name)

    async def drop(self, name: str) -> None:
        """Unload an adapter; one that it cannot unload now, it unloads when it is back."""
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
        """See `Engine.score`; where the server cannot, the model is asked for one of them."""
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
        except CallRefused:  # it tells no log-probabilities at all
            return await ask(logprobs=False)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`; an estimate where the server does not count."""
        if not self.capabilities.tokenizes:
            return plain.estimated_tokens(messages)
        return await self._made("", lambda: self._engine.count_tokens(messages))

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool
    ) -> list[int]:
        """See `Engine.tokenize`. Raises `EngineError` where the server does not tell."""
        if not self.capabilities.tokenizes:
            raise EngineError(f"{self.url} cannot tokenize")
        return await self._made(
            "", lambda: self._engine.tokenize(content, special_tokens=special_tokens)
        )

    def _named(self, call: Call) -> Call:
        """The call with the server's own name for its model, and a priority if it may have one."""
        served = parse_served_name(call.model)
        base = served is not None and served[1] == BASE_VERSION
        priority = call.priority if self.capabilities.prioritises else 0
        return replace(call, model=self._model if base else call.model, priority=priority)

    async def _made(self, model: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """A call's result, which says something of the server's health.

        An adapter that the server has forgotten, since it was started again just now or somebody
        else unloaded it, is loaded first.
        """
        self.calls += 1
        try:
            try:
                result = await self._watch.unless_silent(work)
            except CallRefused as refusal:
                await self._remind(model, refusal)
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

    async def _remind(self, model: str, refusal: CallRefused) -> None:
        """Load the adapter that a call was refused for; raises the refusal if it was not that."""
        path = self._adapter_registry.folder(model)
        if path is None:
            raise refusal
        try:
            await self.take(model, path)
        except CheckpointRefused as error:
            raise refusal from error

    async def _examine(self) -> None:
        """See that it is well and has what it should. Raises `EngineError`, `CheckpointRefused`."""
        await self._client.check_health()
        models = await self._client.models()
        if not models:
            raise EngineUnavailable(f"{self.url} serves no model", retry_after=RETRY_SECONDS)
        if not self.up:
            self._model = models[0].id
            await self._get_to_know()
        await self._equip({model.id: model.root for model in models})

    async def _get_to_know(self) -> None:
        try:
            async with asyncio.timeout(ACQUAINTANCE_SECONDS):
                await self._engine.start()
                self.capabilities = await probe_capabilities(self._client, self._model)
        except TimeoutError as error:
            raise EngineUnavailable(
                f"{self.url} is well, and does not answer calls", retry_after=RETRY_SECONDS
            ) from error

    async def _equip(self, listed: Mapping[str, str | None]) -> None:
        """Load what is wanted and missing, and unload what we loaded and nobody wants now."""
        async with self._lock:
            wanted = self._adapter_registry.wanted(self.roles)
            for name in self._held - wanted.keys():
                await self._client.unload_adapter(name)
                self._held.discard(name)
            for name, path in wanted.items():
                if listed.get(name) != str(path):
                    if name in listed:  # something else of that name
                        await self._client.unload_adapter(name)
                    await self._client.load_adapter(name, path)
                self._held.add(name)

    def _is_back(self) -> None:
        """Tell that it is used, and once what it cannot do."""
        log.warning("%s is used for %s", self.url, " and ".join(sorted(self.roles)))
        if self.capabilities != self._told:
            self._told = self.capabilities
            for line in self.capabilities.missing():
                log.warning("%s has %s", self.url, line)
