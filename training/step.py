"""One line of the progress file."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one optimiser step showed.

    `loss` is the mean over the step's samples. `margin` is the mean difference of the chosen's
    and the rejected's reward, `accuracy` the share of pairs in which the chosen has the higher
    one; both only of DPO. `elapsed` is in seconds since this process began to train, so it
    starts again when a run is resumed. `dtype` is the number type that the training computes in.
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
        """As one line of JSON, without its end."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> "TrainingStep | None":
        """What `to_line` wrote; None for a line that a killed trainer left unfinished."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None
