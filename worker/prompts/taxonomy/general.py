"""Language, situation, style and mood, each through a sign of it that a program can check."""

from collections.abc import Sequence

from app.domain.prompt import Constraint
from worker.prompts.taxonomy.base import (
    ConstraintType,
    alternatives,
    aspects,
    counting,
    drawing,
    features,
    fixed,
    ifeval,
    kinds,
    matching,
    times,
)

_GIVEN = features("given words", "English")

_LANGUAGES = (("Spanish", "es"), ("French", "fr"), ("German", "de"), ("Italian", "it"))
_FOREIGN_WORDS = (
    ("French", "merci"), ("French", "bonjour"), ("Spanish", "gracias"), ("Spanish", "amigo"),
    ("German", "danke"), ("Italian", "grazie"),
)  # fmt: skip
_NAMES = ("Maria", "Thomas", "Priya", "Omar", "Lena", "Kenji")
_READERS = ("students", "parents", "beginners", "tourists", "teenagers")
_ROLES = ("captain", "gardener", "detective", "scientist", "robot", "pirate", "farmer")
_FIRST_PERSON = ("I", "me", "my", "we", "us", "our")
_FILLERS = (("very", "really"), ("just", "simply"), ("basically", "actually"), ("very", "just"))

_CHEERFUL = (
    (("great", "good", "happy", "best"), ("sad", "bad")),
    (("wonderful", "beautiful", "great", "perfect"), ("awful", "boring")),
)
_CRITICAL = (
    (("problem", "difficult", "poor", "wrong"), ("great", "perfect")),
    (("problem", "hard", "bad", "lack"), ("best", "wonderful")),
)
_HOPEFUL = (
    (("hope", "better", "bright", "dream"), ("worse", "never")),
    (("hope", "future", "chance", "better"), ("impossible", "never")),
)

Mood = tuple[Sequence[str], Sequence[str]]


def _mood(mood: Mood) -> tuple[Constraint, ...]:
    wanted, unwanted = mood
    return matching(rf"\b(?:{'|'.join(wanted)})\b", "i") + ifeval(
        "keywords:forbidden_words", forbidden_words=list(unwanted)
    )


def _mood_words(mood: Mood) -> str:
    wanted, unwanted = mood
    return (
        f"use at least one of the words {alternatives(wanted)}, and none of the words"
        f" {alternatives(unwanted)}"
    )


TYPES = (
    ConstraintType(
        "language",
        "answer_in",
        drawing(
            _LANGUAGES,
            lambda c: ifeval("language:response_language", language=c[1]),
            "Answer in {} only.",
            "Your whole answer must be in {}.",
            "Write in {} and in no other language.",
            say=lambda c: c[0],
        ),
        echo_proof=True,
        claims=aspects("case"),
        rules_out=features("English"),
    ),
    ConstraintType(
        "language",
        "foreign_word",
        drawing(
            _FOREIGN_WORDS,
            lambda c: matching(rf"\b{c[1]}\b", "i"),
            "Include the {} somewhere.",
            "Your answer must contain the {}.",
            say=lambda c: f'{c[0]} word "{c[1]}"',
        ),
        needs=_GIVEN,
    ),
    ConstraintType(
        "situation",
        "reader_name",
        drawing(
            _NAMES,
            lambda name: matching(rf"\AHello {name}\b", "i"),
            'You are talking to one person: begin your answer with "Hello {}".',
            'Greet your reader, with "Hello {}" as your first words.',
        ),
        echo_proof=True,
        claims=aspects("reader", "opening"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "situation",
        "reader_role",
        drawing(
            _READERS,
            lambda readers: matching(rf"\b{readers}\b", "i"),
            "Write for {}, and use that word.",
            "Your readers are {}; this word must appear in your answer.",
        ),
        claims=aspects("reader"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "situation",
        "speaker",
        drawing(
            _ROLES,
            lambda role: matching(rf"\AAs a {role}\b", "i"),
            'You are a {}. Begin your answer with the words "As a {}".',
            'Answer as a {} would, and start with the words "As a {}".',
        ),
        suits=kinds("open", "task", "ideas"),
        echo_proof=True,
        claims=aspects("opening"),
        needs=_GIVEN | features("first person"),
    ),
    ConstraintType(
        "style",
        "no_apostrophe",
        fixed(
            matching(r"[^'\u2019]+", whole=True),
            "Write every word out in full and use no apostrophe, so avoid words like don't.",
            "Your answer must be free of apostrophes: no it's, no don't, no we'll.",
        ),
        echo_proof=True,
        needs=features("English"),
    ),
    ConstraintType(
        "style",
        "no_exclamation",
        fixed(
            matching("[^!]+", whole=True),
            'Stay calm and never use the sign "!" in your answer.',
            'Keep a quiet tone: the sign "!" must not appear.',
        ),
        echo_proof=True,
        claims=aspects("exclamation"),
    ),
    ConstraintType(
        "style",
        "no_first_person",
        fixed(
            ifeval("keywords:forbidden_words", forbidden_words=list(_FIRST_PERSON)),
            f"Do not write in the first person: avoid the words {alternatives(_FIRST_PERSON)}.",
            f"Keep yourself out of it, and use none of the words {alternatives(_FIRST_PERSON)}.",
        ),
        suits=kinds("open", "task", "ideas"),
        echo_proof=True,
        needs=features("English"),
        rules_out=features("first person"),
    ),
    ConstraintType(
        "style",
        "second_person",
        counting(
            (2, 3, 4),
            lambda n: matching(times(r"\byou\b", n), "si"),
            'Speak to the reader: use the word "you" at least {} times.',
            'Address the reader directly, with the word "you" {} or more times.',
        ),
        suits=kinds("open", "piece", "ideas"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "style",
        "no_fillers",
        drawing(
            _FILLERS,
            lambda words: ifeval("keywords:forbidden_words", forbidden_words=list(words)),
            "Write plainly, without the filler words {}.",
            "Do not use the filler words {}.",
            say=alternatives,
        ),
        echo_proof=True,
        needs=features("English"),
    ),
    ConstraintType(
        "style",
        "short_words",
        counting(
            (9, 10, 11, 12),
            lambda n: matching(rf"\A(?!.*\p{{L}}{{{n + 1}}})", "s"),
            "Use simple words: none may be longer than {} letters.",
            "No word of your answer may have more than {} letters.",
        ),
        needs=features("English"),
    ),
    ConstraintType(
        "sentiment",
        "cheerful",
        drawing(
            _CHEERFUL,
            _mood,
            "Sound cheerful: {}.",
            "To keep the mood happy, {}.",
            say=_mood_words,
        ),
        echo_proof=True,
        claims=aspects("tone"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "sentiment",
        "critical",
        drawing(
            _CRITICAL,
            _mood,
            "Take a critical view: {}.",
            "To sound like a critic, {}.",
            say=_mood_words,
        ),
        suits=kinds("open", "task"),
        echo_proof=True,
        claims=aspects("tone"),
        needs=_GIVEN,
    ),
    ConstraintType(
        "sentiment",
        "hopeful",
        drawing(
            _HOPEFUL,
            _mood,
            "Sound hopeful: {}.",
            "Give the reader courage: {}.",
            say=_mood_words,
        ),
        echo_proof=True,
        claims=aspects("tone"),
        needs=_GIVEN,
    ),
)
