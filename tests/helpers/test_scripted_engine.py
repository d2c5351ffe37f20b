import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Delta
from app.errors import EngineError
from tests.helpers.scripted_engine import ScriptedEngine

CALL = Call(
    (Message("system", "be brief"), Message("user", "say it")),
    "actor@0",
    Sampling(temperature=0, top_p=1, max_tokens=10),
)


def limited(max_tokens: int, *stop: str) -> Call:
    return replace(CALL, sampling=replace(CALL.sampling, max_tokens=max_tokens, stop=stop))


async def four_words(call: Call) -> str:
    return "one two three four"


def sure_of_yes(call: Call, option: str) -> float:
    return 0.0 if option == " yes" else -math.inf


async def test_returns_the_scripted_text_and_counts_words() -> None:
    deltas: list[Delta] = []
    engine = ScriptedEngine(four_words, sure_of_yes)
    completion = await engine.complete(CALL, deltas.append)
    assert (completion.text, completion.finish_reason) == ("one two three four", "stop")
    assert (completion.prompt_tokens, completion.completion_tokens) == (4, 4)
    assert deltas == [Delta(prompt_tokens=4), Delta("one two three four", 4)]
    assert engine.started == [CALL]
    assert (engine.aborted, engine.running) == ([], 0)


@pytest.mark.parametrize(
    ("call", "text", "finish_reason"),
    [
        (limited(2), "one two", "length"),
        (limited(4), "one two three four", "stop"),
        (limited(10, " three"), "one two", "stop"),
        (limited(1, " three"), "one", "length"),
    ],
)
async def test_respects_max_tokens_and_stop_strings(
    call: Call, text: str, finish_reason: str
) -> None:
    completion = await ScriptedEngine(four_words, sure_of_yes).complete(call)
    assert (completion.text, completion.finish_reason) == (text, finish_reason)
    assert completion.completion_tokens == len(text.split())


async def test_a_cancelled_call_is_aborted() -> None:
    begun = asyncio.Event()

    async def stuck(call: Call) -> str:
        begun.set()
        return await asyncio.Future()

    engine = ScriptedEngine(stuck, sure_of_yes)
    task = asyncio.create_task(engine.complete(CALL))
    await begun.wait()
    assert engine.running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.aborted == [CALL]
    assert engine.running == 0


async def test_a_script_may_fail() -> None:
    async def fail(call: Call) -> str:
        raise EngineError("broken")

    engine = ScriptedEngine(fail, sure_of_yes)
    with pytest.raises(EngineError, match="broken"):
        await engine.complete(CALL)
    assert engine.running == 0


async def test_scores_by_script() -> None:
    deltas: list[Delta] = []
    engine = ScriptedEngine(four_words, sure_of_yes)
    scores = await engine.score(CALL, (" yes", " no"), deltas.append)
    assert scores == {" yes": 0.0, " no": -math.inf}
    assert sum(delta.completion_tokens for delta in deltas) == 1
    assert sum(delta.prompt_tokens for delta in deltas) == 4


async def test_replaced_weights_serve_under_their_name_only(tmp_path: Path) -> None:
    engine = ScriptedEngine(four_words, sure_of_yes)
    await engine.load_adapter("actor@1", tmp_path)
    await engine.load_adapter("refiner@1", tmp_path)
    await engine.load_weights("actor@2", tmp_path)
    assert engine.adapters == {"refiner@1": tmp_path}
    for refused in ("actor@0", "actor@1"):
        with pytest.raises(EngineError, match=refused):
            await engine.complete(replace(CALL, model=refused))
        with pytest.raises(EngineError, match=refused):
            await engine.score(replace(CALL, model=refused), (" yes",))
    for served in ("actor@2", "refiner@0", "refiner@1"):
        assert (await engine.complete(replace(CALL, model=served))).text
