"""Which prompts an iteration plays on, and which it is measured on."""

from app.db.prompts import PromptRepository
from app.domain.iteration import DataOptions, EvaluationOptions, Source, Stage
from tests.helpers.iterating import OPTIONS, PROMPTS, World
from worker.stages.prompts import choose_prompts

WANTED = 8
MIXED = OPTIONS.model_copy(
    update={
        "data": DataOptions(prompts=WANTED),
        "evaluation": EvaluationOptions(prompts=5),
    }
)


async def test_the_pool_comes_first_and_generated_prompts_fill_it_up(world: World) -> None:
    chosen = await choose_prompts(await world.stage(Stage.PROMPTS, MIXED))
    assert chosen.training[: len(PROMPTS)] == PROMPTS
    assert len(chosen.training) == WANTED
    assert all(prompt.constraints for prompt in chosen.training[len(PROMPTS) :])
    assert [one.held_out for one in chosen.evaluation] == [False] * 3 + [True] * 2
    training = {prompt.instruction for prompt in chosen.training}
    assert not training & {one.prompt.instruction for one in chosen.evaluation}


async def test_the_choice_stays_when_the_pool_changes(world: World) -> None:
    stage = await world.stage(Stage.PROMPTS, MIXED)
    chosen = await choose_prompts(stage)
    async with world.database.session() as session:
        await PromptRepository(session).add(list(chosen.training[-1:]), Source.RECORDED)
    assert await choose_prompts(stage) == chosen


async def test_the_same_seed_gives_the_same_evaluation_and_always_new_prompts(
    world: World,
) -> None:
    generated = MIXED.model_copy(
        update={"data": DataOptions(prompts=400, sources=(Source.GENERATED,))}
    )
    seen: set[str] = set()
    evaluations = []
    for number in range(1, 5):  # More than the generator's attempts.
        chosen = await choose_prompts(await world.stage(Stage.PROMPTS, generated))
        seen |= {prompt.instruction for prompt in chosen.training}
        evaluations.append(chosen.evaluation)
        assert len(seen) == 400 * number
    assert evaluations == evaluations[:1] * 4
