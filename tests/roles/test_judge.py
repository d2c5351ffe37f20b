import asyncio
import math
from dataclasses import replace

import pytest

from app.domain.prompt import Constraint, Message, Prompt
from app.domain.search import Usage
from app.engine.base import Call, CallContext, count_into
from app.errors import EngineError, EngineUnavailable
from app.roles.judge import Judge, JudgeOptions, judge_messages
from app.roles.templates import NOT_THE_REQUEST
from tests.helpers.judgments import result
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import FINE, SHORT, Play, always, never, playing, verdict_of_critique
from tests.helpers.searching import Checks

PROMPT = Prompt.from_text("Say hello.", (Constraint("some:constraint"),))
FAILED = Checks(lambda _: (result(True, "fine"), result(False, "2 words, at most 1 allowed")))


CONTEXT = CallContext("refiner@4", priority=2, chunk_tokens=8)


def options(
    votes: int = 5, *, early_stop: bool = True, seed: int = 1, ties: int = 3
) -> JudgeOptions:
    return JudgeOptions(votes, 0.5, early_stop, seed=seed, ties=ties)


def judge_of(engine: ScriptedEngine, checks: Checks | None = None) -> Judge:
    return Judge(engine, checks or Checks(), temperature=0.7, critique_tokens=64)


def saying(*verdicts: bool) -> ScriptedEngine:
    """Votes in this order, then no."""

    async def decide(text: str, number: int) -> bool:
        return number <= len(verdicts) and verdicts[number - 1]

    return playing(decide=decide)


@pytest.mark.parametrize(
    ("verdicts", "calls", "value"),
    [
        ((True, True, True), 3, 1.0),
        ((False, False, False), 3, 0.0),
        ((True, False, True, True, False), 5, 3 / 4),
        ((True, False, False, True, True), 5, 3 / 5),
    ],
)
async def test_votes_stop_when_the_rest_cannot_change_the_outcome(
    verdicts: tuple[bool, ...], calls: int, value: float
) -> None:
    engine = saying(*verdicts)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(), CONTEXT)
    assert len(engine.started) == calls
    assert judgment.value == value
    assert judgment.accept_threshold == 0.5


async def test_without_early_stop_every_vote_is_cast() -> None:
    engine = saying(True, True, True, True, True)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(early_stop=False), CONTEXT)
    assert len(engine.started) == len(judgment.votes) == 5


async def test_a_tie_is_judged_again_until_it_is_none() -> None:
    engine = saying(True, False, True, False, True, True)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(votes=2), CONTEXT)
    assert len(engine.started) == 6
    assert judgment.value == 1.0


async def test_ties_are_judged_again_three_times_by_default() -> None:
    engine = saying(*[True, False] * 10)
    await judge_of(engine).judge(PROMPT, "Hi", options(votes=2), CONTEXT)
    assert len(engine.started) == 2 * (1 + 3)


@pytest.mark.parametrize("early_stop", [False, True])
@pytest.mark.parametrize("ties", [0, 1, 4])
async def test_ties_are_judged_again_at_most_ties_times(early_stop: bool, ties: int) -> None:
    engine = saying(*[True, False] * 10)
    asked = options(votes=2, early_stop=early_stop, ties=ties)
    judgment = await judge_of(engine).judge(PROMPT, "Hi", asked, CONTEXT)
    assert len(engine.started) == 2 * (1 + ties)
    assert judgment.value == 0.5
    assert not judgment.accepted


async def test_a_failed_constraint_gets_one_vote_and_is_not_accepted() -> None:
    engine = playing(decide=always)
    judgment = await judge_of(engine, FAILED).judge(PROMPT, "Hello there", options(), CONTEXT)
    assert len(engine.started) == 1
    assert not judgment.accepted
    assert judgment.failures == ("2 words, at most 1 allowed",)
    assert judgment.critique == f"- 2 words, at most 1 allowed\n{FINE}"


async def test_a_failed_constraint_gets_all_votes_without_early_stop() -> None:
    engine = playing(decide=always)
    judgment = await judge_of(engine, FAILED).judge(
        PROMPT, "Hello", options(early_stop=False), CONTEXT
    )
    assert len(judgment.votes) == 5
    assert not judgment.accepted


async def test_the_constraints_are_checked_on_the_response() -> None:
    checks = Checks(lambda text: (result(text == "Hello"),))
    judgment = await judge_of(playing(decide=always), checks).judge(
        PROMPT, "Hello", options(), CONTEXT
    )
    assert checks.checked == ["Hello"]
    assert judgment.accepted


