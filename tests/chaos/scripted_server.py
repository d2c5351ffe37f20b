"""The real server process on a scripted engine: `python -m tests.chaos.scripted_server`.

Configured by `SPAR_...`, its engine's speed by `CHAOS_...` (see `Pace`).
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import time_machine
from fastapi import FastAPI

from app import main as wiring
from app.config.settings import settings_from
from app.db.upgrade import upgrade
from app.errors import SparError
from app.serving.swap import SwapTimes
from tests.chaos.scripted_engine import ChaosEngine, Pace
from tests.helpers.whole import NoChecks

FORWARD, BACK = signal.SIGRTMIN + 1, signal.SIGRTMIN + 2
"""Signals that set the process's clock one hour ahead, and back."""
JUMP = timedelta(hours=1)
IDLE_SECONDS = 2.0
"""Idle time before an adapter is unloaded; minutes in production."""
LOADED = "/chaos/engine"
"""Test-only endpoint that lists the engine's adapters."""


class JumpingClock:
    """This process's wall clock; the monotonic clock is unaffected."""

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None

    def listen(self) -> None:
        """Install the signal handlers."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(FORWARD, self.jump)
        loop.add_signal_handler(BACK, self.come_back)

    def jump(self) -> None:
        """Set the clock one hour ahead."""
        if self._travel is None:
            self._travel = time_machine.travel(datetime.now(UTC) + JUMP, tick=True)
            self._travel.start()

    def come_back(self) -> None:
        """Restore the clock."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = None


class ListeningEngine(ChaosEngine):
    """Also installs the clock's signal handlers at start."""

    async def start(self) -> None:
        JumpingClock().listen()
        await super().start()


def main() -> None:
    """Serve until terminated, as `spar serve` does."""
    settings = settings_from()
    engine: list[ListeningEngine] = []

    def make_engine(*_: object) -> ListeningEngine:
        engine.append(ListeningEngine(Pace.from_environment()))
        return engine[0]

    create = wiring.create_app

    def create_app(*arguments: Any) -> FastAPI:
        app = create(*arguments)
        app.add_api_route(LOADED, lambda: {"adapters": sorted(engine[0].adapters)})
        return app

    times = partial(SwapTimes, idle=IDLE_SECONDS, retry=IDLE_SECONDS)
    vars(wiring).update(
        _engine=make_engine, Checker=NoChecks, SwapTimes=times, create_app=create_app
    )
    try:
        upgrade(settings.url)
        wiring.serve(settings, str(settings.model))
    except SparError as error:
        sys.exit(f"error: {error.message}")


if __name__ == "__main__":
    main()
