"""This project's server with a meter in front of its engine: what all contenders talk to."""

import os
import select
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

import app.main as server_module
from app.config.settings import Settings
from app.db.upgrade import upgrade
from app.engine.arguments import EngineConfig
from app.engine.base import Call, Completion, OnDelta, ignore_delta
from app.engine.vllm import VllmEngine
from app.errors import ConfigurationError
from benchmarks.rivals import control
from benchmarks.rivals.metering import Meter

WAITING = 1024
SHUTDOWN_SECONDS = 5


class MeteredVllm(VllmEngine):
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
    """Run the server until it is told to stop, or until whoever started it is gone."""
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
    # The server as it is, but for the class of its engine.
    server_module.VllmEngine = MeteredVllm  # type: ignore[attr-defined]
    failures: list[ConfigurationError] = []

    def on_engine(error: ConfigurationError | None) -> None:
        if error is not None:
            failures.append(error)
            server.should_exit = True

    application = server_module.create_app(settings, model, on_engine)
    application.include_router(control.router)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=settings.host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    # uvicorn raises the signal again after it has stopped; the process should end in good order.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    server.run()
    if failures:
        print(failures[0].message, file=sys.stderr)
        raise typer.Exit(1)


def _end_with(parent: int) -> None:
    """Stop this server when the process that started it has ended, however it ended."""

    def watch(handle: int) -> None:
        select.select([handle], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(os.pidfd_open(parent),), daemon=True).start()


if __name__ == "__main__":
    typer.run(serve)
