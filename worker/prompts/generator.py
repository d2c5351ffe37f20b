"""Draws prompts for self-play: a seed instruction with constraints that do not conflict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from app.domain.prompt import Prompt
from worker.prompts.catalog import ConstraintType, Seed, SeedSplit, constraint_types, seeds_of

_ATTEMPTS = 1000
_HEADINGS = ("Requirements:", "Please follow these rules:", "Keep to the following:")


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

    The same arguments give the same list, and a larger `count` only adds to its end.

    Raises:
        ValueError: As for `draw`, or `count` is negative.
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

    Each has `min_constraints` to `max_constraints` types, at least one of which is not satisfied by
    repeating the prompt. With `held_out`, at least one type is held out; without, none is. Every
    instruction of `seeds` is used once before any is used again.

    Raises:
        ValueError: Not 1 <= `min_constraints` <= `max_constraints` (raised by the call), or no new
            text is found (raised by the iterator).
    """
    if not 1 <= min_constraints <= max_constraints:
        raise ValueError("1 <= min_constraints <= max_constraints is required")
    wanted = range(min_constraints, max_constraints + 1)
    return _different(_draw_all(seed, held_out, seeds, wanted))


def _different(drawn: Iterator[GeneratedPrompt | None]) -> Iterator[GeneratedPrompt]:
    seen: set[str] = set()
    while True:
        fresh = (p for p in islice(drawn, _ATTEMPTS) if p and p.prompt.instruction not in seen)
        prompt = next(fresh, None)
        if prompt is None:
            raise ValueError(f"no new prompt in {_ATTEMPTS} attempts, after {len(seen)} prompts")
        seen.add(prompt.prompt.instruction)
        yield prompt


def _draw_all(
    seed: int, held_out: bool, split: SeedSplit, wanted: range
) -> Iterator[GeneratedPrompt | None]:
    """An infinite sequence of draws; None for a draw that failed."""
    random = Random(seed)
    pool = seeds_of(split)
    types = [t for t in constraint_types().values() if held_out or not t.held_out]
    while True:
        for instruction in random.sample(pool, len(pool)):
            suitable = [t for t in types if instruction.kind in t.seed_kinds]
            chosen = _choose(random, suitable, random.choice(wanted), held_out)
            usable = len(chosen) >= wanted.start and any(t.echo_proof for t in chosen)
            yield _put_together(random, instruction, chosen) if usable else None


def _choose(
    random: Random, suitable: list[ConstraintType], wanted: int, held_out: bool
) -> list[ConstraintType]:
    """Up to `wanted` types; the first is held out if requested, and one is echo-proof."""
    chosen: list[ConstraintType] = []
    for left in range(wanted, 0, -1):
        fitting = [t for t in suitable if not any(t.conflicts(other) for other in chosen)]
        if held_out and not chosen:
            fitting = [t for t in fitting if t.held_out]
        if left == 1 and not any(t.echo_proof for t in chosen):
            fitting = [t for t in fitting if t.echo_proof]
        if not fitting:
            break
        chosen.append(random.choice(fitting))
    return chosen


def _put_together(random: Random, seed: Seed, chosen: list[ConstraintType]) -> GeneratedPrompt:
    drawn = [kind.draw(random, seed) for kind in chosen]
    text = _lay_out(random, seed, [sentence for sentence, _ in drawn])
    prompt = Prompt.from_text(text, tuple(c for _, constraints in drawn for c in constraints))
    return GeneratedPrompt(prompt, tuple(kind.name for kind in chosen), seed.index)


def _lay_out(random: Random, seed: Seed, sentences: Sequence[str]) -> str:
    """The sentences after, below or before the instruction, or as a list; in any order."""
    ordered = random.sample(sentences, len(sentences))
    joined = " ".join(ordered)
    layouts = [f"{seed.text}\n\n{joined}", f"{joined}\n\n{seed.text}"]
    if seed.kind != "task":  # a given text must not run into the requirements
        layouts += [f"{seed.text} {joined}"] * 2
    if len(ordered) > 1:
        # Not a dash or an asterisk: a copy of the prompt must not pass for bullet points.
        listed = "\n".join(f"• {sentence}" for sentence in ordered)
        layouts.append(f"{seed.text}\n\n{random.choice(_HEADINGS)}\n{listed}")
    return random.choice(layouts)
