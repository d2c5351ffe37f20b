"""The synthetic tasks of SPaR's Figure 4: do irrelevant differences in a pair hinder learning?

Two tasks that a program can generate and check. For each prompt there are two preference pairs with
the same rejected answer. The *refined* pair's chosen answer is the rejected one with only its error
corrected. The *interfering* pair's chosen answer is correct as well, and also differs in something
that the prompt does not ask for.

* `characters`: write each of three letters a given number of times, in any case. A rejected answer
  has one letter too often or too seldom. Interfering answers are in capitals.
* `stories`: write a story with a given first and last sentence. A rejected answer lacks one of the
  two. Interfering answers are other stories.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from string import ascii_lowercase
from typing import Any

from app.evaluation.base import Metric, Score
from app.evaluation.statistics import measure

REFINED, INTERFERING = "refined", "interfering"
ARMS = (REFINED, INTERFERING)


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with its answers. asks: the prompt's parameters, which the task's check needs."""

    prompt: str
    rejected: str
    refined: str
    interfering: str
    asks: Any

    def pair(self, arm: str) -> Mapping[str, Any]:
        """The pair of an arm, as a row of training data."""
        chosen = self.refined if arm == REFINED else self.interfering
        return {
            "prompt": [{"role": "user", "content": self.prompt}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
        }


@dataclass(frozen=True, slots=True)
class Task:
    """A task.

    make: draws an example. check: an answer's metrics, each 0..1, given `Example.asks`. metrics:
    their names, the primary one first. tokens: the greatest length of an answer.
    """

    name: str
    make: Callable[[Random], Example]
    check: Callable[[Any, str], Mapping[str, float]]
    metrics: tuple[str, ...]
    tokens: int


def examples(task: Task, count: int, seed: int, without: Sequence[Example] = ()) -> list[Example]:
    """`count` examples with distinct prompts, none of them in `without`; the seed decides them."""
    rng = Random(f"{task.name} {seed}")
    seen = {one.prompt for one in without}
    found: list[Example] = []
    while len(found) < count:
        drawn = task.make(rng)
        if drawn.prompt not in seen:
            seen.add(drawn.prompt)
            found.append(drawn)
    return found


def measured(task: Task, some: Sequence[Example], answers: Sequence[str]) -> dict[str, Metric]:
    """The mean metrics of the answers to these examples, by name."""
    checked = [task.check(one.asks, text) for one, text in zip(some, answers, strict=True)]
    found = {}
    for name in task.metrics:
        scores: list[Score] = [{name: (values[name], 1)} for values in checked]
        taken = measure(name, scores)
        if taken is not None:
            found[name] = taken
    return found


LETTERS = 3
MOST = 6

Counts = tuple[tuple[str, int], ...]
"""Letters, in order, and how often each is written."""


def _make_characters(rng: Random) -> Example:
    """A prompt for three letters; the wrong answer is off by one or two in one of them."""
    letters = rng.sample(ascii_lowercase, LETTERS)
    counts = tuple((letter, rng.randint(2, MOST)) for letter in letters)
    wrong = list(counts)
    place = rng.randrange(LETTERS)
    letter, count = counts[place]
    off = rng.choice([step for step in (-2, -1, 1, 2) if count + step > 0])
    wrong[place] = (letter, count + off)
    right = _written(counts)
    return Example(_characters_prompt(counts), _written(tuple(wrong)), right, right.upper(), counts)


def _characters_prompt(counts: Counts) -> str:
    asked = ", then ".join(f"{count} times the letter {letter}" for letter, count in counts)
    return (
        f"Write {asked}. Put a space between the letters and write nothing else. Small letters and"
        " capitals are both fine."
    )


def _written(counts: Counts) -> str:
    return " ".join(letter for letter, count in counts for _ in range(count))


def check_characters(counts: Counts, answer: str) -> Mapping[str, float]:
    """Whether the sequence is correct, the share of correct letters, and the share of capitals."""
    text = "".join(answer.split())
    runs = [(letter, len(list(run))) for letter, run in groupby(text.lower())]
    pairs = zip(counts, runs, strict=False)
    letters = [one for one in text if one.isalpha()]
    return {
        "right": float(tuple(runs) == tuple(counts)),
        "letters right": sum(asked == given for asked, given in pairs) / len(counts),
        "capitals": sum(map(str.isupper, letters)) / len(letters) if letters else 0.0,
    }


CHARACTERS = Task(
    "characters", _make_characters, check_characters, ("right", "letters right", "capitals"), 48
)


_WHO = (
    "the baker", "an old sailor", "my neighbour", "the youngest sister", "a tired clerk",
    "the gardener", "the night nurse", "a boy with a kite",
)  # fmt: skip
_DID = (
    "found a key", "lost a letter", "heard a bell", "missed the last bus", "met a grey cat",
    "opened the wrong door", "planted a pear tree", "painted the fence blue",
)  # fmt: skip
_WHERE = (
    "by the harbour", "behind the school", "in the long valley", "at the edge of town",
    "under the stone bridge", "beside the mill", "on the second floor", "near the old station",
)  # fmt: skip
_WHEN = (
    "in early spring", "on a windy night", "before the market closed", "after the first snow",
    "while the lamps were lit", "when nobody was looking", "just before noon", "late in August",
)  # fmt: skip
_THEN = (
    "Nobody believed a word of it.", "The rain began again.", "It was the start of a long walk.",
    "A dog barked twice and was still.", "There was soup, and there was talk.",
    "The clock had stopped at four.", "A light went on across the road.",
    "They counted the coins and laughed.", "The road was longer than it had been.",
)  # fmt: skip
_MIDDLE = 3


def _make_story(rng: Random) -> Example:
    """A prompt with two drawn sentences, a story that lacks one, and two complete stories."""
    first, last = _sentence(rng), _sentence(rng)
    body, other = _body(rng), _body(rng)
    rejected = [*body, last] if rng.random() < 0.5 else [first, *body]
    return Example(
        _story_prompt(first, last),
        " ".join(rejected),
        " ".join([first, *body, last]),
        " ".join([first, *other, last]),
        [first, last],
    )


def _story_prompt(first: str, last: str) -> str:
    return (
        f'Write a story of about five sentences. Its first sentence is "{first}" and its last'
        f' sentence is "{last}" Write only the story.'
    )


def check_story(asks: list[str], answer: str) -> Mapping[str, float]:
    """Whether the story begins as asked, ends as asked, and both."""
    text = " ".join(answer.split())
    begins, ends = text.startswith(asks[0]), text.endswith(asks[1])
    # The two sentences alone are not a story.
    both = begins and ends and len(text) > len(asks[0]) + len(asks[1]) + 1
    return {"both": float(both), "begins": float(begins), "ends": float(ends)}


def _sentence(rng: Random) -> str:
    words = " ".join(rng.choice(some) for some in (_WHO, _DID, _WHERE, _WHEN))
    return f"{words[0].upper()}{words[1:]}."


def _body(rng: Random) -> list[str]:
    return rng.sample(_THEN, _MIDDLE)


STORIES = Task("stories", _make_story, check_story, ("both", "begins", "ends"), 160)

TASKS = {task.name: task for task in (CHARACTERS, STORIES)}
