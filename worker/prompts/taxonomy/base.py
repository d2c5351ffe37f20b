"""What a constraint type is, and the small parts that types are put together from.

A type states a requirement to the model in a sentence and gives the constraints by which a program
checks just that. What a program cannot read (genre, mood, ...) is never asked for by itself: the
sentence names a sign of it that can be checked.

Some sentences would be met by repeating the prompt. `echo_proof` marks the types for which that
cannot happen, whatever else the prompt says; to keep it true, no sentence of any type has a
question mark, a round bracket, an emoji, a hash sign, a percent sign or a number of four digits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, TypeVar, get_args

from app.domain.prompt import Constraint
from worker.prompts.seeds import Seed, SeedKind

Group = Literal[
    "length", "text_format", "case", "template", "punctuation", "numeric",
    "keyword", "symbol", "position", "genre",
    "language", "situation", "style", "sentiment",
]  # fmt: skip
Family = Literal["format", "content", "general"]

FAMILY_OF: dict[Group, Family] = {
    "length": "format", "text_format": "format", "case": "format", "template": "format",
    "punctuation": "format", "numeric": "format",
    "keyword": "content", "symbol": "content", "position": "content", "genre": "content",
    "language": "general", "situation": "general", "style": "general", "sentiment": "general",
}  # fmt: skip

Aspect = Literal[
    "length", "sentences", "shape", "wrapping", "opening", "closing", "case", "numbers", "marks",
    "exclamation", "keywords", "letters", "genre", "reader", "tone", "headings",
]  # fmt: skip
"""A side of a response that only one type may settle."""

Feature = Literal[
    "given words", "English", "comma", "uppercase", "lowercase", "line breaks", "first person",
]  # fmt: skip
"""Something that one type needs in a response and another may rule out."""

ANY_SEED: frozenset[SeedKind] = frozenset(get_args(SeedKind))
FREE_FORM: frozenset[SeedKind] = frozenset({"open"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the model is told, and what a program checks."""

    sentence: str
    constraints: tuple[Constraint, ...]


Draw = Callable[[Random, Seed], Requirement]


@dataclass(frozen=True, slots=True)
class ConstraintType:
    """One type of requirement.

    `claims`, `needs`, `rules_out` and `only_with` (names of types; None: anything) say what it
    goes together with: see `conflicts`. `suits` are the kinds of seeds it fits.
    """

    group: Group
    label: str
    draw: Draw
    suits: frozenset[SeedKind] = ANY_SEED
    echo_proof: bool = False
    claims: frozenset[Aspect] = frozenset()
    needs: frozenset[Feature] = frozenset()
    rules_out: frozenset[Feature] = frozenset()
    only_with: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """Unique, and stored with every prompt: "length.words_at_most"."""
        return f"{self.group}.{self.label}"

    @property
    def family(self) -> Family:
        """The coarse class of the group."""
        return FAMILY_OF[self.group]


def drawing(
    values: Sequence[T],
    constraints: Callable[[T], tuple[Constraint, ...]],
    *wordings: str,
    say: Callable[[T], str] = str,
) -> Draw:
    """One of `values`, said in one of `wordings`, each with `{}` for the value."""

    def draw(random: Random, _: Seed) -> Requirement:
        value = random.choice(values)
        return Requirement(random.choice(wordings).replace("{}", say(value)), constraints(value))

    return draw


def counting(
    numbers: Sequence[int],
    constraints: Callable[[int], tuple[Constraint, ...]],
    *wordings: str,
) -> Draw:
    """A number, said in words up to twelve."""
    return drawing(numbers, constraints, *wordings, say=in_words)


def fixed(constraints: Sequence[Constraint], *wordings: str) -> Draw:
    """Nothing to choose but the wording."""
    return drawing([None], lambda _: tuple(constraints), *wordings)


def ifeval(constraint_id: str, **kwargs: Any) -> tuple[Constraint, ...]:
    """One constraint of the verifier library."""
    return (Constraint(constraint_id, kwargs),)


def matching(pattern: str, flags: str = "", *, whole: bool = False) -> tuple[Constraint, ...]:
    """One regular expression that is found in the response, or matches the whole of it."""
    match = "fullmatch" if whole else "search"
    return (Constraint("regex", {"pattern": pattern, "match": match, "flags": flags}),)


def times(pattern: str, number: int) -> str:
    """A pattern for at least `number` occurrences; it needs the flag s."""
    return ".*?".join([f"(?:{pattern})"] * number)


def in_words(number: int) -> str:
    """ "three" for 3; digits above twelve."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def alternatives(words: Sequence[str], last: str = "or") -> str:
    """The words in quotation marks: "sun", "rain" or "snow"."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def aspects(*names: Aspect) -> frozenset[Aspect]:
    """A set of aspects."""
    return frozenset(names)


def features(*names: Feature) -> frozenset[Feature]:
    """A set of features."""
    return frozenset(names)


def kinds(*names: SeedKind) -> frozenset[SeedKind]:
    """A set of kinds of seeds."""
    return frozenset(names)


_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
