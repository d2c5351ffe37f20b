"""The configuration, progress and exit status of a training run; imports no torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from app.domain.checkpoint import CheckpointKind, Role
from app.domain.dtype import Dtype
from app.domain.iteration import PositiveInt, TrainOptions


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The metrics of one optimiser step.

    `loss` is the mean over the step's samples. `margin` is the mean difference of the chosen's
    and the rejected's reward, `accuracy` the share of pairs in which the chosen has the higher
    one; both exist only for DPO. `elapsed` is in seconds since this process began to train.
    `dtype` is the number type of the computations.
    """

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    elapsed: float
    margin: float | None = None
    accuracy: float | None = None
    dtype: str | None = None

    def to_line(self) -> str:
        """As one line of JSON, without the line break."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> "TrainingStep | None":
        """The inverse of `to_line`; None for an incomplete line of a killed trainer."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None


LINE = re.compile(r"^training failed \((\d)\): (.*)$", re.MULTILINE)


class ExitCode(IntEnum):
    """Exit status of the trainer."""

    DONE = 0
    FAILED = 1
    REFUSED = 2
    OUT_OF_MEMORY = 3
    DISK_FULL = 4


class Refused(Exception):
    """The configuration or the data cannot be trained on; the text is the reason."""


class Diverged(Exception):
    """The loss is not finite."""


def failure_line(outcome: ExitCode, reason: str) -> str:
    """The last line of a failed run; line breaks in the reason become spaces."""
    return f"training failed ({int(outcome)}): {' '.join(reason.split())}"


def parse_failure(stderr: str) -> tuple[ExitCode, str] | None:
    """The exit code and reason of the last `failure_line`; None if there is none."""
    found = LINE.findall(stderr)
    return (ExitCode(int(found[-1][0])), found[-1][1]) if found else None


class Method(StrEnum):
    """Preference optimisation over pairs, or supervised fine-tuning on dialogues."""

    DPO = "dpo"
    SFT = "sft"


class Schedule(StrEnum):
    """The learning rate after the warmup; `constant` has no warmup."""

    LINEAR = "linear"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    CONSTANT = "constant"


def _default_schedule(values: Mapping[str, Any]) -> Schedule:
    """SPaR's (arXiv 2412.11605): linear for DPO, constant for SFT."""
    return Schedule.LINEAR if values["method"] is Method.DPO else Schedule.CONSTANT_WITH_WARMUP


# The trainer may run in another folder than the process that wrote its configuration.
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


class TrainingConfig(TrainOptions):
    """One training run: a role's options, and the run's data, files and machine.

    `data` is JSON lines in TRL's formats (`training.datasets`). `output` is the folder of the
    result, which is renamed into place when it is complete; work in progress is kept beside it.
    `progress` is appended to, one `TrainingStep` a line.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    role: Role
    method: Method
    model: str = Field(min_length=1, description="Folder of the base model.")
    adapter: AbsolutePath | None = Field(
        None, description="Folder of the adapter to continue, which is also DPO's reference."
    )
    data: AbsolutePath
    output: AbsolutePath
    progress: AbsolutePath

    schedule: Schedule = Field(default_factory=_default_schedule)
    beta: float = Field(0.1, gt=0, description="DPO: strength of the KL penalty to the reference.")
    sft_weight: float = Field(0.1, ge=0, description="DPO: weight of the chosen's SFT loss.")
    seed: int = Field(0, ge=0, lt=2**32)
    dtype: Dtype = Field(
        "auto",
        description="LoRA: the frozen weights' type. Full: that of the computations. Trained "
        "weights are always float32, because bfloat16 would round small updates away. The trainer "
        "decides `auto` by its machine (`training.model.training_dtype`).",
    )
    threads: PositiveInt | None = Field(None, description="CPU threads; None leaves it to torch.")

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingConfig":
        if self.adapter is not None and self.kind is CheckpointKind.FULL:
            raise ValueError("adapter: only a LoRA training can continue an adapter")
        if "lm_head" in self.lora_targets:
            # TRL computes its losses from the output layer's own weight, past any adapter.
            raise ValueError("lora_targets: the output layer (lm_head) cannot have an adapter")
        return self

    @property
    def work(self) -> Path:
        """Folder of checkpoints and other work in progress, removed after success."""
        return self.output.with_name(f"{self.output.name}.work")

    @property
    def finished(self) -> bool:
        """Whether the result exists; it is renamed into place when complete."""
        return self.output.is_dir()

    def write(self, file: Path) -> None:
        """Write this to a JSON file."""
        file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "TrainingConfig":
        """Read the file of `write`.

        Raises:
            Refused: The file is missing or not valid; the text names it and the problem.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise Refused(f"{file} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            raise Refused(f"{file}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """The problems pydantic found, on one line."""
    problems = []
    for problem in error.errors():
        if problem["type"] == "default_factory_not_called":
            continue  # Only follows from another problem.
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{place}: {message}" if place else message)
    return "; ".join(problems)
