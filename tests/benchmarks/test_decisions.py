"""Judging the same responses in every way, over a scripted engine."""

import math

import pytest

from app.config.settings import Settings
from app.domain.prompt import Prompt
from app.engine.base import Call
from app.engine.scripted import ScriptedEngine
from benchmarks.context import Context
from benchmarks.decisions import compare, default_prompts, spread
from benchmarks.judging import Judging, Response
from tests.helpers.judgments import result
from tests.helpers.scripts import Play, judged_text, verdict_of_critique
from tests.helpers.searching import Checks, roles

PROMPTS = [Prompt.from_text(f"question {number}") for number in range(4)]
SETTINGS = Settings(_env_file=None, quick_verdict_low=0.2, quick_verdict_high=0.8)


async def good(text: str, number: int) -> bool:
    return text.startswith("good")


def look(call: Call, option: str) -> float:
    """Sure of good and bad texts, and unsure of others, before any critique."""
    if call.messages[-1].content != "Verdict:":
        return verdict_of_critique(call, option)
    text = judged_text(call) or ""
    yes = 0.9 if text.startswith("good") else 0.1 if text.startswith("bad") else 0.5
    return {" yes": math.log(yes), " no": math.log(1 - yes)}.get(option, -math.inf)


async def nothing() -> None:
    """There is no cache to empty."""


def judging(forgotten: list[None] | None = None) -> tuple[Context, Judging]:
    async def forget() -> None:
        (forgotten if forgotten is not None else []).append(None)

    engine = ScriptedEngine(Play(decide=good), look)
    checks = Checks(lambda text: (result("wrong" not in text),))
    context = Context(SETTINGS, "model", 2, False, [], lambda _label, _tokens: None)
    return context, Judging(context, roles(engine, checks), forget)


async def test_the_figures_are_those_of_the_cheaper_ways_against_every_vote() -> None:
    forgotten: list[None] = []
    context, made = judging(forgotten)
    texts = ["good", "bad", "unclear", "wrong"]
    responses = [Response(prompt, text) for prompt, text in zip(PROMPTS, texts, strict=True)]
    rows = {row.name: row for row in await compare(context, made, responses)}
    # A vote is a critique and a verdict: "all is met" or "it falls short", and one token more.
    full, early = 4 * 5 * 4, (3 * 3 + 1) * 4
    assert rows["tokens, early stop / full, all"].spread.median == early / full
    assert rows["tokens, quick verdict / full, all"].spread.median == (1 + 1 + 1 + 3 * 4) / full
    assert rows["agreement, early stop, all"].spread.low == 1
    assert rows["agreement, quick verdict, all"].spread.low == 1
    assert rows["agreement, full / full with another seed"].spread.low == 1
    assert rows["calibrated, same responses: tokens / full"].spread.median == 3 / full
    assert rows["calibrated, same responses: agreement"].spread.median == 1
    assert len(forgotten) == 3 * context.rounds + 2


async def test_responses_are_different_and_not_empty() -> None:
    async def respond(number: int) -> str:
        return ["", "same", "same", "other"][number % 4]

    engine = ScriptedEngine(Play(respond=respond), look)
    context, _ = judging()
    made = await Judging(context, roles(engine), nothing).respond(PROMPTS[:1], 8, 16)
    assert sorted(response.text for response in made) == ["other", "same"]


@pytest.mark.parametrize("count", [2, 16, 40])
def test_half_of_the_prompts_have_constraints(count: int) -> None:
    prompts = default_prompts(count)
    assert len({prompt.instruction for prompt in prompts}) == len(prompts) == count
    assert sum(bool(prompt.constraints) for prompt in prompts) == count // 2


def test_some_of_many_come_from_everywhere() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(2), 4) == [0, 1]
