"""A self-play iteration: its stages, status and options, and the presets."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.checkpoint import CheckpointKind, Role
from app.domain.search import Mode, SearchOptions

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


class IterationKind(StrEnum):
    """Where the training data of an iteration comes from.

    Self-play generates it (SPaR's iterations); a bootstrap takes imported conversations (SPaR's
    first supervised fine-tuning) and skips the stages `respond`, `judge` and `refine`.
    """

    SELF_PLAY = "self_play"
    BOOTSTRAP = "bootstrap"


class Status(StrEnum):
    """Status of an iteration or of one of its stages; a stage not yet started is `queued`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether it has ended; failed and cancelled ones can be resumed."""
        return self in {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}

    @property
    def resumable(self) -> bool:
        """Whether the work can be resumed."""
        return self in {Status.FAILED, Status.CANCELLED}


class Policy(StrEnum):
    """When a trained checkpoint is promoted: if the gate passes it, always, or never."""

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

    A preference pair (actor), a repair dialogue or a judgment (refiner), or an imported
    conversation (either).
    """

    PREFERENCE = "preference"
    REPAIR = "repair"
    JUDGMENT = "judgment"
    CONVERSATION = "conversation"


STAGES: dict[IterationKind, tuple[Stage, ...]] = {
    IterationKind.SELF_PLAY: tuple(Stage),
    IterationKind.BOOTSTRAP: (
        Stage.PROMPTS,
        Stage.BUILD,
        Stage.TRAIN,
        Stage.EVALUATE,
        Stage.PROMOTE,
    ),
}
"""The stages each kind of iteration runs; a bootstrap needs prompts only to be evaluated on."""


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Names that options had before 0.2.0, and those they have now."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_names(cls, values: Any) -> Any:
        for old, new in cls.renamed.items():
            if isinstance(values, Mapping) and old in values:
                raise ValueError(f"`{old}` has been renamed to `{new}`")
        return values


class DataOptions(_Options):
    """How the training data is made. The defaults are SPaR's (arXiv 2412.11605)."""

    renamed: ClassVar[Mapping[str, str]] = {
        "gate": "accept_threshold",
        "own_pairs": "on_policy_pairs",
    }

    prompts: PositiveInt = Field(2000, description="Prompts to generate training data from.")
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
    ties: int = Field(3, ge=0, description="How often a tied judgment is repeated.")
    refine: bool = Field(
        True,
        description="Repair rejected responses; without it only `on_policy_pairs` make pairs.",
    )
    mode: Mode = Field(Mode.BFS, description="The search that repairs rejected responses.")
    branch: PositiveInt = Field(3, description="Children per expanded node.")
    beam: PositiveInt = Field(2, description="Nodes of a level that bfs expands.")
    depth: PositiveInt = Field(3, description="Levels of rewrites below the rejected response.")
    accept_threshold: Fraction = Field(0.5, description="Accepted means a value above this.")
    on_policy_pairs: int = Field(
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
        8, description="Prompts processed concurrently, at a lower priority than requests."
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
            accept_threshold=self.accept_threshold,
            early_stop=True,
            ties=self.ties,
        )


class TrainOptions(_Options):
    """How one role is trained; `training.config.TrainingConfig` adds the settings of a run."""

    renamed: ClassVar[Mapping[str, str]] = {
        "method": "kind",
        "rank": "lora_rank",
        "alpha": "lora_alpha",
        "targets": "lora_targets",
        "warmup": "warmup_ratio",
    }

    kind: Literal[CheckpointKind.LORA, CheckpointKind.FULL] = Field(
        CheckpointKind.LORA, description="What is trained: a LoRA adapter, or all weights."
    )
    lora_rank: PositiveInt = Field(16, description="LoRA rank.")
    lora_alpha: PositiveInt = Field(32, description="LoRA alpha.")
    lora_targets: tuple[str, ...] = Field(
        ("o_proj", "down_proj"),
        min_length=1,
        description="Linear layers that get an adapter; the engine must allow them.",
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    warmup_ratio: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the rate rises to its peak."
    )
    epochs: float = Field(1.0, gt=0, description="Passes over the data.")
    max_steps: PositiveInt | None = Field(
        None, description="Optimiser steps; replaces `epochs` where it is given."
    )
    batch_size: PositiveInt = Field(
        8, description="Samples per optimiser step, of all training processes together."
    )
    micro_batch: PositiveInt = Field(
        4, description="Most samples per forward pass, in each training process."
    )
    max_length: PositiveInt = Field(
        2048, description="Longest sample, in tokens; longer ones are left out."
    )
    gradient_checkpointing: bool = Field(
        False, description="Save memory for large models, at a quarter more time."
    )
    save_steps: PositiveInt = Field(50, description="Steps between trainer checkpoints.")


