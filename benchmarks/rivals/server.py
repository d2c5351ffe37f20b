"""This project's server with a meter in front of its engine: what all contenders talk to."""

import asyncio
import os
import select
import signal
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
import uvicorn
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

import app.main as server_module
from app.config.settings import Settings
from app.db.upgrade import upgrade
from app.domain.checkpoint import Role, served_name
from app.domain.prompt import Message
from app.domain.search import Sampling, derive_seed
from app.engine.arguments import EngineConfig
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta
from app.errors import ConfigurationError
from app.roles.votes import NO
from benchmarks.forcing import ForcedVllmEngine, forced
from benchmarks.measure import Stopwatch

SEED = 20241211
TEMPERATURE = 1.0
_IMPOSSIBLE = -1000.0

Complete = Callable[[Call, OnDelta], Awaitable[Completion]]
Score = Callable[[Call, Sequence[str], OnDelta], Awaitable[Mapping[str, float]]]


@dataclass(slots=True)
class Tally:
    """What the engine did for one contender.

    completion_tokens: generated, cancelled calls included. verdicts: tokens whose
    probabilities were read; not among the completion tokens. prompt_tokens and cached_tokens
    are those of the completions that ended, and what of them the prefix cache held.
    """

    completions: int = 0
    completion_tokens: int = 0
    verdicts: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def generated(self) -> int:
        """All generated tokens."""
        return self.completion_tokens + self.verdicts

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens found in the prefix cache (0..1)."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class Meter:
    """Makes every contender's calls alike, independently of its library's options.

    Forced: every text runs to its `max_tokens` (at most `limit`, where there is one), no stop
    string ends it, all are drawn in the same way, and every verdict is a no. Free: calls are
    unchanged, but those without a seed get one. The seed of a call depends on its messages and on
    the number of earlier calls with the same messages.
    """

    def __init__(self) -> None:
        self.begin(forced=True)

    def begin(self, *, forced: bool, limit: int | None = None) -> None:
        """Count from zero."""
        self._forced = forced
        self._limit = limit
        self._asked: Counter[int] = Counter()
        self.tally = Tally()

    async def complete(self, complete: Complete, call: Call, on_delta: OnDelta) -> Completion:
        """Make the adjusted call by `complete`."""

        def counted(delta: Delta) -> None:
            self.tally.completion_tokens += delta.completion_tokens
            on_delta(delta)

        completion = await complete(self._prepared(call), counted)
        self.tally.completions += 1
        self.tally.prompt_tokens += completion.prompt_tokens
        self.tally.cached_tokens += completion.cached_tokens
        if not self._forced:
            return completion
        # After its end-of-text token a text may contain NUL, which endpoints reject in a prompt.
        return replace(completion, text=completion.text.replace("\x00", " "))

    async def score(
        self, score: Score, call: Call, options: Sequence[str], on_delta: OnDelta
    ) -> Mapping[str, float]:
        """Score by `score`, also where the result is replaced."""
        scores = await score(call, options, on_delta)
        self.tally.verdicts += 1
        if not self._forced:
            return scores
        return {option: 0.0 if option in NO else _IMPOSSIBLE for option in options}

    def _prepared(self, call: Call) -> Call:
        sampling = call.sampling
        seed = self._seed(call)
        if not self._forced:
            return call if sampling.seed is not None else _with(call, seed=seed)
        length = sampling.max_tokens if self._limit is None else self._limit
        return forced(
            _with(
                call,
                temperature=TEMPERATURE,
                top_p=1.0,
                max_tokens=min(length, sampling.max_tokens),
                seed=seed,
            )
        )

    def _seed(self, call: Call) -> int | None:
        words = [word for message in call.messages for word in (message.role, message.content)]
        asked = hash(call.messages)
        self._asked[asked] += 1
        return derive_seed(SEED, *words, self._asked[asked])


def _with(call: Call, **changes: object) -> Call:
    return replace(call, sampling=replace(call.sampling, **changes))  # type: ignore[arg-type]


router = APIRouter(prefix="/benchmark")


