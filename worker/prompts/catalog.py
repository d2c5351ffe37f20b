"""The data that prompts are generated from: seed instructions and constraint types.

`seeds.txt` has one seed instruction a line, `constraint_types.jsonl` one constraint type a line. A
type has a `name` ("group.label", stored with every prompt); `sentences`, of which the model reads
one; `arguments`, drawn in their order; and the `constraints` by which a program checks the
sentence's requirement. Properties that a program cannot check (genre, mood, ...) are required only
together with a feature that it can check. An argument is drawn from one of

* `[value, ...]`: one of the values,
* `{"product": {"name": [value, ...], ...}}`: one of all combinations, as an object,
* `{"seed_words": count}`: that many words of the seed instruction.

Sentences and constraints are format strings (`{number}`, `{words[least]}`; a brace is doubled). A
string that is a single field without a format gives the argument itself, not text. The formats:
`words` (three for 3), `and` and `or` (values in quotation marks: "sun", "rain" or "snow"), `|`
(the values joined by it), `regex` (escaped).

Repeating the prompt satisfies some constraints. `echo_proof` marks the types for which it never
does, whatever else the prompt contains; to ensure this, no sentence of any type has a
question mark, a round bracket, an emoji, a hash sign, a percent sign or a number of four digits.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import product
from random import Random
from string import Formatter
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.domain.prompt import Constraint

SeedKind = Literal["open", "piece", "task", "ideas"]
"""`open` can be answered in any form, `piece` names its own form (a letter, a poem), `task` works
on a given text or case, `ideas` asks for several suggestions."""

SeedSplit = Literal["train", "evaluation"]

Aspect = Literal[
    "length", "sentences", "shape", "wrapping", "opening", "closing", "case", "numbers", "marks",
    "exclamation", "keywords", "letters", "genre", "reader", "tone", "headings",
]  # fmt: skip
"""A property of a response that only one type of a prompt may determine."""

Feature = Literal[
    "given words", "English", "comma", "uppercase", "lowercase", "line breaks", "first person",
]  # fmt: skip
"""Something that one type needs in a response and another may rule out."""

_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seed(_Strict):
    """One instruction; `words` fit an answer to it and do not appear in it."""

    index: int
    kind: SeedKind
    text: str
    words: tuple[str, ...]

    @property
    def split(self) -> SeedSplit:
        """Every fifth seed is permanently reserved for evaluation."""
        return "evaluation" if self.index % 5 == 4 else "train"


class Product(_Strict):
    """An argument drawn from all combinations of named values."""

    product: dict[str, list[Any]]


class SeedWords(_Strict):
    """An argument of `seed_words` different words of the seed: a number or an earlier argument."""

    seed_words: int | str


class ConstraintType(_Strict):
    """One type of requirement.

    `claims`, `needs`, `rules_out` and `only_with` (names of types; None: any) say what it can be
    combined with: see `conflicts`. `seed_kinds` are the kinds of seeds that it fits. A type that is
    `held_out` is in no training prompt, so that evaluation measures generalisation.
    """

    name: str = Field(pattern=r"^[a-z_]+\.[a-z_]+$")
    sentences: tuple[str, ...]
    # One value, so that a type without arguments draws from the random numbers like all others.
    arguments: dict[str, list[Any] | Product | SeedWords] = {"none": [None]}
    constraints: tuple[Constraint, ...]
    seed_kinds: frozenset[SeedKind] = frozenset(get_args(SeedKind))
    claims: frozenset[Aspect] = frozenset()
    needs: frozenset[Feature] = frozenset()
    rules_out: frozenset[Feature] = frozenset()
    only_with: frozenset[str] | None = None
    echo_proof: bool = False
    held_out: bool = False

    def draw(self, random: Random, seed: Seed) -> tuple[str, tuple[Constraint, ...]]:
        """A sentence of random wording and arguments, and the constraints that check it."""
        drawn: dict[str, Any] = {}
        for name, source in self.arguments.items():
            match source:
                case SeedWords(seed_words=count):
                    drawn[name] = random.sample(seed.words, _fill(count, drawn))
                case Product(product=values):
                    row = random.choice(list(product(*values.values())))
                    drawn[name] = dict(zip(values, row, strict=True))
                case _:
                    drawn[name] = random.choice(source)
        sentence = _FORMATTER.vformat(random.choice(self.sentences), (), drawn)
        return sentence, tuple(Constraint(c.id, _fill(c.kwargs, drawn)) for c in self.constraints)

    def conflicts(self, other: "ConstraintType") -> bool:
        """Whether no natural response can satisfy both; symmetric, and true for the type itself.

        Two types conflict when they claim the same aspect (two lengths, two openings), when one
        needs what the other rules out (a comma, English words), or when one restricts the types
        that it combines with (JSON) and does not name the other.
        """
        return (
            self.name == other.name
            or bool(self.claims & other.claims)
            or bool(self.needs & other.rules_out or other.needs & self.rules_out)
            or not (self.only_with is None or other.name in self.only_with)
            or not (other.only_with is None or self.name in other.only_with)
        )


@cache
def constraint_types() -> Mapping[str, ConstraintType]:
    """Every constraint type by its name, in the order of the file.

    Raises:
        ValueError: A line is not a constraint type.
    """
    lines = _lines("constraint_types.jsonl")
    return {kind.name: kind for kind in map(ConstraintType.model_validate_json, lines)}


@cache
def all_seeds() -> tuple[Seed, ...]:
    """Every seed, in the order of the file.

    Raises:
        ValueError: A line does not have the three parts of a seed, or names an unknown kind.
    """
    seeds = []
    for index, line in enumerate(_lines("seeds.txt")):
        kind, text, words = line.split(" | ")
        seed = {"index": index, "kind": kind, "text": text, "words": words.split(", ")}
        seeds.append(Seed.model_validate(seed))
    return tuple(seeds)


def seeds_of(split: SeedSplit) -> tuple[Seed, ...]:
    """The seeds of one split."""
    return tuple(seed for seed in all_seeds() if seed.split == split)


def _lines(file: str) -> list[str]:
    text = (files("worker.prompts") / file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class _Formatter(Formatter):
    """`str.format` with the formats listed in the module's docstring."""

    def format_field(self, value: Any, format_spec: str) -> str:
        match format_spec:
            case "words":
                return _NUMBERS[value] if value < len(_NUMBERS) else str(value)
            case "and" | "or":
                *most, last = (f'"{word}"' for word in value)
                return f"{', '.join(most)} {format_spec} {last}" if most else last
            case "|":
                return "|".join(value)
            case "regex":
                return re.escape(str(value))
        return str(super().format_field(value, format_spec))


_FORMATTER = _Formatter()


def _fill(template: Any, arguments: Mapping[str, Any]) -> Any:
    """The template with its format strings filled in, at any depth and in keys too."""
    match template:
        case dict():
            return {_fill(key, arguments): _fill(item, arguments) for key, item in template.items()}
        case list():
            return [_fill(item, arguments) for item in template]
        case str() if field := re.fullmatch(r"\{([^{}:]+)\}", template):
            return _FORMATTER.get_field(field[1], (), arguments)[0]
        case str():
            return _FORMATTER.vformat(template, (), arguments)
    return template
