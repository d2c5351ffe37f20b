"""How long: words, sentences."""

from app.domain.prompt import Constraint
from worker.prompts.taxonomy.base import (
    ConstraintType,
    aspects,
    counting,
    drawing,
    ifeval,
)

_COUNTED = aspects("length", "sentences")


def _words(relation: str, number: int) -> tuple[Constraint, ...]:
    return ifeval("length_constraints:number_words", num_words=number, relation=relation)


def _sentences(relation: str, number: int) -> tuple[Constraint, ...]:
    return ifeval("length_constraints:number_sentences", num_sentences=number, relation=relation)


TYPES = (
    ConstraintType(
        "length",
        "words_at_most",
        counting(
            (30, 40, 50, 60, 80),
            lambda n: _words("at most", n),
            "Use at most {} words.",
            "Your answer must not have more than {} words.",
            "Stay within {} words.",
        ),
        claims=aspects("length"),
    ),
    ConstraintType(
        "length",
        "words_at_least",
        counting(
            (40, 60, 80, 100),
            lambda n: _words("at least", n),
            "Use at least {} words.",
            "Your answer must have {} words or more.",
            "Write no fewer than {} words.",
        ),
        claims=aspects("length"),
    ),
    ConstraintType(
        "length",
        "words_between",
        drawing(
            ((20, 70), (30, 90), (40, 100), (60, 140)),
            lambda r: (
                Constraint("count:word_count_range", {"min_words": r[0], "max_words": r[1]}),
            ),
            "Use between {} words.",
            "The number of words must lie between {}.",
            "Aim for a length between {} words, both included.",
            say=lambda r: f"{r[0]} and {r[1]}",
        ),
        claims=aspects("length"),
    ),
    ConstraintType(
        "length",
        "sentences_at_most",
        counting(
            (2, 3, 4),
            lambda n: _sentences("at most", n),
            "Use at most {} sentences.",
            "Your answer must not have more than {} sentences.",
            "Say it in {} sentences or fewer.",
        ),
        claims=_COUNTED,
    ),
    ConstraintType(
        "length",
        "sentences_at_least",
        counting(
            (3, 4, 5),
            lambda n: _sentences("at least", n),
            "Use at least {} sentences.",
            "Your answer must have {} sentences or more.",
            "Write no fewer than {} sentences.",
        ),
        claims=_COUNTED,
    ),
    ConstraintType(
        "length",
        "sentences_exactly",
        counting(
            (2, 3),
            lambda n: _sentences("at least", n) + _sentences("at most", n),
            "Use exactly {} sentences.",
            "Your answer must consist of {} sentences, no more and no fewer.",
        ),
        claims=_COUNTED,
    ),
)
