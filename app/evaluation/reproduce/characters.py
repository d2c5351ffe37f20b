"""Character sequences: so many of each of some letters, in any case.

A rejected answer has one letter too often or too seldom. Answers are in small letters. Only the
interfering pairs' chosen answers are in capitals, which nobody asked for; `capitals` shows how much
of that was learned.
"""

from collections.abc import Mapping
from itertools import groupby
from random import Random
from string import ascii_lowercase

from app.evaluation.reproduce.interference import Example, Task

LETTERS = 3
MOST = 6

Counts = tuple[tuple[str, int], ...]
"""Letters, in order, and how often each comes."""


def make(rng: Random) -> Example:
    """A prompt for three letters; the wrong answer is off by one or two in one of them."""
    letters = rng.sample(ascii_lowercase, LETTERS)
    counts = tuple((letter, rng.randint(2, MOST)) for letter in letters)
    wrong = list(counts)
    place = rng.randrange(LETTERS)
    letter, count = counts[place]
    off = rng.choice([step for step in (-2, -1, 1, 2) if count + step > 0])
    wrong[place] = (letter, count + off)
    right = written(counts)
    return Example(prompt(counts), written(tuple(wrong)), right, right.upper(), counts)


def prompt(counts: Counts) -> str:
    """The instruction."""
    asked = ", then ".join(f"{count} times the letter {letter}" for letter, count in counts)
    return (
        f"Write {asked}. Put a space between the letters and write nothing else. Small letters and"
        " capitals are both fine."
    )


def written(counts: Counts) -> str:
    """The sequence, in small letters."""
    return " ".join(letter for letter, count in counts for _ in range(count))


def check(counts: Counts, answer: str) -> Mapping[str, float]:
    """Whether the sequence is right, the share of letters that are, and that of capitals."""
    text = "".join(answer.split())
    runs = [(letter, len(list(run))) for letter, run in groupby(text.lower())]
    pairs = zip(counts, runs, strict=False)
    letters = [one for one in text if one.isalpha()]
    return {
        "right": float(tuple(runs) == tuple(counts)),
        "letters right": sum(asked == given for asked, given in pairs) / len(counts),
        "capitals": sum(map(str.isupper, letters)) / len(letters) if letters else 0.0,
    }


CHARACTERS = Task("characters", make, check, ("right", "letters right", "capitals"), 48)
