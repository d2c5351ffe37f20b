"""The judge with a quick verdict: no votes where a program or one token decides."""

import math
from dataclasses import replace

import pytest

from app.domain.judgment import Judgment, QuickVerdict
from app.domain.prompt import Prompt
from app.domain.search import QuickVerdictRule, Usage
from app.engine.base import Call, CallContext, count_into
from app.roles.judge import Judge, JudgeOptions, judge_messages, lacks_critique
from tests.helpers.judgments import result, vote
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import FINE, SHORT, Decide, always, never, reading_yes
from tests.helpers.searching import Checks

PROMPT = Prompt.from_text("Say hello.")
FAILED = Checks(lambda _: (result(False, "2 words, at most 1 allowed"),))
RULE = QuickVerdictRule(0.2, 0.8)


CONTEXT = CallContext("refiner@4", priority=2)


def options(quick_verdict: QuickVerdictRule | None = RULE) -> JudgeOptions:
    return JudgeOptions(5, 0.5, early_stop=True, seed=1, quick_verdict=quick_verdict)


def judge_of(engine: ScriptedEngine, checks: Checks | None = None) -> Judge:
    return Judge(engine, checks or Checks(), temperature=0.7, critique_tokens=64)


@pytest.mark.parametrize(("probability", "accepted"), [(0.9, True), (0.8, True), (0.1, False)])
async def test_a_clear_quick_verdict_decides_without_votes(
    probability: float, accepted: bool
) -> None:
    engine = reading_yes(probability)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(), CONTEXT)
    assert engine.started == []
    assert judgment.votes == ()
    assert judgment.quick_verdict is not None
    assert judgment.quick_verdict.verdict is accepted
    assert judgment.value == pytest.approx(probability)
    assert judgment.accepted is accepted


@pytest.mark.parametrize("decide", [always, never])
async def test_an_unclear_quick_verdict_leaves_it_to_the_votes(decide: Decide) -> None:
    engine = reading_yes(0.5, decide)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(), CONTEXT)
    assert len(judgment.votes) == 3
    assert judgment.quick_verdict is not None
    assert judgment.quick_verdict.probability == pytest.approx(0.5)
    assert judgment.quick_verdict.verdict is None
    assert judgment.accepted is (decide is always)
    assert judgment.value == (1.0 if decide is always else 0.0)


async def test_the_rule_and_not_the_accept_threshold_decides() -> None:
    biased = options(QuickVerdictRule(0.8, 0.9))
    judgment = await judge_of(reading_yes(0.7, always)).judge(PROMPT, "Hello", biased, CONTEXT)
    assert judgment.value == pytest.approx(0.7)
    assert not judgment.accepted


async def test_the_votes_are_those_that_are_cast_without_a_quick_verdict() -> None:
    drawn = await judge_of(reading_yes(0.5)).judge(PROMPT, "Hello", options(), CONTEXT)
    plain = await judge_of(reading_yes(0.5)).judge(
        PROMPT, "Hello", options(quick_verdict=None), CONTEXT
    )
    assert drawn.votes == plain.votes
    assert plain.quick_verdict is None


async def test_what_fails_a_program_is_not_shown_to_the_judge() -> None:
    usage = Usage()
    engine = reading_yes(0.9, always)
    context = replace(CONTEXT, on_delta=count_into(usage))
    judgment = await judge_of(engine, FAILED).judge(PROMPT, "Hi you", options(), context)
    assert usage == Usage()
    assert judgment.quick_verdict is None
    assert judgment.value is None
    assert not judgment.accepted
    assert judgment.critique == "- 2 words, at most 1 allowed"


async def test_the_verdict_comes_straight_after_the_question() -> None:
    scored: list[Call] = []

    def score(call: Call, option: str) -> float:
        scored.append(call)
        return {" yes": math.log(0.05), " no": math.log(0.95)}.get(option, -math.inf)

    async def silence(call: Call) -> str:
        raise AssertionError(f"nothing is to be written: {call}")

    usage = Usage()
    judge = judge_of(ScriptedEngine(silence, score))
    context = replace(CONTEXT, on_delta=count_into(usage))
    await judge.judge(PROMPT, "Hello", options(), context)
    *question, opened = scored[0].messages
    assert tuple(question) == judge_messages(PROMPT, "Hello")
    assert (opened.role, opened.content) == ("assistant", "Verdict:")
    assert (scored[0].model, scored[0].priority) == ("refiner@4", 2)
    assert usage.completion_tokens == 1
    assert usage.prompt_tokens > 0


async def test_a_late_critique_explains_and_does_not_change_the_verdict() -> None:
    engine = reading_yes(0.1, always)
    judge = judge_of(engine)
    rejected = await judge.judge(PROMPT, "Hello", options(), CONTEXT)
    explained = await judge.explain(PROMPT, "Hello", rejected, options(), CONTEXT)
    assert rejected.critique == ""
    assert explained.explanation == explained.critique == FINE
    assert (explained.accepted, explained.value) == (False, rejected.value)
    assert len(engine.started) == 1
    assert await judge.explain(PROMPT, "Hello", explained, options(), CONTEXT) is explained
    assert len(engine.started) == 1


@pytest.mark.parametrize(("critiques", "calls"), [(False, 0), (True, 1)])
async def test_a_checkers_message_is_the_critique_by_default(critiques: bool, calls: int) -> None:
    engine = reading_yes(0.1)
    judge = judge_of(engine, FAILED)
    asked = options(QuickVerdictRule(critiques=critiques))
    judgment = await judge.judge(PROMPT, "Hi you", asked, CONTEXT)
    explained = await judge.explain(PROMPT, "Hi you", judgment, asked, CONTEXT)
    assert len(engine.started) == calls
    assert explained.critique.splitlines() == ["- 2 words, at most 1 allowed", SHORT][: 1 + calls]


@pytest.mark.parametrize(
    ("judgment", "lacks"),
    [
        (Judgment((), (), 0.5, QuickVerdict(0.1, False)), True),
        (Judgment((), (), 0.5, QuickVerdict(0.1, False), "dull"), False),
        (Judgment((), (), 0.5, QuickVerdict(0.1, False), ""), False),
        (Judgment((vote(False, "dull"),), (), 0.5, QuickVerdict(0.4, None)), False),
        (Judgment((), (result(False, "long"),), 0.5), False),
    ],
)
def test_votes_findings_and_an_earlier_late_critique_are_enough(
    judgment: Judgment, lacks: bool
) -> None:
    assert lacks_critique(judgment, RULE) is lacks
