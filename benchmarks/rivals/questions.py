"""What all contenders are asked."""

from itertools import cycle, islice, product

from app.domain.prompt import Constraint, Message, Prompt
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.rivals.clients.protocol import Question

SYSTEM = "You are a helpful assistant."

_SUBJECTS = ("a market in the morning", "a train journey", "a garden in autumn", "a harbour town")
_REQUIREMENTS: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("Use at most 60 words.", "length_constraints:number_words", {"num_words": 60}),
    ("Use no commas at all.", "punctuation:no_comma", {}),
    (
        "Give the text a title in double angular brackets, such as <<my title>>.",
        "detectable_format:title",
        {},
    ),
    ("Use lowercase letters only.", "change_case:english_lowercase", {}),
)


def long_questions(number: int) -> list[Question]:
    """So many questions that a model answers at length; after 32 they begin anew."""
    return [Question(SYSTEM, text) for text in islice(cycle(LONG_INSTRUCTIONS), number)]


def checkable_questions(number: int) -> list[Question]:
    """The first so many of 16 questions, each with one requirement that a program checks."""
    questions = [
        Question(SYSTEM, f"Describe {subject}. {wording}", [{"id": id_, "kwargs": _kwargs(more)}])
        for (wording, id_, more), subject in product(_REQUIREMENTS, _SUBJECTS)
    ]
    return questions[:: len(questions) // min(number, len(questions))][:number]


def prompt_of(question: Question) -> Prompt:
    """The question with its constraints, as the checker takes it."""
    constraints = tuple(Constraint(each["id"], each["kwargs"]) for each in question.constraints)
    return Prompt((Message("system", question.system), Message("user", question.user)), constraints)


def _kwargs(more: dict[str, int]) -> dict[str, object]:
    return {"relation": "at most", **more} if more else {}
