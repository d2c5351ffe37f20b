"""What keeps an iteration in a phase is something the server takes."""

import pytest

from app.api.admin.schemas import ConversationsIn, IterationIn, PromptsIn
from app.domain.iteration import PRESETS, STAGES, IterationOptions, Policy, Source, options_for
from benchmarks.phases import CONVERSATIONS, PROMPTS, TRAINED, Phase, conversations, prompts

CALLING = (Phase.RESPOND, Phase.JUDGE, Phase.REFINE)


def options(phase: Phase) -> IterationOptions:
    """What the server makes of a phase's body."""
    body = IterationIn.model_validate(phase.body)
    assert body.promote is Policy.NEVER
    assert phase.stage in STAGES[body.kind]
    return options_for(body.preset, body.overrides)


@pytest.mark.parametrize("phase", CALLING)
def test_there_are_prompts_enough_for_every_phase(phase: Phase) -> None:
    data = options(phase).data
    assert data.sources == (Source.IMPORTED,)
    assert data.prompts <= PROMPTS
    assert data.in_flight == PRESETS["small"].data.in_flight


def test_a_training_does_not_end_and_changes_nothing() -> None:
    told = options(Phase.TRAIN)
    assert told.roles == (TRAINED,)
    assert told.training(TRAINED).max_steps == 1_000_000
    assert told.training(TRAINED).learning_rate < PRESETS["small"].actor.learning_rate / 1000


def test_the_prompts_are_different_and_nothing_in_them_is_checked() -> None:
    sent = PromptsIn.model_validate({"prompts": prompts()}).prompts
    assert len({prompt.prompt for prompt in sent}) == len(sent) == PROMPTS
    assert not any(prompt.constraints for prompt in sent)


def test_the_conversations_are_different() -> None:
    sent = ConversationsIn.model_validate({"conversations": conversations()}).conversations
    assert len({one.messages[-1].content for one in sent}) == len(sent) == CONVERSATIONS
    assert {one.role for one in sent} == {TRAINED}