class EvaluationOptions(_Options):
    """What the candidate is evaluated on, and the promotion rule."""

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
    """All options of an iteration; `PRESETS` has complete sets."""

    seed: int = Field(0, ge=0, description="Makes generated prompts and training reproducible.")
    roles: tuple[Role, ...] = Field(tuple(Role), min_length=1, description="Roles to train.")
    data: DataOptions = DataOptions()
    actor: TrainOptions = TrainOptions(learning_rate=2e-5)
    refiner: TrainOptions = TrainOptions(learning_rate=1e-4)
    evaluation: EvaluationOptions = EvaluationOptions()

    def training(self, role: Role) -> TrainOptions:
        """How this role is trained."""
        return self.actor if role is Role.ACTOR else self.refiner


def _short(learning_rate: float, *, steps: int, samples: int) -> TrainOptions:
    """A training of few steps, without a warmup, whose first step would have rate 0."""
    return TrainOptions(
        learning_rate=learning_rate,
        warmup_ratio=0,
        max_steps=steps,
        batch_size=samples,
        micro_batch=min(samples, 4),
    )


PRESETS: Mapping[str, IterationOptions] = {
    # The smallest configuration; the tests run it.
    "micro": IterationOptions(
        data=DataOptions(
            prompts=8, responses=3, max_tokens=40, votes=1, branch=2, beam=1, depth=1, in_flight=8
        ),
        actor=_short(5e-5, steps=2, samples=2),
        refiner=_short(1e-4, steps=2, samples=2),
        evaluation=EvaluationOptions(prompts=6, judged=2, max_tokens=40),
    ),
    # A whole iteration within ten minutes on two CPU cores.
    "tiny": IterationOptions(
        data=DataOptions(prompts=24, responses=4, max_tokens=96, votes=3, depth=2),
        actor=_short(1e-4, steps=8, samples=8),
        refiner=_short(2e-4, steps=6, samples=8),
        evaluation=EvaluationOptions(prompts=32, judged=8, max_tokens=128),
    ),
    # Half an hour on two CPU cores; docs/self-play.md has its effect on the embedded model.
    "small": IterationOptions(
        data=DataOptions(
            prompts=100,
            max_constraints=1,
            responses=8,
            max_tokens=112,
            votes=1,
            beam=1,
            depth=2,
            on_policy_pairs=3,
            in_flight=16,
        ),
        actor=TrainOptions(learning_rate=4e-4, epochs=2),
        refiner=TrainOptions(learning_rate=2e-4),
        evaluation=EvaluationOptions(prompts=240, judged=8, max_tokens=160),
    ),
    # SPaR's own sizes (arXiv 2412.11605, section 3 and appendix): full fine-tuning.
    "paper": IterationOptions(
        data=DataOptions(prompts=10_000, max_tokens=1024, in_flight=64),
        actor=TrainOptions(
            kind=CheckpointKind.FULL,
            learning_rate=2e-7,
            batch_size=32,
            micro_batch=1,
            max_length=4096,
        ),
        refiner=TrainOptions(
            kind=CheckpointKind.FULL,
            learning_rate=2e-6,
            batch_size=32,
            micro_batch=1,
            max_length=4096,
        ),
        evaluation=EvaluationOptions(prompts=500, judged=200, max_tokens=1024),
    ),
}


class UnknownOption(ValueError):
    """An override or preset that does not exist; the text names it."""


def options_for(preset: str, overrides: Mapping[str, Any]) -> IterationOptions:
    """The preset with some of its values replaced; `overrides` is nested like the options.

    Raises:
        UnknownOption: There is no such preset.
        ValidationError: A value is not valid, or an option does not exist.
    """
    if preset not in PRESETS:
        raise UnknownOption(f"there is no preset {preset!r}: use one of {', '.join(PRESETS)}")
    return IterationOptions.model_validate(_merge(PRESETS[preset].model_dump(), overrides))


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in overrides.items():
        before = values.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = _merge(before, value)
        else:
            merged[name] = value
    return merged
