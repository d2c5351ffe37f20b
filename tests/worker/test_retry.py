"""The engine retries while its server is unavailable, and on no other error."""

import asyncio
import math

import pytest

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call
from app.errors import EngineError, EngineUnavailable
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import verdict_of_critique
from worker import retry as patience
from worker.retry import RetryingEngine

CALL = Call((Message("user", "Hello?"),), "actor@0", Sampling(0.0, 1.0, 10))
GONE = EngineUnavailable("the server is gone")


class Restarting:
    """A script that fails a number of times, then answers."""

    def __init__(self, times: float, error: Exception = GONE) -> None:
        self.asked = 0
        self.asked_again = asyncio.Event()
        self._times, self._error = times, error

    async def __call__(self, call: Call) -> str:
        self.asked += 1
        if self.asked > 1:
            self.asked_again.set()
        if self.asked <= self._times:
            raise self._error
        return "Hello."


def patient(script: Restarting, seconds: float) -> RetryingEngine:
    return RetryingEngine(ScriptedEngine(script, verdict_of_critique), seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a millisecond."""
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.001)


async def test_unavailable_engine_is_retried() -> None:
    script = Restarting(times=3)
    assert (await patient(script, 60).complete(CALL)).text == "Hello."
    assert script.asked == 4


async def test_retries_end_after_the_time_limit() -> None:
    script = Restarting(times=math.inf)
    with pytest.raises(EngineUnavailable, match="gone"):
        await patient(script, 0.05).complete(CALL)
    assert script.asked > 1


async def test_every_other_error_is_final() -> None:
    script = Restarting(times=1, error=EngineError("no such model"))
    with pytest.raises(EngineError, match="no such model"):
        await patient(script, 60).complete(CALL)
    assert script.asked == 1


async def test_retry_pause_can_be_cancelled() -> None:
    script = Restarting(times=math.inf)
    waiting = asyncio.create_task(patient(script, 3600).complete(CALL))
    await script.asked_again.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_other_methods_are_delegated() -> None:
    engine = ScriptedEngine(Restarting(0), verdict_of_critique)
    patient = RetryingEngine(engine, 60)
    assert await patient.count_tokens(CALL.messages) == 1
    assert await patient.tokenize("a b") == await engine.tokenize("a b")
    assert set(await patient.score(CALL, (" yes", " no"))) == {" yes", " no"}
    assert (patient.context_tokens, patient.ready) == (engine.context_tokens, engine.ready)
    assert (patient.unfinished, patient.restarts) == (0, 0)
