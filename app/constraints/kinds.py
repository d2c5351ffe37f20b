"""What a kind of constraint is: an id, a description, and typed arguments."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Relation = Literal["less than", "at least", "at most"]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Phrase = Annotated[str, StringConstraints(pattern=r"\S", max_length=10_000)]
Words = Annotated[list[Phrase], Field(min_length=1, max_length=1000)]


class Kwargs(BaseModel):
    """Arguments of one kind of constraint."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def for_library(self) -> dict[str, Any]:
        """The arguments in the form that the verifier library takes."""
        return self.model_dump()


class NoKwargs(Kwargs):
    """Arguments of a kind that takes none."""


@dataclass(frozen=True, slots=True)
class ConstraintKind:
    """One kind of constraint."""

    id: str
    description: str
    kwargs: type[Kwargs] = NoKwargs


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a response meets a constraint, the finding, and the requirement."""

    satisfied: bool
    message: str


EMPTY_RESPONSE = Verdict(False, "the response is empty")


def shorten(text: str, length: int = 80) -> str:
    """The text on one line, cut to `length` characters."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1] + "…"


def quoted(text: str) -> str:
    """The text, shortened, in double quotation marks."""
    return f'"{shorten(text)}"'


Language = Literal[
    "ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn",
    "ko", "ml", "mr", "ne", "pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi",
]  # fmt: skip

LANGUAGES: tuple[str, ...] = get_args(Language)

_NAMES = (
    "Arabic", "Bulgarian", "Bengali", "German", "English", "Spanish", "Persian", "Finnish",
    "French", "Gujarati", "Hebrew", "Hindi", "Italian", "Japanese", "Kannada", "Korean",
    "Malayalam", "Marathi", "Nepali", "Punjabi", "Polish", "Portuguese", "Russian", "Swahili",
    "Tamil", "Telugu", "Thai", "Ukrainian", "Urdu", "Vietnamese",
)  # fmt: skip

_NAME_OF = dict(zip(LANGUAGES, _NAMES, strict=True))


def language_name(code: str) -> str:
    """The English name of a language code, or a text that quotes an unknown code."""
    return _NAME_OF.get(code, f'the language "{code}"')
