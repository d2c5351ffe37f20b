"""The JSON of feedback."""

from typing import Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from app.api.admin.schemas import UlidText
from app.api.schemas import NonEmptyText, Schema


class FeedbackIn(Schema):
    """A rating, a better answer, or both; a comment is for people only."""

    search_id: UlidText
    rating: Literal[-1, 1] | None = Field(None, description="1 is good, -1 is bad.")
    better: NonEmptyText | None = Field(None, description="What the answer should have been.")
    comment: NonEmptyText | None = None

    @field_validator("better")
    @classmethod
    def _not_blank(cls, better: str | None) -> str | None:
        if better is not None and not better.strip():
            raise ValueError("`better` is empty")
        return better

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.rating is None and self.better is None:
            raise ValueError("give `rating`, `better` or both")
        return self


class FeedbackOut(BaseModel):
    """Feedback as it is stored."""

    id: str
    search_id: str
    rating: int | None
    better: str | None
    comment: str | None
