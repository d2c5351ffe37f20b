"""An engine over a pool of OpenAI-compatible servers."""

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
"""Maximum servers a call is tried on, so that a call that crashes servers spares the rest."""
POLL_SECONDS = 0.05
LOG_SECONDS = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EnginePoolConfig:
    """Configuration of a pool; see `app.config.settings`.

    servers: URLs by role; a server may serve both.
    context_tokens: upper limit of the context length.
    call_seconds: read timeout of a call.
    """

    servers: Mapping[Role, Sequence[str]]
    context_tokens: int
    adapter_rank: int
    adapter_targets: tuple[str, ...] | None = None
    api_key: str | None = None
    call_seconds: float = 600.0
    pauses: Pauses = Pauses()


class EnginePool:
    """An `AdapterEngine` over remote servers.

    A call is routed to a server of its role that is up and among the least loaded, preferably the
    one whose prefix cache holds its prompt (`choose`). A failed call is retried on another server:
    calls have no side effects. An adapter counts as loaded once every server of its role that is up
    has it; servers that are down get it before they are up again. Only `shown` calls are streamed;
    others report their progress at the end, and none when cancelled.

    Raises:
        ConfigurationError: a server's URL is invalid.
    """

    separate_roles = False

    def __init__(self, config: EnginePoolConfig) -> None:
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
        """Wait, without a time limit, until each role has a server that is up."""
        for replica in self._replicas:
            replica.start()
        waited = 0.0
        while not self.ready:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            if waited >= LOG_SECONDS:
                waited = 0.0
                log.warning("waiting for a server of each role: %s", self._troubles())

    async def close(self) -> None:
        """Unload the adapters loaded by this pool, and close the connections."""
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
        """Calls in progress from this pool."""
        return sum(replica.calls for replica in self._replicas)

    @property
    def restarts(self) -> int:
        """Number of recoveries of all servers."""
        return sum(max(0, replica.returns - 1) for replica in self._replicas)

    @property
    def context_tokens(self) -> int:
        """Context length: the minimum over the configuration and the servers seen so far."""
        seen = (replica.context_tokens for replica in self._replicas if replica.returns)
        return min((self._config.context_tokens, *seen))

    @property
    def max_adapter_rank(self) -> int:
        """See `AdapterEngine.max_adapter_rank`."""
        return self._config.adapter_rank

    @property
    def adapter_targets(self) -> frozenset[str] | None:
        """See `AdapterEngine.adapter_targets`."""
        targets = self._config.adapter_targets
        return None if targets is None else frozenset(targets)

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`; not retried once text was reported."""
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

        If one server rejects it, it is unloaded from the others.
        """
        known = self._adapter_registry.folder(name) is not None
        servers = self._of(self._adapter_registry.put(name, path))
        answers = await asyncio.gather(
            *(replica.take(name, path) for replica in servers if replica.up), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        # A server that did not respond is down until it has the adapter.
        serious = [error for error in failures if not isinstance(error, EngineUnavailable)]
        if not serious and len(failures) < len(answers):
            return
        if known:
            self._adapter_registry.deactivate(name)
        else:
            self._adapter_registry.forget(name)
        await asyncio.gather(*(replica.drop(name) for replica in servers if replica.up))
        raise next(iter([*serious, *failures]), self._none_up(servers))

    async def unload_adapter(self, name: str) -> None:
        """Unload it from all servers; see `AdapterEngine.unload_adapter`."""
        self._adapter_registry.deactivate(name)
        await asyncio.gather(*(replica.drop(name) for replica in self._replicas if replica.up))

    async def load_weights(self, name: str, folder: Path) -> None:
        """Not supported: remote servers keep the weights they were started with."""
        raise CheckpointRefused(
            f"{name} has full weights, and remote servers keep those they were started with;"
            f" train adapters, or start the servers with the weights in {folder}"
        )

    def _of(self, role: Role) -> list[Replica]:
        return [replica for replica in self._replicas if role in replica.roles]

    def _servers_for(self, model: str) -> list[Replica]:
        """The servers of the role of `model`; raises `EngineError` for an unknown name."""
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
        """Run `work` on one server after another until it succeeds; raises the last failure.

        again: called after a failure; whether to retry on another server.
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
        raise failure or self._none_up(servers)

    def _none_up(self, servers: Iterable[Replica]) -> EngineUnavailable:
        names = ", ".join(replica.url for replica in servers)
        return EngineUnavailable(f"no server is up of {names}", retry_after=RETRY_SECONDS)

    def _troubles(self) -> str:
        away = (replica for replica in self._replicas if not replica.up)
        return "; ".join(
            f"{replica.url}: {replica.trouble or 'not probed yet'}" for replica in away
        )


def _roles_by_server(servers: Mapping[Role, Sequence[str]]) -> dict[str, frozenset[Role]]:
    """Each distinct URL with the roles it serves."""
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
