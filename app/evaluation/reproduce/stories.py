"""Stories whose first and last sentence are given.

A rejected answer is a story that lacks one of the two sentences. The refined answer is the same
story with the sentence put in; the interfering one is another story that has both.
"""

from collections.abc import Mapping
from random import Random

from app.evaluation.reproduce.interference import Example, Task

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
MIDDLE = 3


def make(rng: Random) -> Example:
    """A prompt with two drawn sentences, a story that lacks one, and two that do not."""
    first, last = _sentence(rng), _sentence(rng)
    body, other = _body(rng), _body(rng)
    rejected = [*body, last] if rng.random() < 0.5 else [first, *body]
    return Example(
        prompt(first, last),
        " ".join(rejected),
        " ".join([first, *body, last]),
        " ".join([first, *other, last]),
        [first, last],
    )


def prompt(first: str, last: str) -> str:
    """The instruction."""
    return (
        f'Write a story of about five sentences. Its first sentence is "{first}" and its last'
        f' sentence is "{last}" Write only the story.'
    )


def check(asks: list[str], answer: str) -> Mapping[str, float]:
    """Whether the story begins as asked, ends as asked, and both."""
    text = " ".join(answer.split())
    begins, ends = text.startswith(asks[0]), text.endswith(asks[1])
    # A story of nothing but its two sentences is none.
    both = begins and ends and len(text) > len(asks[0]) + len(asks[1]) + 1
    return {"both": float(both), "begins": float(begins), "ends": float(ends)}


def _sentence(rng: Random) -> str:
    words = " ".join(rng.choice(some) for some in (_WHO, _DID, _WHERE, _WHEN))
    return f"{words[0].upper()}{words[1:]}."


def _body(rng: Random) -> list[str]:
    return rng.sample(_THEN, MIDDLE)


STORIES = Task("stories", make, check, ("both", "begins", "ends"), 160)
