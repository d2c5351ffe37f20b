"""Draws prompts for self-play: a seed instruction with constraints that do not conflict."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from app.domain.prompt import Prompt
from worker.prompts.layout import lay_out
from worker.prompts.seeds import Seed, SeedSplit, seeds_of
from worker.prompts.taxonomy import HELD_OUT, TAXONOMY, ConstraintType, conflicts

_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class GeneratedPrompt:
    """A prompt, the names of its constraint types, and the index of its seed instruction."""

    prompt: Prompt
    types: tuple[str, ...]
    seed_index: int


def generate(
    count: int,
    *,
    seed: int,
    held_out: bool = False,
    seeds: SeedSplit = "train",
    min_constraints: int = 1,
    max_constraints: int = 3,
) -> list[GeneratedPrompt]:
    """`count` prompts of different texts: the first ones of `draw`.

    The same arguments give the same list, and a larger `count` only adds to its end. Raises
    ValueError as `draw`, and for a negative count.
    """
    if count < 0:
        raise ValueError("count must not be negative")
    drawing = draw(
        seed=seed,
        held_out=held_out,
        seeds=seeds,
        min_constraints=min_constraints,
        max_constraints=max_constraints,
    )
    return list(islice(drawing, count))


def draw(
    *,
    seed: int,
    held_out: bool = False,
    seeds: SeedSplit = "train",
    min_constraints: int = 1,
    max_constraints: int = 3,
) -> Iterator[GeneratedPrompt]:
    """Prompts of different texts, one after the other.

    Each has `min_constraints` to `max_constraints` types, of which one at least is not met by
    repeating the prompt. With `held_out`, one type at least is held out; without, none is. Every
    instruction of `seeds` is used once before any is used again. Raises ValueError for wrong
    numbers at once, and while drawing when no new text is found any more.
    """
    if not 1 <= min_constraints <= max_constraints:
        raise ValueError("it must be that 1 <= min_constraints <= max_constraints")
    wanted = range(min_constraints, max_constraints + 1)
    return _different(_draw_all(seed, held_out, seeds, wanted))


def _different(drawn: Iterator[GeneratedPrompt | None]) -> Iterator[GeneratedPrompt]:
    seen: set[str] = set()
    while True:
        for prompt in islice(drawn, _ATTEMPTS):
            if prompt is None:
                continue
            text = prompt.prompt.instruction
            if text not in seen:
                seen.add(text)
                yield prompt
                break
        else:
            raise ValueError(f"no new prompt in {_ATTEMPTS} attempts, after {len(seen)} prompts")


def _draw_all(
    seed: int, held_out: bool, split: SeedSplit, wanted: range
) -> Iterator[GeneratedPrompt | None]:
    """One draw after the other, without end; None for a draw that came to nothing."""
    random = Random(seed)
    pool = seeds_of(split)
    types = [t for t in TAXONOMY.values() if held_out or t.name not in HELD_OUT]
    while True:
        for instruction in random.sample(pool, len(pool)):
            suitable = [t for t in types if instruction.kind in t.suits]
            chosen = _choose(random, suitable, random.choice(wanted), held_out)
            usable = len(chosen) >= wanted.start and any(t.echo_proof for t in chosen)
            yield _put_together(random, instruction, chosen) if usable else None


def _choose(
    random: Random, suitable: list[ConstraintType], wanted: int, held_out: bool
) -> list[ConstraintType]:
    """Up to `wanted` types; the first is held out if asked, and the last makes it echo-proof."""
    chosen: list[ConstraintType] = []
    for left in range(wanted, 0, -1):
        fitting = [t for t in suitable if not any(conflicts(t, other) for other in chosen)]
        if held_out and not chosen:
            fitting = [t for t in fitting if t.name in HELD_OUT]
        if left == 1 and not any(t.echo_proof for t in chosen):
            fitting = [t for t in fitting if t.echo_proof]
        if not fitting:
            break
        chosen.append(random.choice(fitting))
    return chosen


def _put_together(
    random: Random, instruction: Seed, chosen: list[ConstraintType]
) -> GeneratedPrompt:
    requirements = [kind.draw(random, instruction) for kind in chosen]
    text = lay_out(random, instruction, [requirement.sentence for requirement in requirements])
    constraints = tuple(c for requirement in requirements for c in requirement.constraints)
    return GeneratedPrompt(
        Prompt.from_text(text, constraints),
        tuple(kind.name for kind in chosen),
        instruction.index,
    )
