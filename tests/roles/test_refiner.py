import pytest

from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.search import Sampling
from app.engine.base import Call, CallContext, Completion
from app.roles.refiner import NO_REVIEW, OPENING, Refiner, refine_messages
from tests.helpers.judgments import result, vote
from tests.helpers.scripted_engine import ScriptedEngine

PROMPT = Prompt.from_text("Say hello in one word.")
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=50, seed=3, stop=("END",))
REJECTED = Judgment(
    votes=(vote(True, "one word"), vote(False, "two words"), vote(False, "too long")),
    constraints=(result(False, "2 words, at most 1 allowed"), result(True, "no comma")),
    accept_threshold=0.5,
)


async def refine(
    judgment: Judgment = REJECTED, *, rewrite: str = "Hello"
) -> tuple[Completion, Call]:
    """The rewrite, and the only engine call for it."""
    engine = saying(rewrite)
    completion = await Refiner(engine).refine(
        PROMPT,
        "Hello there",
        judgment,
        SAMPLING,
        CallContext("refiner@2", 4, 9),
    )
    (call,) = engine.started
    return completion, call


def saying(text: str) -> ScriptedEngine:
    """An engine that always says this."""

    async def say(call: Call) -> str:
        return text

    return ScriptedEngine(say, lambda call, option: 0.0)


def request_of(judgment: Judgment, prompt: Prompt = PROMPT, response: str = "Hello there") -> str:
    """The text of the request to rewrite."""
    (message,) = refine_messages(prompt, response, judgment)
    assert message.role == "user"
    return message.content


def test_the_request_has_the_response_and_ends_with_the_instruction() -> None:
    request = request_of(REJECTED)
    assert request.startswith("# Instruction\nSay hello in one word.\n\n# Response\nHello there\n")
    assert request.endswith("\n\nSay hello in one word.")


def test_a_conversation_is_shown_whole_and_its_last_message_repeated() -> None:
    messages = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Say bye."))
    request = request_of(REJECTED, Prompt(messages))
    assert "[user]\nHi\n\n[assistant]\nYes?\n\n[user]\nSay bye." in request
    assert request.endswith("\n\nSay bye.")


def test_the_review_is_a_vote_against_the_response_and_what_failed() -> None:
    findings = "A program checked the response and found:\n- 2 words, at most 1 allowed\n\n"
    request = request_of(REJECTED)
    assert f"# Review\ntwo words\n\n{findings}" in request
    assert "no comma" not in request


def test_without_failed_constraints_there_are_no_findings() -> None:
    judgment = Judgment((vote(False, "rude"),), (result(True, "no comma"),), 0.5)
    assert "# Review\nrude\n\n# Task" in request_of(judgment)


def test_without_votes_the_findings_are_the_review() -> None:
    judgment = Judgment((), (result(False, "too long"),), 0.5)
    assert "# Review\nA program checked the response and found:\n- too long\n" in request_of(
        judgment
    )


def test_a_review_is_never_empty() -> None:
    assert f"# Review\n{NO_REVIEW}\n" in request_of(Judgment((), (), 0.5))


@pytest.mark.parametrize("hostile", ["{findings}", "{failures} {response}", "\\1 {", "{{}}"])
def test_what_checkers_and_critics_write_stays_as_it_is(hostile: str) -> None:
    judgment = Judgment((vote(False, hostile),), (result(False, hostile),), 0.5)
    request = request_of(judgment, response=hostile)
    assert f"# Response\n{hostile}\n\n# Review\n{hostile}\n" in request
    assert f"- {hostile}\n" in request


async def test_the_rewrite_is_prefilled() -> None:
    completion, call = await refine(rewrite=" Hello\n")
    assert call.messages == (
        *refine_messages(PROMPT, "Hello there", REJECTED),
        Message("assistant", OPENING),
    )
    assert completion.text == "Hello"


async def test_the_requests_sampling_applies_to_the_rewrite() -> None:
    _, call = await refine()
    assert call.sampling == SAMPLING
    assert (call.model, call.priority, call.chunk_tokens) == ("refiner@2", 4, 9)
