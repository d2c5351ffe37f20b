"""Any number of OpenAI-compatible servers as one engine."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.domain.checkpoint import Role, parse_served_name
from app.domain.prompt import Message
from app.engine.base import Call, Completion, Delta, OnDelta, affinity_of, ignore_delta
from app.engine.pool.health import Pauses
from app.engine.pool.replica import BASE_VERSION, AdapterRegistry, Load, Replica, choose
from app.engine.remote_protocol import RETRY_SECONDS, CallRefused, ServerBusy
from app.errors import CheckpointRefused, EngineError, EngineUnavailable

log = logging.getLogger(__name__)

FAILED_TRIES = 3
"""Servers a call may fail on: one that kills what it meets must not kill them all."""
LOOK_SECONDS = 0.05
SAY_AGAIN_SECONDS = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EnginePoolConfig:
    """A pool's servers, and the rest as `app.config.settings` has it.

    servers: the addresses for each role; one may serve both.
    context_tokens: the most that is used, where the servers' own context is longer.
    call_seconds: how long one call may take.
    """

    servers: Mapping[Role, Sequence[str]]
    context_tokens: int
    adapter_rank: int
    adapter_targets: tuple[str, ...] | None = None
    api_key: str | None = None
    call_seconds: float = 600.0
    pauses: Pauses = Pauses()


class EnginePool:
    """An `AdapterEngine` over servers that run elsewhere.

    A call goes to a server of its role that is up and among the least loaded, if possible to the
    one that knows its beginning. One that fails is made again on another: calls are pure. An
    adapter is loaded on every server of its role before it counts as loaded; a server that is away
    meanwhile gets it before it is used again. Only a call that is `shown` is streamed; the others
    report their progress when they have ended, and nothing when they are cancelled.
    """

    separate_roles = False

    def __init__(self, config: EnginePoolConfig) -> None:
        """Raises `ConfigurationError` for what is no address."""
        self._config = config
        self._adapter_registry = AdapterRegistry()
        self._replicas = [
            Replica(
                url,
                roles,
                self._adapter_registry,
                api_key=config.api_key,
                call_seconds=config.call_seconds,
                pauses=config.pauses,
            )
            for url, roles in _roles_by_server(config.servers).items()
        ]

    @property
    def replicas(self) -> Sequence[Replica]:
        """The servers, up or not."""
        return self._replicas

    async def start(self) -> None:
        """Wait until each role has a server; those that are not there are waited for."""
        for replica in self._replicas:
            replica.start()
        waited = 0.0
        while not self.ready:
            await asyncio.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS
            if waited >= SAY_AGAIN_SECONDS:
                waited = 0.0
                log.warning("waiting for a server of each role: %s", self._troubles())

    async def close(self) -> None:
        """Take our adapters from the servers and leave them."""
        closing = (replica.close() for replica in self._replicas)
        for ended in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    @property
    def ready(self) -> bool:
        """Whether each role has a server that is up."""
        return all(any(replica.up for replica in self._of(role)) for role in Role)

    @property
    def unfinished(self) -> int:
        """Our calls that run or queue on the servers."""
        return sum(replica.calls for replica in self._replicas)

    @property
    def restarts(self) -> int:
        """How often a server came back."""
        return sum(max(0, replica.returns - 1) for replica in self._replicas)

    @property
    def context_tokens(self) -> int:
        """Prompt and completion together may be this long on every server that was met."""
        met = (replica.context_tokens for replica in self._replicas if replica.returns)
        return min((self._config.context_tokens, *met))

    @property
    def max_adapter_rank(self) -> int:
        """Highest rank an adapter may have."""
        return self._config.adapter_rank

    @property
    def adapter_targets(self) -> frozenset[str] | None:
        """The linear layers an adapter may change; None for all."""
        targets = self._config.adapter_targets
        return None if targets is None else frozenset(targets)

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`. Once its words were read, a call is not made on another server."""
        read = False

        def reading(delta: Delta) -> None:
            nonlocal read
            read = read or bool(delta.text)
            on_delta(delta)

        return await self._anywhere(
            self._servers_for(call.model),
            affinity_of(call.messages),
            lambda replica: replica.complete(call, reading),
            again=lambda: not read,
        )

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._anywhere(
            self._servers_for(call.model),
            affinity_of(call.messages),
            lambda replica: replica.score(call, options, on_delta),
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`; the servers' tokenizers are the same."""
        return await self._anywhere(
            self._replicas, affinity_of(messages), lambda replica: replica.count_tokens(messages)
        )

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        return await self._anywhere(
            self._replicas,
            content if isinstance(content, str) else affinity_of(content),
            lambda replica: replica.tokenize(content, special_tokens=special_tokens),
        )

    async def load_adapter(self, name: str, path: Path) -> None:
        """Load it on every server of its role that is up; see `AdapterEngine.load_adapter`.

        Where one server refuses it, none keeps it.
        """
        known = self._adapter_registry.folder(name) is not None
        servers = self._of(self._adapter_registry.put(name, path))
        answers = await asyncio.gather(
            *(replica.take(name, path) for replica in servers if replica.up), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        # One that did not answer is not used until it has been given what it lacks.
        serious = [error for error in failures if not isinstance(error, EngineUnavailable)]
        if not serious and len(failures) < len(answers):
            return
        if known:
            self._adapter_registry.put_away(name)
        else:
            self._adapter_registry.forget(name)
        await asyncio.gather(*(replica.drop(name) for replica in servers if replica.up))
        raise next(iter([*serious, *failures]), self._nobody(servers))

    async def unload_adapter(self, name: str) -> None:
        """Unload it everywhere; see `AdapterEngine.unload_adapter`."""
        self._adapter_registry.put_away(name)
        await asyncio.gather(*(replica.drop(name) for replica in self._replicas if replica.up))

    async def load_weights(self, name: str, folder: Path) -> None:
        """Refused: servers that run elsewhere keep the weights they were started with."""
        raise CheckpointRefused(
            f"{name} has full weights, and servers that run elsewhere keep those they were"
            f" started with; train adapters, or start the servers with the weights in {folder}"
        )

    def _of(self, role: Role) -> list[Replica]:
        return [replica for replica in self._replicas if role in replica.roles]

    def _servers_for(self, model: str) -> list[Replica]:
        """Raises `EngineError` for a name that is not served."""
        served = parse_served_name(model)
        if served is None or (
            served[1] != BASE_VERSION and self._adapter_registry.folder(model) is None
        ):
            raise EngineError(f"the engine does not serve {model}")
        return self._of(served[0])

    async def _anywhere(
        self,
        servers: Sequence[Replica],
        key: str,
        work: Callable[[Replica], Awaitable[Result]],
        again: Callable[[], bool] = lambda: True,
    ) -> Result:
        """What the first server that does not fail says. Raises the last failure.

        again: asked after a failure, whether another server may be tried.
        """
        failure: EngineError | None = None
        tried: set[str] = set()
        failed = 0
        while (replica := _pick(servers, key, tried)) is not None and failed < FAILED_TRIES:
            tried.add(replica.url)
            try:
                return await work(replica)
            except CallRefused:
                raise
            except ServerBusy as error:
                failure = error
            except EngineError as error:
                failure = error
                failed += 1
                log.info("a call failed on %s: %s", replica.url, error.message)
                if not again():
                    break
        raise failure or self._nobody(servers)

    def _nobody(self, servers: Iterable[Replica]) -> EngineUnavailable:
        names = ", ".join(replica.url for replica in servers)
        return EngineUnavailable(f"no server is up of {names}", retry_after=RETRY_SECONDS)

    def _troubles(self) -> str:
        away = (replica for replica in self._replicas if not replica.up)
        return "; ".join(
            f"{replica.url}: {replica.trouble or 'not probed yet'}" for replica in away
        )


def _roles_by_server(servers: Mapping[Role, Sequence[str]]) -> dict[str, frozenset[Role]]:
    """Every address once, with the roles it serves."""
    found: dict[str, frozenset[Role]] = {}
    for role, urls in servers.items():
        for url in urls:
            address = url.rstrip("/").removesuffix("/v1")
            found[address] = found.get(address, frozenset()) | {role}
    return found


def _pick(servers: Sequence[Replica], key: str, tried: set[str]) -> Replica | None:
    usable = {
        replica.url: replica for replica in servers if replica.up and replica.url not in tried
    }
    chosen = choose((Load(url, replica.calls) for url, replica in usable.items()), key)
    return None if chosen is None else usable[chosen]
