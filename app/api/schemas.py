"""Request and response models of the API. Unknown request fields are errors."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from app.domain.search import Mode, StopReason
from app.domain.tree import NodeKind


def storable_text(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: it contains NUL or a lone surrogate.
    """
    if "\x00" in text:
        raise ValueError("text must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("text must not contain a lone surrogate, such as \\ud800") from error
    return text


def storable_json(values: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object unchanged.

    Raises:
        ValueError: it contains such a text, NaN or Infinity.
    """
    for scalar in _scalars(values):
        if isinstance(scalar, str):
            storable_text(scalar)
        elif isinstance(scalar, float) and not math.isfinite(scalar):
            raise ValueError("numbers must be finite: NaN and Infinity are not JSON")
    return values


def _scalars(value: Any) -> Iterator[Any]:
    """Every key and every value that is neither a list nor an object, at any depth."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        else:
            yield part


Text = Annotated[str, AfterValidator(storable_text)]
NonEmptyText = Annotated[
    str, Field(min_length=1, max_length=1_000_000), AfterValidator(storable_text)
]
JsonObject = Annotated[dict[str, Any], AfterValidator(storable_json)]


QUICK_VERDICT = (
    "Cast no votes if a constraint fails, or if P(yes) before any critique is beyond the"
    " thresholds of the server's settings. Not used by best_of_n."
)


class Schema(BaseModel):
    """Base of all request models."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class MessageIn(Schema):
    role: Literal["system", "user", "assistant"]
    content: Text


class ConstraintIn(Schema):
    """A constraint checked by a program: an IFEval or IFBench id, `json_schema` or `regex`."""

    id: Text = Field(examples=["length_constraints:number_words"])
    kwargs: JsonObject = Field(
        default_factory=dict, examples=[{"relation": "at most", "num_words": 100}]
    )


class PromptIn(Schema):
    """Either `prompt` or `messages`, and the constraints of the answer."""

    prompt: NonEmptyText | None = None
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1000)] | None = None
    constraints: list[ConstraintIn] = Field(default_factory=list, max_length=64)

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str | None) -> str | None:
        if prompt is not None and not prompt.strip():
            raise ValueError("`prompt` is empty")
        return prompt

    @field_validator("messages")
    @classmethod
    def _something_to_answer(cls, messages: list[MessageIn] | None) -> list[MessageIn] | None:
        if messages and (messages[-1].role != "user" or not messages[-1].content.strip()):
            raise ValueError("the last of `messages` must be a user message with text")
        return messages

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either `prompt` or `messages`, and not both")
        return self


class SearchIn(Schema):
    """Options of the search; the defaults are SPaR's (arXiv 2412.11605)."""

    n: int = Field(5, ge=1, le=64, description="Responses of best_of_n.")
    branch: int = Field(3, ge=1, le=16, description="Children per expanded node.")
    beam: int = Field(2, ge=1, le=16, description="Nodes expanded per level by bfs.")
    depth: int = Field(3, ge=1, le=16, description="Levels below the prompt.")
    votes: int = Field(5, ge=1, le=31, description="Votes per judgment.")
    accept_threshold: float = Field(
        0.5, ge=0, le=1, description="A node is accepted with a value above this."
    )
    early_stop: bool = Field(
        True,
        description="Stop at the first accepted node, and skip votes that cannot change anything.",
    )
    quick_verdict: bool = Field(False, description=QUICK_VERDICT)


class BudgetIn(Schema):
    """Limits; the first one reached ends the search with the best node so far."""

    max_nodes: int | None = Field(None, ge=1, le=10_000)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    deadline_ms: int | None = Field(None, ge=1, le=86_400_000)


class SamplingIn(Schema):
    """Sampling of responses. Default: greedy decoding in greedy mode, else the settings."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: list[NonEmptyText] = Field(default_factory=list, max_length=16)


class CheckpointIn(Schema):
    """Versions to use; the default of each role is the version served now."""

    actor: int | None = Field(None, ge=0, lt=10**9, description="0 is the base model.")
    refiner: int | None = Field(None, ge=0, lt=10**9, description="0 is the base model.")


REPAIRED = (
    "A response to repair: it is judged and becomes the root of the tree, so that the refiner"
    " rewrites it instead of the actor answering the prompt."
)


class GenerateIn(PromptIn):
    mode: Mode = Mode.BFS
    response: Text | None = Field(None, description=REPAIRED)
    search: SearchIn = Field(default_factory=SearchIn)
    budget: BudgetIn = Field(default_factory=BudgetIn)
    sampling: SamplingIn = Field(default_factory=SamplingIn)
    checkpoint: CheckpointIn = Field(default_factory=CheckpointIn)
    stream: bool = Field(False, description="Server-sent events instead of one JSON object.")
    include_tree: bool = False


class JudgeSearchIn(Schema):
    votes: int = Field(5, ge=1, le=31)
    accept_threshold: float = Field(0.5, ge=0, le=1)
    early_stop: bool = Field(False, description="Stop votes that cannot change the outcome.")
    quick_verdict: bool = Field(False, description=QUICK_VERDICT)


class JudgeIn(PromptIn):
    response: Text
    search: JudgeSearchIn = Field(default_factory=JudgeSearchIn)
    checkpoint: CheckpointIn = Field(default_factory=CheckpointIn)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)


class VoteOut(BaseModel):
    verdict: bool
    probability: float
    critique: str


QUICK_VERDICT_HELP = "P(yes) before any critique; null if it was not read."


class ConstraintOut(BaseModel):
    id: str
    kwargs: dict[str, Any]
    satisfied: bool
    message: str


class CheckpointOut(BaseModel):
    """The version of each role."""

    actor: int
    refiner: int


class UsageOut(BaseModel):
    """Tokens and calls, cancelled ones included."""

    prompt_tokens: int
    completion_tokens: int
    responses: int
    refinements: int
    judgments: int
    votes: int
    nodes: int


class NodeOut(BaseModel):
    """One node of the tree; the root is the prompt."""

    id: int
    parent: int | None
    depth: int
    kind: NodeKind
    text: str
    value: float | None
    accepted: bool
    critique: str | None
    constraints: list[ConstraintOut]
    votes: list[VoteOut]
    quick_verdict: float | None = Field(None, description=QUICK_VERDICT_HELP)
    partial: bool
    completion_tokens: int
    created_ms: float


class GenerateOut(BaseModel):
    id: str
    mode: Mode
    response: str
    accepted: bool | None = Field(description="Null if nothing was judged.")
    value: float | None
    critique: str | None
    constraints: list[ConstraintOut]
    stop_reason: StopReason
    checkpoint: CheckpointOut
    usage: UsageOut
    timing_ms: float
    tree: list[NodeOut] | None = None


class JudgeOut(BaseModel):
    accepted: bool
    value: float | None
    votes: list[VoteOut]
    quick_verdict: float | None = Field(None, description=QUICK_VERDICT_HELP)
    critique: str
    constraints: list[ConstraintOut]
    checkpoint: CheckpointOut
    usage: UsageOut


class SearchSummaryOut(BaseModel):
    id: str
    created_at: datetime
    mode: Mode
    prompt: str
    response: str
    accepted: bool | None
    value: float | None
    stop_reason: StopReason
    checkpoint: CheckpointOut
    usage: UsageOut
    timing_ms: float


class SearchPageOut(BaseModel):
    """One page, newest first; `cursor=next_cursor` requests the next one."""

    searches: list[SearchSummaryOut]
    next_cursor: str | None = Field(
        description="Null at the end. A page may have fewer entries than `limit` before the end."
    )


class SearchDetailOut(SearchSummaryOut):
    messages: list[MessageIn]
    critique: str | None
    constraints: list[ConstraintOut]
    asked: list[ConstraintIn] = Field(description="The constraints of the request.")
    best_node: int | None = Field(description="Id of the answer's node in `tree`.")
    options: dict[str, Any]
    tree: list[NodeOut]


class Problem(BaseModel):
    """An error, as RFC 9457 problem details."""

    type: str
    title: str
    status: int
    message: str
    field: str | None = None
