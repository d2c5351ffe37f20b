"""The contenders: their processes, options and numbers of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice, product
from typing import Any

from app.domain.prompt import Constraint, Message, Prompt
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.rivals.clients.protocol import Question

_CLIENTS = "benchmarks.rivals.clients"

VOTES = 5
BEST_OF = 8
WHOLE_TREE = {"branch": 3, "beam": 2, "depth": 3, "votes": VOTES}
WHOLE_TREE_NODES = 3 + 2 * 3 + 2 * 3


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to answer.

    module: its process. peer: the environment it needs; None for ours. responses, judgments:
    texts of either length that one forced answer takes.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    peer: str | None = None
    responses: int = 0
    judgments: int = 0

    def tokens(self, response_tokens: int, judgment_tokens: int) -> int:
        """Tokens of one forced answer, verdicts left out."""
        return self.responses * response_tokens + self.judgments * judgment_tokens


def _ours(name: str, mode: str, responses: int, judgments: int, **search: Any) -> Contender:
    options = {"mode": mode, "search": search}
    return Contender(
        name, f"{_CLIENTS}.generate", options, responses=responses, judgments=judgments
    )


def _free(name: str, mode: str, *, constraints: bool, **search: Any) -> Contender:
    options = {"mode": mode, "search": search, "constraints": constraints}
    return Contender(name, f"{_CLIENTS}.generate", options)


OUR_TREE = _ours(
    "/generate",
    "bfs",
    WHOLE_TREE_NODES,
    WHOLE_TREE_NODES * VOTES,
    early_stop=False,
    **WHOLE_TREE,
)
SEQUENTIAL = Contender(
    "sequential",
    f"{_CLIENTS}.sequential",
    responses=WHOLE_TREE_NODES,
    judgments=WHOLE_TREE_NODES * VOTES,
)
OUR_BEST = _ours("/generate", "best_of_n", BEST_OF, BEST_OF, n=BEST_OF, votes=1, early_stop=False)
ITS_HUB = Contender("its-hub", f"{_CLIENTS}.its_hub", {"n": BEST_OF}, "its-hub", BEST_OF, BEST_OF)
OPTILLM = Contender(
    "optillm bon",
    f"{_CLIENTS}.optillm",
    {"n": BEST_OF},
    "optillm",
    BEST_OF,
    BEST_OF,
)
FREE = (
    _free("/generate", "bfs", constraints=True, **WHOLE_TREE),
    _free("/generate, quick verdict", "bfs", constraints=True, quick_verdict=True, **WHOLE_TREE),
    _free("/generate, judge only", "bfs", constraints=False, **WHOLE_TREE),
    _free("one greedy answer", "greedy", constraints=False),
    SEQUENTIAL,
    ITS_HUB,
    OPTILLM,
)
"""For free searches; only the first two get the constraints, which the others cannot use."""


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
    """Questions that a model answers at length, repeated after 32."""
    return [Question(SYSTEM, text) for text in islice(cycle(LONG_INSTRUCTIONS), number)]


def checkable_questions(number: int) -> list[Question]:
    """Up to 16 questions, each with one requirement that a program checks."""
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
