"""A scripted engine for a real server process; signals make it die or hang."""

import asyncio
import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from app.engine.base import Call, Completion, OnDelta, ignore_delta
from app.errors import EngineUnavailable
from app.roles.votes import NO, YES
from tests.helpers.scripts import FINE, SHORT, Part, judged_text, part_of
from tests.helpers.whole import OwnScriptedEngine

DIE, HANG = signal.SIGUSR1, signal.SIGUSR2
"""Signals to the server's process."""
CALL_SECONDS, AT_ONCE = "CHAOS_CALL_SECONDS", "CHAOS_AT_ONCE"
AWAY_SECONDS = 1.0
"""Restart time of a dead engine."""
HANG_SECONDS = 1.5
SURE = 0.9


@dataclass(frozen=True, slots=True)
class Pace:
    """The engine's speed: seconds per call, and concurrent calls."""

    call_seconds: float = 0.05
    at_once: int = 16

    def as_environment(self) -> dict[str, str]:
        """Environment variables for the server's process."""
        return {CALL_SECONDS: str(self.call_seconds), AT_ONCE: str(self.at_once)}

    @classmethod
    def from_environment(cls) -> "Pace":
        """The pace from the environment, with defaults."""
        usual = cls().as_environment()
        found = {name: os.environ.get(name, text) for name, text in usual.items()}
        return cls(float(found[CALL_SECONDS]), int(found[AT_ONCE]))


USUAL_PACE = Pace()


class ChaosEngine(OwnScriptedEngine):
    """Includes the requested model's name in its output, to detect trees with mixed versions."""

    def __init__(self, pace: Pace = USUAL_PACE) -> None:
        super().__init__(self._say)
        self._log_probability = log_probability
        self._pace = pace
        self._slots = asyncio.Semaphore(pace.at_once)
        self._awake = asyncio.Event()
        self._deaths = 0
        self.alive = False
        # Token ids must survive a restart: clients cache them, as with a real model.
        self._vocabulary += ["<s>", *YES, *NO]

    @property
    def ready(self) -> bool:  # type: ignore[override]
        """Whether it accepts calls."""
        return self.alive

    @property
    def restarts(self) -> int:  # type: ignore[override]
        """Number of deaths."""
        return self._deaths

    async def start(self) -> None:
        """Become ready, and install the signal handlers."""
        self.alive = True
        self._awake.set()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(DIE, self.die)
        loop.add_signal_handler(HANG, self.hang)

    def die(self) -> None:
        """Fail every call until the simulated restart."""
        self.alive = False
        self._deaths += 1
        asyncio.get_running_loop().call_later(AWAY_SECONDS, self._come_back)

    def hang(self) -> None:
        """Block all calls for `HANG_SECONDS`."""
        self._awake.clear()
        asyncio.get_running_loop().call_later(HANG_SECONDS, self._awake.set)

    def _come_back(self) -> None:
        self.alive = True

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """The scripted text; raises `EngineUnavailable` if the engine dies meanwhile."""
        await self._work()
        try:
            return await super().complete(call, on_delta)
        finally:
            # Unused here, and they would grow without bound.
            self.started.clear()
            self.aborted.clear()

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> dict[str, float]:
        """The scripted scores; raises `EngineUnavailable` if the engine dies meanwhile."""
        await self._work()
        return dict(await super().score(call, options, on_delta))

    async def _work(self) -> None:
        deaths = self._deaths
        async with self._slots:
            await self._awake.wait()
            if self.alive:
                await asyncio.sleep(self._pace.call_seconds)
        if not self.alive or deaths != self._deaths:
            raise EngineUnavailable("the engine is restarting; try again soon", retry_after=1)

    async def _say(self, call: Call) -> str:
        """Depends on the call only; a third of the judged texts is accepted by all votes."""
        text, part = judged_text(call) or "", part_of(call)
        number = _hash(call.model, call.sampling.seed, call.messages[0].content)
        if part is Part.CRITIQUE:
            fate = _hash(text) % 3
            fine = number % 2 if fate == 2 else fate
            return f"{FINE if fine else SHORT} {number % 10} says {call.model}"
        return f"{part} {number % 1000} of {call.model}"


def log_probability(call: Call, option: str) -> float:
    """P(yes) is 0.9 after a positive critique, else 0.1."""
    yes = call.messages[-1].content.startswith(FINE)
    return math.log(SURE if (option == " yes") == yes else 1 - SURE)


def _hash(*values: object) -> int:
    return crc32(repr(values).encode())
