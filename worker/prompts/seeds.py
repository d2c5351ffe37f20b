"""The seed instructions: what to write about, before any constraint is added."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

SeedKind = Literal["open", "piece", "task", "ideas"]
"""`open` can be answered in any form, `piece` names its own form (a letter, a poem), `task` works
on a given text or case, `ideas` asks for several suggestions."""

SeedSplit = Literal["train", "evaluation"]

_EVALUATION_EVERY = 5


@dataclass(frozen=True, slots=True)
class Seed:
    """One instruction; `words` fit an answer to it and do not appear in it."""

    index: int
    kind: SeedKind
    text: str
    words: tuple[str, ...]

    @property
    def split(self) -> SeedSplit:
        """Every fifth seed is kept for evaluation, for good."""
        last = self.index % _EVALUATION_EVERY == _EVALUATION_EVERY - 1
        return "evaluation" if last else "train"


@cache
def all_seeds() -> tuple[Seed, ...]:
    """Every seed, in the order of the file. Raises ValueError for a malformed line."""
    text = (files("worker.prompts") / "seeds.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(_parse(index, line) for index, line in enumerate(lines))


def seeds_of(split: SeedSplit) -> tuple[Seed, ...]:
    """The seeds of one split."""
    return tuple(seed for seed in all_seeds() if seed.split == split)


def _parse(index: int, line: str) -> Seed:
    kind, text, words = (part.strip() for part in line.split("|"))
    for known in get_args(SeedKind):
        if kind == known:
            return Seed(index, known, text, tuple(word.strip() for word in words.split(",")))
    raise ValueError(f"seeds.txt: there is no kind of seed {kind!r}")
