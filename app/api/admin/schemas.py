"""The JSON of iterations, checkpoints and what is served."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator

from app.api.schemas import (
    CheckpointOut,
    ConstraintIn,
    JsonObject,
    MessageIn,
    NonEmptyText,
    PromptIn,
    Schema,
    Text,
)
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role
from app.domain.iteration import (
    IterationKind,
    IterationOptions,
    Policy,
    SampleKind,
    Source,
    Stage,
    Status,
)

MOST_AT_ONCE = 1000


class PromptsIn(Schema):
    """Prompts to play on; a text that is known already is left out."""

    prompts: Annotated[list[PromptIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ConversationIn(Schema):
    """What one role should have said: the assistant's messages are learned."""

    role: Role
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1000)]

    @field_validator("messages")
    @classmethod
    def _something_to_learn(cls, messages: list[MessageIn]) -> list[MessageIn]:
        if messages[-1].role != "assistant" or not messages[-1].content.strip():
            raise ValueError("the last of `messages` must be an assistant message with text")
        return messages


class ConversationsIn(Schema):
    """Conversations for a bootstrap; one that is known already is left out."""

    conversations: Annotated[list[ConversationIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class AddedOut(BaseModel):
    """How many were new, and how many were there already."""

    added: int
    known: int


class PooledPromptOut(BaseModel):
    id: str
    source: Source
    messages: list[MessageIn]
    constraints: list[ConstraintIn]


class PromptPageOut(BaseModel):
    """How many prompts there are of each source, and one page of them, newest first."""

    counts: dict[Source, int]
    prompts: list[PooledPromptOut]
    next_cursor: str | None


UlidText = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
Cursor = Annotated[UlidText | None, Query(description="`next_cursor` of the page before.")]


class IterationIn(Schema):
    """What to do; everything has a default."""

    preset: Text = Field(
        "tiny", max_length=64, description="A ready-made size: micro, tiny, small or paper."
    )
    promote: Policy = Field(
        Policy.GATE, description="Promote what measures better, or always, or never."
    )
    kind: IterationKind = Field(
        IterationKind.SELF_PLAY, description="Self-play, or training on provided conversations."
    )
    overrides: JsonObject = Field(
        default_factory=dict,
        description="Values in place of the preset's, nested like an iteration's `options`.",
        examples=[{"seed": 7, "data": {"prompts": 12}}],
    )


class StageOut(BaseModel):
    """One stage. `total` is 0 until it is known; `metrics` is what the stage counted."""

    name: Stage
    status: Status
    done: int
    total: int
    metrics: dict[str, Any]
    started_at: datetime | None
    finished_at: datetime | None


class TrainedOut(BaseModel):
    """A checkpoint that an iteration made."""

    role: Role
    version: int
    status: CheckpointStatus


class IterationOut(BaseModel):
    """An iteration: what was asked, how far it is, and what came of it."""

    id: str
    status: Status
    stage: Stage | None = Field(description="The stage it is in, or ended in.")
    stages: list[StageOut]
    kind: IterationKind
    preset: str
    promote: Policy
    options: IterationOptions
    checkpoints: list[TrainedOut]
    report: Any = Field(description="What was measured and decided, once it is.")
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool


class IterationPageOut(BaseModel):
    """One page, newest first; pass `next_cursor` as `cursor` for the next one."""

    iterations: list[IterationOut]
    next_cursor: str | None


class SampleOut(BaseModel):
    """One row of training data; `content` is in TRL's format, `checkpoint` what made it."""

    position: int
    role: Role
    kind: SampleKind
    content: dict[str, Any]
    checkpoint: CheckpointOut
    search_id: str | None
    node_id: int | None


class SamplePageOut(BaseModel):
    """One page, in order; pass `next_cursor` as `cursor` for the next one."""

    samples: list[SampleOut]
    next_cursor: int | None


class StepOut(BaseModel):
    """What the trainer reported after an optimiser step."""

    role: Role
    step: int
    metrics: dict[str, Any]


class StepsOut(BaseModel):
    steps: list[StepOut]


class VersionOut(BaseModel):
    """One version of one role. `iteration` made it, starting from the version `parent`.

    `evaluation` is how it measured against what served then; `error` is why a server could not
    load it.
    """

    role: Role
    version: int
    status: CheckpointStatus
    parent: int | None
    iteration: str | None
    kind: CheckpointKind
    evaluation: Any
    error: str | None
    serving: bool = Field(description="Whether it is what servers are meant to serve now.")
    created_at: datetime


class VersionsOut(BaseModel):
    """Every version, by role, newest first."""

    checkpoints: list[VersionOut]


class PromotionOut(BaseModel):
    """A change of what is meant to be served: `checkpoint` from `created_at` on."""

    id: int
    checkpoint: CheckpointOut
    cause: PromotionCause
    iteration: str | None = Field(description="The iteration whose gate decided it.")
    created_at: datetime


class PromotionPageOut(BaseModel):
    """One page, newest first; pass `next_cursor` as `cursor` for the next one."""

    promotions: list[PromotionOut]
    next_cursor: int | None


class ServerOut(BaseModel):
    """What one server serves, as it last said itself."""

    id: str
    url: str
    actor: int
    refiner: int
    ready: bool
    error: str | None = Field(description="Why it does not serve what is promoted.")
    started_at: datetime
    seen_at: datetime


class ServingOut(BaseModel):
    """What is meant to be served, and what each server seen lately does serve."""

    promoted: CheckpointOut
    servers: list[ServerOut]


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
