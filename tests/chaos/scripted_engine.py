"""An engine for a real server process: it dies and hangs when a signal tells it to."""

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
"""How long a dead engine takes to come back."""
HANG_SECONDS = 1.5
SURE = 0.9


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a call takes, and how many run at once: together the engine's speed."""

    call_seconds: float = 0.05
    at_once: int = 16

    def as_environment(self) -> dict[str, str]:
        """How the server's process is told."""
        return {CALL_SECONDS: str(self.call_seconds), AT_ONCE: str(self.at_once)}

    @classmethod
    def from_environment(cls) -> "Pace":
        """What `as_environment` gave this process, else the usual pace."""
        usual = cls().as_environment()
        found = {name: os.environ.get(name, text) for name, text in usual.items()}
        return cls(float(found[CALL_SECONDS]), int(found[AT_ONCE]))


USUAL_PACE = Pace()


class ChaosEngine(OwnScriptedEngine):
    """Names the model it was asked as in all it says, so that a mixed tree shows."""

    def __init__(self, pace: Pace = USUAL_PACE) -> None:
        super().__init__(self._say)
        self._log_probability = log_probability
        self._pace = pace
        self._slots = asyncio.Semaphore(pace.at_once)
        self._awake = asyncio.Event()
        self._deaths = 0
        self.alive = False
        # The same numbers after a restart: clients remember them, as they may with a real model.
        self._vocabulary += ["<s>", *YES, *NO]

    @property
    def ready(self) -> bool:  # type: ignore[override]
        """Whether it takes calls now."""
        return self.alive

    @property
    def restarts(self) -> int:  # type: ignore[override]
        """How often it died."""
        return self._deaths

    async def start(self) -> None:
        """Ready at once; heeds the signals from now on."""
        self.alive = True
        self._awake.set()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(DIE, self.die)
        loop.add_signal_handler(HANG, self.hang)

    def die(self) -> None:
        """Fail every call, and come back later as a restarted engine does."""
        self.alive = False
        self._deaths += 1
        asyncio.get_running_loop().call_later(AWAY_SECONDS, self._come_back)

    def hang(self) -> None:
        """Let no call go on for a while."""
        self._awake.clear()
        asyncio.get_running_loop().call_later(HANG_SECONDS, self._awake.set)

    def _come_back(self) -> None:
        self.alive = True

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """The scripted text. Raises `EngineUnavailable` when the engine dies meanwhile."""
        await self._work()
        try:
            return await super().complete(call, on_delta)
        finally:
            # Lists for tests that look at every call; a server runs for hours.
            self.started.clear()
            self.aborted.clear()

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> dict[str, float]:
        """The scripted figures. Raises `EngineUnavailable` when the engine dies meanwhile."""
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
        """Depends on nothing but the call; of the judged texts a third is accepted by all votes."""
        text, part = judged_text(call) or "", part_of(call)
        number = _hash(call.model, call.sampling.seed, call.messages[0].content)
        if part is Part.CRITIQUE:
            fate = _hash(text) % 3
            fine = number % 2 if fate == 2 else fate
            return f"{FINE if fine else SHORT} {number % 10} says {call.model}"
        return f"{part} {number % 1000} of {call.model}"


def log_probability(call: Call, option: str) -> float:
    """Nearly sure of what the critique before it says."""
    yes = call.messages[-1].content.startswith(FINE)
    return math.log(SURE if (option == " yes") == yes else 1 - SURE)


def _hash(*values: object) -> int:
    return crc32(repr(values).encode())