async def test_a_vote_is_a_critique_then_a_prefilled_verdict_line() -> None:
    scored: list[tuple[Call, str]] = []

    async def script(call: Call) -> str:
        return "It greets. \n\nVerdict: yes, and more words"

    def score(call: Call, option: str) -> float:
        scored.append((call, option))
        return {" yes": math.log(0.6), " Yes": math.log(0.3), " no": math.log(0.1)}.get(
            option, -math.inf
        )

    engine = ScriptedEngine(script, score)
    judgment = await judge_of(engine).judge(PROMPT, "Hello", options(votes=1), CONTEXT)
    critique_call = engine.started[0]
    question = judge_messages(PROMPT, "Hello")
    assert critique_call.messages == question
    assert critique_call.sampling.temperature == 0.7
    assert critique_call.sampling.max_tokens == 64
    assert critique_call.chunk_tokens == 8
    assert (critique_call.model, critique_call.priority) == ("refiner@4", 2)
    opened = (*question, Message("assistant", "It greets.\n\nVerdict:"))
    assert {call.messages for call, _ in scored} == {opened}
    assert {(call.model, call.priority) for call, _ in scored} == {("refiner@4", 2)}
    assert {option for _, option in scored} == {" yes", " Yes", " YES", " no", " No", " NO"}
    assert judgment.votes[0].critique == "It greets."
    assert judgment.votes[0].probability == pytest.approx(0.9)


def test_only_a_short_line_stands_below_the_response() -> None:
    """What stands above it is shared: the prefix cache has it for every response to a prompt."""
    responses = ("Hello.", "Good evening, and welcome.")
    texts = [judge_messages(PROMPT, response)[0].content for response in responses]
    around = [text.split(response) for text, response in zip(texts, responses, strict=True)]
    assert around[0] == around[1]
    above, below = around[0]
    assert PROMPT.instruction in above
    assert 0 < len(below.split()) <= 12


async def test_verdicts_are_drawn_by_the_probability_and_the_seed() -> None:
    engine = ScriptedEngine(Play(), lambda call, option: -1.0)

    async def verdicts(seed: int) -> list[bool]:
        judgment = await judge_of(engine).judge(
            PROMPT, "Hello", options(votes=31, early_stop=False, seed=seed), CONTEXT
        )
        return [vote.verdict for vote in judgment.votes]

    drawn = await verdicts(1)
    assert set(drawn) == {False, True}
    assert drawn == await verdicts(1)
    assert drawn != await verdicts(2)


async def test_all_critiques_of_all_rounds_have_seeds_of_their_own() -> None:
    engine = saying(*[True, False] * 10)
    await judge_of(engine).judge(PROMPT, "Hello", options(votes=2), CONTEXT)
    assert len({call.sampling.seed for call in engine.started}) == len(engine.started) == 8


async def test_a_vocabulary_without_yes_and_no_is_an_error() -> None:
    class Wordless(ScriptedEngine):
        async def score(self, *_: object) -> dict[str, float]:
            return {}

    engine = Wordless(Play(), verdict_of_critique)
    with pytest.raises(EngineError, match="no single token for yes and for no"):
        await judge_of(engine).judge(PROMPT, "Hello", options(), CONTEXT)


async def test_votes_and_tokens_are_counted() -> None:
    usage = Usage()
    cast = 0

    def count() -> None:
        nonlocal cast
        cast += 1

    engine = playing(decide=never)
    context = replace(CONTEXT, on_delta=count_into(usage))
    await judge_of(engine).judge(PROMPT, "Hello", options(), context, on_vote=count)
    assert cast == 3
    assert usage.completion_tokens == 3 * (len(SHORT.split()) + 1)


async def test_a_failing_engine_fails_the_judgment_and_frees_the_other_votes() -> None:
    async def decide(text: str, number: int) -> bool:
        if number == 3:
            raise EngineUnavailable("gone")
        return await asyncio.Future()

    engine = playing(decide=decide)
    with pytest.raises(EngineUnavailable):
        await judge_of(engine).judge(PROMPT, "Hello", options(), CONTEXT)
    assert engine.running == 0


HOSTILE = "{instruction} {response} {findings} {0} {} {{x}} %s $y \\1 \\g<0>"


@pytest.mark.parametrize("hostile", [HOSTILE, "{", "}", "{response", "\\", "{failures}"])
def test_what_users_write_stays_as_it_is(hostile: str) -> None:
    asked = judge_messages(Prompt.from_text(hostile), "the answer")[0].content
    assert f"# Instruction\n{hostile}\n\n# Response\nthe answer\n\n# Task" in asked
    answered = judge_messages(Prompt.from_text("the question"), hostile)[0].content
    assert f"# Instruction\nthe question\n\n# Response\n{hostile}\n\n# Task" in answered


def test_a_conversation_is_judged_as_a_whole() -> None:
    prompt = Prompt(
        (
            Message("system", "Be brief."),
            Message("user", "Hi"),
            Message("assistant", "Hello."),
            Message("user", "Say it in French."),
        )
    )
    asked = judge_messages(prompt, "Bonjour.")[0].content
    assert (
        "[system]\nBe brief.\n\n[user]\nHi\n\n[assistant]\nHello.\n\n[user]\nSay it in French."
        in asked
    )


async def test_a_response_that_repeats_the_request_is_not_accepted() -> None:
    response = "Answer the instruction again, from the start, so that every requirement is met."
    judgment = await judge_of(saying(*[True] * 5)).judge(PROMPT, response, options(), CONTEXT)
    assert not judgment.accepted
    assert judgment.failures == (NOT_THE_REQUEST.message,)
