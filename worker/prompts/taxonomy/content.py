"""Given words, symbols, and how the answer starts and ends."""

import re
from random import Random

from app.domain.prompt import Constraint
from worker.prompts.seeds import Seed
from worker.prompts.taxonomy.base import (
    ConstraintType,
    Requirement,
    alternatives,
    aspects,
    counting,
    drawing,
    features,
    fixed,
    ifeval,
    in_words,
    kinds,
    matching,
    times,
)

_GIVEN = features("given words", "English")

_OPENINGS = (
    "Here is",
    "First of all",
    "To begin with",
    "In short",
    "The answer is",
)
_CLOSINGS = (
    "That is all.",
    "Good luck.",
    "Thank you.",
    "The end.",
)


def _include(random: Random, seed: Seed) -> Requirement:
    words = random.sample(seed.words, random.choice((1, 2)))
    noun = "word" if len(words) == 1 else "words"
    wording = random.choice(
        (
            "Use the {noun} {words}.",
            "Your answer must contain the {noun} {words}.",
            "Work the {noun} {words} into your answer.",
        )
    )
    sentence = wording.format(noun=noun, words=alternatives(words, "and"))
    return Requirement(sentence, ifeval("keywords:existence", keywords=words))


def _repeat(random: Random, seed: Seed) -> Requirement:
    word, number = random.choice(seed.words), random.choice((2, 3))
    wording = random.choice(
        (
            'Use the word "{word}" at least {number} times.',
            'The word "{word}" must appear {number} or more times.',
        )
    )
    sentence = wording.format(word=word, number=in_words(number))
    return Requirement(
        sentence,
        ifeval("keywords:frequency", keyword=word, frequency=number, relation="at least"),
    )


def _forbidden(random: Random, seed: Seed) -> Requirement:
    words = random.sample(seed.words, random.choice((1, 2)))
    noun = "word" if len(words) == 1 else "words"
    wording = random.choice(
        (
            "Do not use the {noun} {words}.",
            "Your answer must not contain the {noun} {words}.",
            "Get by without the {noun} {words}.",
        )
    )
    sentence = wording.format(noun=noun, words=alternatives(words))
    return Requirement(sentence, ifeval("keywords:forbidden_words", forbidden_words=words))


def _in_sentence(random: Random, seed: Seed) -> Requirement:
    word, (number, place) = random.choice(seed.words), random.choice(((1, "first"), (2, "second")))
    wording = random.choice(
        (
            'Use the word "{word}" in the {place} sentence of your answer.',
            'The {place} sentence of your answer must contain the word "{word}".',
        )
    )
    sentence = wording.format(word=word, place=place)
    return Requirement(sentence, (Constraint("sentence:keyword", {"word": word, "N": number}),))


def _letters(relation: str, letter: str, number: int) -> tuple[Constraint, ...]:
    return ifeval(
        "keywords:letter_frequency", letter=letter, let_frequency=number, let_relation=relation
    )


TYPES = (
    ConstraintType("keyword", "include", _include, claims=aspects("keywords"), needs=_GIVEN),
    ConstraintType(
        "keyword", "repeat", _repeat, echo_proof=True, claims=aspects("keywords"), needs=_GIVEN
    ),
    ConstraintType(
        "keyword",
        "forbidden",
        _forbidden,
        echo_proof=True,
        claims=aspects("keywords"),
        needs=features("English"),
        rules_out=features("given words"),
    ),
    ConstraintType(
        "keyword",
        "in_sentence",
        _in_sentence,
        suits=kinds("open", "piece", "task"),
        claims=aspects("keywords", "sentences", "opening"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "symbol",
        "letter_at_most",
        drawing(
            [(letter, number) for letter in "bkvw" for number in (5, 8, 10)],
            lambda c: _letters("at most", *c),
            "Use the letter {} times.",
            "Your answer may contain the letter {} times.",
            say=lambda c: f'"{c[0]}" at most {in_words(c[1])}',
        ),
        claims=aspects("letters", "length"),
        needs=features("English"),
        rules_out=features("given words"),
    ),
    ConstraintType(
        "symbol",
        "letter_at_least",
        drawing(
            [(letter, number) for letter in "bgmw" for number in (4, 6, 8)],
            lambda c: _letters("at least", *c),
            "Use the letter {} times.",
            "Your answer must contain the letter {} times.",
            say=lambda c: f'"{c[0]}" at least {in_words(c[1])}',
        ),
        claims=aspects("letters", "length"),
        needs=features("English"),
    ),
    ConstraintType(
        "symbol",
        "hashtag",
        fixed(
            matching(r"#\p{L}"),
            "Add at least one hashtag: a hash sign with a word directly after it.",
            "Your answer must contain a hashtag, which is a hash sign joined to a word.",
        ),
        echo_proof=True,
    ),
    ConstraintType(
        "symbol",
        "emoji",
        counting(
            (1, 2),
            lambda n: matching(times(r"(?![©®™])\p{Extended_Pictographic}", n), "s"),
            "Use at least {} emoji.",
            "Your answer must contain {} emoji or more.",
        ),
        echo_proof=True,
    ),
    ConstraintType(
        "position",
        "opening",
        drawing(
            _OPENINGS,
            lambda phrase: matching(rf"\A{re.escape(phrase)}\b", "i"),
            'Begin your answer with the words "{}".',
            'The very first words of your answer must be "{}".',
        ),
        echo_proof=True,
        claims=aspects("opening"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "position",
        "closing",
        drawing(
            _CLOSINGS,
            lambda phrase: ifeval("startend:end_checker", end_phrase=phrase),
            'End your answer with the sentence "{}" and write nothing after it.',
            'The last words of your answer must be "{}", with nothing behind them.',
        ),
        echo_proof=True,
        claims=aspects("closing"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "position",
        "end_question",
        fixed(
            matching(r"\?\Z"),
            "The last character of your answer must be a question mark.",
            "End your answer with a question, and so with a question mark.",
        ),
        suits=kinds("open", "piece", "ideas"),
        claims=aspects("closing"),
    ),
)
