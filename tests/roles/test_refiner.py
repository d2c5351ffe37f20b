import pytest

from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.sampling import Sampling
from app.engine.base import Call, Completion, ignore_delta
from app.engine.scripted import ScriptedEngine
from app.roles.judge import judge_messages
from app.roles.refiner import Refiner, refine_messages
from tests.helpers.judgments import result, vote
from tests.helpers.scripts import Part, part_of

PROMPT = Prompt.from_text("Say hello in one word.")
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=50, seed=3, stop=("END",))
REJECTED = Judgment(
    votes=(vote(True, "one word"), vote(False, "two words"), vote(False, "too long")),
    constraints=(result(False, "2 words, at most 1 allowed"), result(True, "no comma")),
    gate=0.5,
)


class Scribe:
    """Says what it is told to in a reflection and in a rewrite."""

    def __init__(self, reflection: str = "Cut a word.", rewrite: str = "Hello") -> None:
        self._says = {Part.REFLECTION: reflection, Part.REWRITE: rewrite}
        self.engine = ScriptedEngine(self._say, lambda call, option: 0.0)

    async def _say(self, call: Call) -> str:
        return self._says[part_of(call)]

    async def refine(
        self, judgment: Judgment = REJECTED, *, reflection_tokens: int = 20
    ) -> Completion:
        return await Refiner(self.engine, reflection_tokens=reflection_tokens).refine(
            PROMPT,
            "Hello there",
            judgment,
            model="refiner@2",
            sampling=SAMPLING,
            priority=4,
            chunk_tokens=9,
            on_delta=ignore_delta,
        )


def test_the_dialogue_goes_on_from_the_judges_question_and_verdict() -> None:
    dialogue = refine_messages(PROMPT, "Hello there", REJECTED)
    question = judge_messages(PROMPT, "Hello there")
    assert dialogue[: len(question)] == question
    assert dialogue[-2] == Message("assistant", "two words\n\nVerdict: no")
    assert dialogue[-1].role == "user"
    assert len(dialogue) == len(question) + 2


def test_an_accepted_response_is_rewritten_after_a_yes() -> None:
    accepted = Judgment((vote(True, "all is met"),), (), 0.5)
    assert refine_messages(PROMPT, "Hello", accepted)[-2].content == "all is met\n\nVerdict: yes"


def test_the_messages_of_failed_constraints_and_only_these_reach_the_refiner() -> None:
    request = refine_messages(PROMPT, "Hello there", REJECTED)[-1].content
    assert "A program checked the response and found:\n- 2 words, at most 1 allowed\n" in request
    assert "no comma" not in request


def test_without_failed_constraints_there_are_no_findings() -> None:
    judgment = Judgment((vote(False, "rude"),), (result(True, "no comma"),), 0.5)
    request = refine_messages(PROMPT, "Hello there", judgment)[-1].content
    assert request.startswith("Rewrite the response")


@pytest.mark.parametrize("hostile", ["{findings}", "{failures} {response}", "\\1 {", "{{}}"])
def test_what_checkers_and_critics_write_stays_as_it_is(hostile: str) -> None:
    judgment = Judgment((vote(False, hostile),), (result(False, hostile),), 0.5)
    dialogue = refine_messages(PROMPT, hostile, judgment)
    assert f"# Response\n{hostile}\n" in dialogue[0].content
    assert dialogue[1].content.startswith(f"{hostile}\n\nVerdict:")
    assert f"- {hostile}\n" in dialogue[2].content


async def test_a_reflection_comes_first_and_stops_before_the_answer_mark() -> None:
    scribe = Scribe(reflection=" Cut a word. <answer>Hello</answer>")
    await scribe.refine()
    reflection, rewrite = scribe.engine.started
    assert reflection.messages == refine_messages(PROMPT, "Hello there", REJECTED)
    assert reflection.sampling.max_tokens == 20
    assert rewrite.messages[:-1] == reflection.messages
    assert rewrite.messages[-1] == Message("assistant", "Cut a word.\n\n<answer>\n")


async def test_the_rewrite_is_what_stands_before_the_closing_mark() -> None:
    completion = await Scribe(rewrite=" Hello\n</answer> and more").refine()
    assert completion.text == "Hello"


async def test_a_rewrite_without_a_closing_mark_is_not_lost() -> None:
    assert (await Scribe(rewrite="Hello").refine()).text == "Hello"


async def test_with_reflections_off_the_answer_mark_is_opened_at_once() -> None:
    scribe = Scribe()
    completion = await scribe.refine(reflection_tokens=0)
    (rewrite,) = scribe.engine.started
    assert rewrite.messages[-1] == Message("assistant", "<answer>\n")
    assert completion.text == "Hello"


async def test_the_requests_sampling_applies_to_the_rewrite() -> None:
    scribe = Scribe()
    await scribe.refine()
    reflection, rewrite = scribe.engine.started
    assert rewrite.sampling.stop == ("END", "</answer>")
    assert (rewrite.sampling.max_tokens, rewrite.sampling.seed) == (50, 3)
    assert reflection.sampling.seed not in (None, 3)
    for call in scribe.engine.started:
        assert (call.model, call.priority, call.chunk_tokens) == ("refiner@2", 4, 9)
        assert (call.sampling.temperature, call.sampling.top_p) == (0.7, 0.9)
