"""Choose the prompts to generate data from, and those to evaluate on."""

from dataclasses import dataclass
from itertools import islice

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.prompts import PromptRepository
from app.domain.iteration import IterationKind, IterationOptions, Source
from app.domain.prompt import Prompt
from worker.context import ItemResult, Record, StageRun
from worker.prompts.generator import draw, generate

TRAINING, EVALUATION = "training", "evaluation"
_STORED = TypeAdapter(Prompt)


@dataclass(frozen=True, slots=True)
class HeldOutPrompt:
    """A prompt for evaluation; `held_out` if it has a constraint type no training prompt has."""

    prompt: Prompt
    held_out: bool


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of an iteration: no instruction is in both lists."""

    training: tuple[Prompt, ...]
    evaluation: tuple[HeldOutPrompt, ...]


async def choose_prompts(stage: StageRun) -> Prompts:
    """The pool's least used prompts, filled up with generated ones; the same again on resuming."""

    async def choose(key: str) -> ItemResult:
        if key == EVALUATION:
            return _evaluation_prompts(stage), None
        if stage.context.iteration.kind is IterationKind.BOOTSTRAP:
            return [], None
        return await _choose_training(stage)

    chosen = await stage.each((TRAINING, EVALUATION), choose)
    stage.metrics |= {key: len(records) for key, records in chosen.items()}
    return Prompts(
        tuple(map(_STORED.validate_python, chosen[TRAINING])),
        tuple(
            HeldOutPrompt(_STORED.validate_python(record["prompt"]), record["held_out"])
            for record in chosen[EVALUATION]
        ),
    )


def _evaluation_prompts(stage: StageRun) -> list[Record]:
    """Half with constraint types of training prompts, half with held-out types.

    They depend on the seed alone: iterations of one seed are evaluated on the same prompts.
    """
    options = stage.context.options
    held_out = options.evaluation.prompts // 2
    return [
        {"prompt": _STORED.dump_python(generated.prompt, mode="json"), "held_out": kind}
        for kind, count in ((False, options.evaluation.prompts - held_out), (True, held_out))
        for generated in generate(count, seed=options.seed, held_out=kind, seeds="evaluation")
    ]


async def _choose_training(stage: StageRun) -> ItemResult:
    options = stage.context.options
    chosen: list[Prompt] = []
    fresh: list[Prompt] = []
    async with stage.context.database.session() as session:
        pool = PromptRepository(session)
        for source in options.data.sources:
            missing = options.data.prompts - len(chosen)
            if source is Source.GENERATED:
                fresh = await _generated(pool, missing, options)
                chosen += fresh
            else:
                chosen += [one.prompt for one in await pool.least_used(source, missing)]

    async def keep(session: AsyncSession) -> None:
        pool = PromptRepository(session)
        await pool.add(fresh, Source.GENERATED)
        await pool.mark_used(chosen, stage.context.id)

    return [_STORED.dump_python(prompt, mode="json") for prompt in chosen], keep


async def _generated(pool: PromptRepository, count: int, options: IterationOptions) -> list[Prompt]:
    """Generated prompts that the pool does not have."""
    # The same seed again would draw prompts that the pool already has.
    seed = options.seed + (await pool.count()).get(Source.GENERATED, 0)
    drawing = draw(seed=seed, max_constraints=options.data.max_constraints)
    fresh: list[Prompt] = []
    while len(fresh) < count:
        drawn = [one.prompt for one in islice(drawing, count - len(fresh))]
        fresh += await pool.new_among(drawn)
    return fresh
