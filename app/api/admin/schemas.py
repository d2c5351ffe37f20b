"""Request and response models of the admin API."""

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
    """Prompts for self-play; known ones are skipped."""

    prompts: Annotated[list[PromptIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ConversationIn(Schema):
    """A conversation whose assistant messages a role is trained on."""

    role: Role
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1000)]

    @field_validator("messages")
    @classmethod
    def _ends_with_the_assistant(cls, messages: list[MessageIn]) -> list[MessageIn]:
        if messages[-1].role != "assistant" or not messages[-1].content.strip():
            raise ValueError("the last of `messages` must be an assistant message with text")
        return messages


class ConversationsIn(Schema):
    """Conversations for a bootstrap; known ones are skipped."""

    conversations: Annotated[list[ConversationIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class AddedOut(BaseModel):
    """How many were new, and how many were already stored."""

    added: int
    known: int


class PooledPromptOut(BaseModel):
    id: str
    source: Source
    messages: list[MessageIn]
    constraints: list[ConstraintIn]


class PromptPageOut(BaseModel):
    """The number of prompts of each source, and one page of prompts, newest first."""

    counts: dict[Source, int]
    prompts: list[PooledPromptOut]
    next_cursor: str | None


UlidText = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
Cursor = Annotated[UlidText | None, Query(description="`next_cursor` of the previous page.")]


class IterationIn(Schema):
    """The options of an iteration; all have defaults."""

    preset: Text = Field(
        "tiny", max_length=64, description="Named options: micro, tiny, small or paper."
    )
    promote: Policy = Field(Policy.GATE, description="Promote by the gate, always or never.")
    kind: IterationKind = Field(
        IterationKind.SELF_PLAY, description="Self-play, or training on provided conversations."
    )
    overrides: JsonObject = Field(
        default_factory=dict,
        description="Values that replace the preset's, nested like an iteration's `options`.",
        examples=[{"seed": 7, "data": {"prompts": 12}}],
    )


class StageOut(BaseModel):
    """One stage; `total` is 0 until it is known."""

    name: Stage
    status: Status
    done: int
    total: int
    metrics: dict[str, Any]
    started_at: datetime | None
    finished_at: datetime | None


class TrainedOut(BaseModel):
    """A checkpoint trained by an iteration."""

    role: Role
    version: int
    status: CheckpointStatus


class IterationOut(BaseModel):
    """An iteration: its options, progress and results."""

    id: str
    status: Status
    stage: Stage | None = Field(description="The current or last stage.")
    stages: list[StageOut]
    kind: IterationKind
    preset: str
    promote: Policy
    options: IterationOptions
    checkpoints: list[TrainedOut]
    report: Any = Field(description="Evaluation and gate decision, once available.")
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool


class IterationPageOut(BaseModel):
    """One page, newest first; `cursor=next_cursor` requests the next one."""

    iterations: list[IterationOut]
    next_cursor: str | None


class SampleOut(BaseModel):
    """One row of training data. `content` is in TRL's format; `checkpoint` generated it."""

    position: int
    role: Role
    kind: SampleKind
    content: dict[str, Any]
    checkpoint: CheckpointOut
    search_id: str | None
    node_id: int | None


class SamplePageOut(BaseModel):
    """One page, in order; `cursor=next_cursor` requests the next one."""

    samples: list[SampleOut]
    next_cursor: int | None


class StepOut(BaseModel):
    """The trainer's metrics of one optimizer step."""

    role: Role
    step: int
    metrics: dict[str, Any]


class StepsOut(BaseModel):
    steps: list[StepOut]


class VersionOut(BaseModel):
    """One version of one role, trained by `iteration` from the version `parent`.

    `evaluation` compares it with the version served then; `error`: a server could not load it.
    """

    role: Role
    version: int
    status: CheckpointStatus
    parent: int | None
    iteration: str | None
    kind: CheckpointKind
    evaluation: Any
    error: str | None
    serving: bool = Field(description="Whether it is promoted.")
    created_at: datetime


class VersionsOut(BaseModel):
    """Every version, by role, newest first."""

    checkpoints: list[VersionOut]


class PromotionOut(BaseModel):
    """A promotion: servers are to serve `checkpoint` from `created_at` on."""

    id: int
    checkpoint: CheckpointOut
    cause: PromotionCause
    iteration: str | None = Field(description="The iteration whose gate decided it, if any.")
    created_at: datetime


class PromotionPageOut(BaseModel):
    """One page, newest first; `cursor=next_cursor` requests the next one."""

    promotions: list[PromotionOut]
    next_cursor: int | None


class ServerOut(BaseModel):
    """What one server serves, by its last report."""

    id: str
    url: str
    actor: int
    refiner: int
    ready: bool
    error: str | None = Field(description="Why it does not serve the promoted versions.")
    started_at: datetime
    seen_at: datetime


class ServingOut(BaseModel):
    """The promoted versions, and what each active server serves."""

    promoted: CheckpointOut
    servers: list[ServerOut]


class FeedbackIn(Schema):
    """A rating, a better answer, or both. Comments are not used for training."""

    search_id: UlidText
    rating: Literal[-1, 1] | None = Field(None, description="1 is good, -1 is bad.")
    better: NonEmptyText | None = Field(None, description="A better answer.")
    comment: NonEmptyText | None = None

    @field_validator("better")
    @classmethod
    def _not_blank(cls, better: str | None) -> str | None:
        if better is not None and not better.strip():
            raise ValueError("`better` is empty")
        return better

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
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