class Measured(Protocol):
    """An engine behind a meter."""

    @property
    def meter(self) -> Meter:
        """Forces and counts."""
        ...

    @property
    def unfinished(self) -> int:
        """Calls running or queued in the engine."""
        ...

    async def complete(self, call: Call) -> Completion:
        """Generate one completion."""
        ...

    async def forget(self) -> bool:
        """Empty the prefix cache; whether that could be done."""
        ...


class BeginIn(BaseModel):
    """See `Meter.begin`."""

    forced: bool
    limit: int | None = None


class RawIn(BaseModel):
    """Independent questions, all asked of the engine at once."""

    texts: list[str]
    max_tokens: int


def _engine(request: Request) -> Any:
    return request.app.state.services.engine


EngineDep = Annotated[Any, Depends(_engine)]


@router.post("/begin", status_code=204)
async def begin(body: BeginIn, engine: EngineDep) -> None:
    """Empty the prefix cache and count from zero; 409 while calls are under way."""
    measured: Measured = engine
    if measured.unfinished or not await measured.forget():
        raise HTTPException(409, "calls are under way")
    measured.meter.begin(forced=body.forced, limit=body.limit)


@router.get("/tally")
async def tally(engine: EngineDep) -> Tally:
    """What was counted since."""
    measured: Measured = engine
    return measured.meter.tally


@router.post("/raw")
async def raw(body: RawIn, engine: EngineDep) -> float:
    """The seconds the engine needs for these answers, called in its own process without HTTP."""
    measured: Measured = engine
    sampling = Sampling(TEMPERATURE, 1.0, body.max_tokens)
    calls = [
        Call((Message("user", text),), served_name(Role.ACTOR, 0), sampling) for text in body.texts
    ]
    watch = Stopwatch()
    await asyncio.gather(*(measured.complete(call) for call in calls))
    return watch.seconds


WAITING = 1024
SHUTDOWN_SECONDS = 5


class MeteredVllm(ForcedVllmEngine):
    """vLLM in this process, behind a meter."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self.meter = Meter()

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Generate one completion; see `Meter`."""
        return await self.meter.complete(super().complete, call, on_delta)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """Log-probabilities of the options; see `Meter`."""
        return await self.meter.score(super().score, call, options, on_delta)

    async def forget(self) -> bool:
        """Empty the prefix cache; whether that could be done."""
        return bool(await self._process.llm.reset_prefix_cache())


def serve(
    model: Annotated[str, typer.Option()],
    data: Annotated[Path, typer.Option()],
    port: Annotated[int, typer.Option()],
    critique_tokens: Annotated[int, typer.Option()],
    max_waiting: Annotated[int, typer.Option()] = WAITING,
    max_running: Annotated[int | None, typer.Option()] = None,
) -> None:
    """Run the server until it is terminated or its parent process has ended."""
    _end_with(os.getppid())
    settings = Settings(
        host="127.0.0.1",
        port=port,
        data=data,
        database_url=None,
        worker=False,
        separate_engines=False,
        max_waiting=max_waiting,
        critique_tokens=critique_tokens,
    )
    if max_running is not None:
        settings = settings.model_copy(update={"max_running": max_running})
    data.mkdir(parents=True, exist_ok=True)
    upgrade(settings.url)
    # The unmodified server, except for the class of its engine.
    server_module.VllmEngine = MeteredVllm  # type: ignore[attr-defined]
    failures: list[ConfigurationError] = []

    def on_engine(error: ConfigurationError | None) -> None:
        if error is not None:
            failures.append(error)
            server.should_exit = True

    application = server_module.create_app(settings, model, on_engine)
    application.include_router(router)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=settings.host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    # uvicorn raises the signal again after it has stopped; the process should exit normally.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    server.run()
    if failures:
        print(failures[0].message, file=sys.stderr)
        raise typer.Exit(1)


def _end_with(parent: int) -> None:
    """Stop this server when its parent process has ended."""

    def watch(handle: int) -> None:
        select.select([handle], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(os.pidfd_open(parent),), daemon=True).start()


if __name__ == "__main__":
    typer.run(serve)
