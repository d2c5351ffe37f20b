"""What a kind of constraint is: an id, a description, and typed arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Relation = Literal["less than", "at least", "at most"]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Phrase = Annotated[str, StringConstraints(pattern=r"\S", max_length=10_000)]
Words = Annotated[list[Phrase], Field(min_length=1, max_length=1000)]


class Kwargs(BaseModel):
    """Arguments of one kind. Every one is required unless it has a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def for_library(self) -> dict[str, Any]:
        """The same arguments as the verifier library wants them."""
        return self.model_dump()


class NoKwargs(Kwargs):
    """Arguments of a kind that takes none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of constraint."""

    id: str
    description: str
    kwargs: type[Kwargs] = NoKwargs


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a response meets a constraint, what was found, and what was asked."""

    satisfied: bool
    message: str


EMPTY_RESPONSE = Verdict(False, "the response is empty")

Describe = Callable[[Any, str, bool], str]
"""Puts a finding into words, from the kwargs, the response and the verdict."""
