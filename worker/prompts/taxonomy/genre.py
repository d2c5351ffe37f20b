"""The genre, each with the signs by which a program can tell it."""

from app.domain.prompt import Constraint
from worker.prompts.taxonomy.base import (
    FREE_FORM,
    ConstraintType,
    aspects,
    drawing,
    features,
    fixed,
    matching,
)

_GIVEN = features("given words", "English")
_FORM = aspects("genre", "shape", "opening")
_SPEAKERS = (("Anna", "Ben"), ("Nadia", "Leo"), ("Rosa", "Sam"))


def _dialogue(names: tuple[str, str]) -> tuple[Constraint, ...]:
    first, second = (matching(f"^{name}:", "mi") for name in names)
    return first + second


TYPES = (
    ConstraintType(
        "genre",
        "letter",
        fixed(
            matching(r"\ADear\b.*^Sincerely,", "msi"),
            'Write your answer as a letter that begins with "Dear" and closes with a line that'
            ' starts with "Sincerely,".',
            'Your answer must be a letter. Its first word is "Dear", and "Sincerely," starts a line'
            " of its own at the end.",
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM | aspects("closing"),
        needs=_GIVEN | features("comma", "line breaks"),
    ),
    ConstraintType(
        "genre",
        "fairy_tale",
        fixed(
            matching(r"\AOnce upon a time\b", "i"),
            'Tell your answer as a fairy tale that begins with "Once upon a time".',
            'Your answer must be a fairy tale, and "Once upon a time" must come first.',
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM,
        needs=_GIVEN,
    ),
    ConstraintType(
        "genre",
        "dialogue",
        drawing(
            _SPEAKERS,
            _dialogue,
            "Write your answer as a dialogue, with lines that begin with {}.",
            "Your answer must be a talk between two people, whose lines begin with {}.",
            say=lambda names: f'"{names[0]}:" and "{names[1]}:"',
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM | aspects("sentences"),
        needs=_GIVEN | features("line breaks"),
    ),
    ConstraintType(
        "genre",
        "poem",
        fixed(
            matching(r"(?:[^\n]{1,60}\n+){3,}[^\n]{1,60}", whole=True),
            "Write your answer as a poem of at least four lines, each of at most 60 characters.",
            "Your answer must be a poem with four lines or more, none longer than 60 characters.",
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM | aspects("sentences"),
        needs=features("line breaks"),
    ),
    ConstraintType(
        "genre",
        "diary",
        fixed(
            matching(r"\ADear Diary,", "i"),
            'Write your answer as a diary entry that begins with "Dear Diary,".',
            'Your answer must be a page from a diary, and "Dear Diary," must come first.',
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM,
        needs=_GIVEN | features("comma", "first person"),
    ),
    ConstraintType(
        "genre",
        "speech",
        fixed(
            matching(r"\ALadies and gentlemen\b", "i") + matching(r"\bthank you\b", "i"),
            'Write your answer as a speech that begins with "Ladies and gentlemen" and says "thank'
            ' you" to somebody.',
            'Your answer must be a speech. It opens with "Ladies and gentlemen", and the words'
            ' "thank you" appear in it.',
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=_FORM,
        needs=_GIVEN,
    ),
)
