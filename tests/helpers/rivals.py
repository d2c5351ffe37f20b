"""The rivals benchmark's server with a scripted engine: words instead of tokens.

As a program it runs that server, started as the benchmark starts the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from app.api import generate
from app.db.recorder import Recorder
from app.db.session import Database
from app.db.upgrade import upgrade
from app.engine.arguments import EngineConfig
from app.engine.base import Call, Completion, OnDelta, ignore_delta
from benchmarks.rivals import server
from benchmarks.rivals.server import Meter
from tests.helpers.serving import endpoint, served
from tests.helpers.speaking import SpeakingEngine


class MeteredWords(SpeakingEngine):
    """Generates `word 1`, `word 2` and so on, up to `max_tokens`, and meters the calls.

    As a judge it rejects unless `accepts` is set.
    """

    def __init__(self) -> None:
        super().__init__(self._words, log_probability=self._verdict)
        self.meter = Meter()
        self.accepts = False
        self.forgotten = 0
        self._said = 0

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        return await self.meter.complete(super().complete, call, on_delta)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> dict[str, float]:
        return dict(await self.meter.score(super().score, call, options, on_delta))

    async def forget(self) -> bool:
        """No-op: there is no cache."""
        self.forgotten += 1
        return True

    async def _words(self, call: Call) -> str:
        if call.sampling.max_tokens == 1:
            return "yes" if self.accepts else "no"
        self._said += 1
        return f"text-{self._said} " + " ".join(map(str, range(call.sampling.max_tokens)))

    def _verdict(self, call: Call, option: str) -> float:
        return 0.0 if (option.strip().lower() == "yes") is self.accepts else -100.0


@asynccontextmanager
async def benchmark_server(engine: MeteredWords, folder: Path) -> AsyncIterator[str]:
    """Serve the endpoints that the benchmark uses, over a real database."""
    url = f"sqlite+aiosqlite:///{folder / 'spar.db'}"
    await asyncio.to_thread(upgrade, url)
    app = endpoint(engine)
    app.include_router(generate.router)
    app.include_router(server.router)
    services = app.state.services
    services.database = Database(url)
    services.recorder = Recorder(services.database)
    try:
        async with served(app) as address:
            yield address
    finally:
        await services.recorder.close(60)
        await services.database.close()


class StartedWords(MeteredWords):
    """Replaces the engine that the server starts."""

    ready = False

    def __init__(self, _: EngineConfig) -> None:
        super().__init__()

    async def start(self) -> None:
        """No-op."""
        self.ready = True

    async def close(self) -> None:
        """No-op."""


if __name__ == "__main__":
    server.MeteredVllm = StartedWords  # type: ignore[assignment,misc]
    typer.run(server.serve)
