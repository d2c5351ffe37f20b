"""Requirements drawn from each constraint type, for tests to look at."""

from random import Random

from worker.prompts.seeds import all_seeds
from worker.prompts.taxonomy import TAXONOMY, Requirement

DRAWS = 12


def draws(name: str) -> list[Requirement]:
    """Different requirements of one type, drawn for seeds that suit it."""
    kind = TAXONOMY[name]
    seeds = [seed for seed in all_seeds() if seed.kind in kind.suits]
    drawn = [kind.draw(Random(number), seeds[number * 7 % len(seeds)]) for number in range(DRAWS)]
    return list({requirement.sentence: requirement for requirement in drawn}.values())
