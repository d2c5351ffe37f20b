"""A self-play iteration: its stages, where it stands, and what it was asked to do."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.checkpoint import Role
from app.domain.options import Mode, SearchOptions

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Stage(StrEnum):
    """The stages of an iteration, in the order they run."""

    PROMPTS = "prompts"
    RESPOND = "respond"
    JUDGE = "judge"
    REFINE = "refine"
    BUILD = "build"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PROMOTE = "promote"


class Kind(StrEnum):
    """What the training data of an iteration comes from.

    Self-play makes it (SPaR's iterations); a bootstrap takes conversations that people provide
    (SPaR's first supervised fine-tuning) and has no stages before `build`.
    """

    SELF_PLAY = "self_play"
    BOOTSTRAP = "bootstrap"


class Status(StrEnum):
    """Where an iteration, or one of its stages, stands. `queued` also means not begun."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself; failed and cancelled ones can be resumed."""
        return self in {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}

    @property
    def resumable(self) -> bool:
        """Whether the work can be taken up again where it was left."""
        return self in {Status.FAILED, Status.CANCELLED}


class Policy(StrEnum):
    """Whether what was trained is promoted: if it measures better, in any case, or never."""

    GATE = "gate"
    ALWAYS = "always"
    NEVER = "never"


class Source(StrEnum):
    """Where a prompt comes from."""

    IMPORTED = "imported"
    RECORDED = "recorded"
    GENERATED = "generated"


class SampleKind(StrEnum):
    """What a training sample teaches.

    A preference pair (actor), a repair dialogue or a judgment (refiner), or a conversation that
    people provided (either).
    """

    PREFERENCE = "preference"
    REPAIR = "repair"
    JUDGMENT = "judgment"
    CONVERSATION = "conversation"


STAGES: dict[Kind, tuple[Stage, ...]] = {
    Kind.SELF_PLAY: tuple(Stage),
    Kind.BOOTSTRAP: (Stage.PROMPTS, Stage.BUILD, Stage.TRAIN, Stage.EVALUATE, Stage.PROMOTE),
}
"""The stages each kind of iteration runs; a bootstrap needs prompts only to be evaluated on."""


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataOptions(_Options):
    """How the training data is made. The defaults are SPaR's (arXiv 2412.11605)."""

    prompts: PositiveInt = Field(2000, description="Prompts to play on.")
    sources: tuple[Source, ...] = Field(
        tuple(Source), description="Where prompts come from, in this order; unused ones first."
    )
    max_constraints: int = Field(
        3, ge=1, le=3, description="Most constraints of a generated prompt; fewer are easier."
    )
    responses: PositiveInt = Field(5, description="Responses per prompt.")
    temperature: float = Field(0.9, ge=0, le=2, description="Temperature of responses.")
    top_p: float = Field(0.9, gt=0, le=1, description="Top-p of responses.")
    max_tokens: PositiveInt = Field(512, description="Length limit of one response, in tokens.")
    votes: PositiveInt = Field(5, description="Votes per judgment.")
    ties: int = Field(3, ge=0, description="How often a tied judgment is made again.")
    refine: bool = Field(
        True,
        description="Repair rejected responses; without it only `own_pairs` make preference pairs.",
    )
    mode: Mode = Field(Mode.BFS, description="The search that repairs rejected responses.")
    branch: PositiveInt = Field(3, description="Children per expanded node.")
    beam: PositiveInt = Field(2, description="Nodes of a level that bfs expands.")
    depth: PositiveInt = Field(3, description="Levels of rewrites below the rejected response.")
    gate: Fraction = Field(0.5, description="Accepted means a value above this.")
    own_pairs: int = Field(
        0,
        ge=0,
        description="Most preference pairs per prompt of the actor's own accepted and rejected"
        " responses, besides the repaired ones; SPaR makes none.",
    )
    max_repairs: PositiveInt = Field(4000, description="Most repairs to train the refiner on.")
    max_accepted: PositiveInt = Field(
        1500,
        description="Most judgments of contested, accepted rewrites; two thirds as many"
        " rejected ones.",
    )
    in_flight: PositiveInt = Field(
        8, description="Prompts worked on at the same time; people's requests still come first."
    )

    @property
    def search(self) -> SearchOptions:
        """The shape of the repairing search, whose root is the rejected response."""
        return SearchOptions(
            n=self.branch * self.beam * self.depth,
            branch=self.branch,
            beam=self.beam,
            depth=self.depth,
            votes=self.votes,
            gate=self.gate,
            early_stop=True,
            ties=self.ties,
        )


class TrainOptions(_Options):
    """How one role is trained."""

    method: Literal["lora", "full"] = Field("lora", description="Adapter, or all weights.")
    rank: PositiveInt = Field(16, description="LoRA rank.")
    alpha: PositiveInt = Field(32, description="LoRA alpha.")
    targets: tuple[str, ...] = Field(
        ("o_proj", "down_proj"),
        min_length=1,
        description="Linear layers that get an adapter; the engine must allow them.",
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the rate rises to its peak."
    )
    epochs: float = Field(1.0, gt=0, description="Passes over the data.")
    max_steps: PositiveInt | None = Field(None, description="Most optimiser steps.")
    batch_size: PositiveInt = Field(8, description="Samples per optimiser step.")
    micro_batch: PositiveInt = Field(
        4, description="Most samples that go through the model at once, in each training process."
    )
    max_length: PositiveInt = Field(2048, description="Longest sample, in tokens.")
    gradient_checkpointing: bool = Field(
        False, description="Whether to save memory for large models at a quarter more time."
    )
    save_steps: PositiveInt = Field(50, description="Steps between trainer checkpoints.")


class EvaluationOptions(_Options):
    """What the candidate is measured on, and by which rule it is promoted."""

    prompts: PositiveInt = Field(200, description="Held-out prompts.")
    judged: int = Field(
        50, ge=0, description="How many of them the refiner also judges; 0 for none."
    )
    pairs: int = Field(
        100, ge=0, description="Most labelled pairs to measure refiners on, where a file is given."
    )
    max_tokens: PositiveInt = Field(512, description="Length limit of one response, in tokens.")
    min_gain: float = Field(0.01, ge=0, description="Least gain of the primary metric.")
    confidence: Fraction = Field(0.8, description="Certainty that there is a gain.")
    margin: float = Field(0.03, ge=0, description="A loss of any metric beyond this rejects.")


class IterationOptions(_Options):
    """Everything an iteration can be told. Presets are in `app.domain.presets`."""

    seed: int = Field(0, ge=0, description="Makes generated prompts and training reproducible.")
    roles: tuple[Role, ...] = Field(tuple(Role), min_length=1, description="Roles to train.")
    data: DataOptions = DataOptions()
    actor: TrainOptions = TrainOptions(learning_rate=2e-5)
    refiner: TrainOptions = TrainOptions(learning_rate=1e-4)
    evaluation: EvaluationOptions = EvaluationOptions()

    def training(self, role: Role) -> TrainOptions:
        """How this role is trained."""
        return self.actor if role is Role.ACTOR else self.refiner
