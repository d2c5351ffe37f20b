"""Ready-made sizes of an iteration."""

from collections.abc import Mapping
from typing import Any

from app.domain.iteration import (
    DataOptions,
    EvaluationOptions,
    IterationOptions,
    TrainOptions,
)


def _short(learning_rate: float, *, steps: int, samples: int) -> TrainOptions:
    """A training of few steps: none of them is spent on a warmup, whose first step has rate 0."""
    return TrainOptions(
        learning_rate=learning_rate,
        warmup=0,
        max_steps=steps,
        batch_size=samples,
        micro_batch=min(samples, 4),
    )


PRESETS: Mapping[str, IterationOptions] = {
    # The least of everything, to see that it works: what the tests run.
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
    # Half an hour on two CPU cores; docs/self-play.md has what it taught the embedded model.
    "small": IterationOptions(
        data=DataOptions(
            prompts=100,
            max_constraints=1,
            responses=8,
            max_tokens=112,
            votes=1,
            beam=1,
            depth=2,
            own_pairs=3,
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
            method="full", learning_rate=2e-7, batch_size=32, micro_batch=1, max_length=4096
        ),
        refiner=TrainOptions(
            method="full", learning_rate=2e-6, batch_size=32, micro_batch=1, max_length=4096
        ),
        evaluation=EvaluationOptions(prompts=500, judged=200, max_tokens=1024),
    ),
}


class UnknownOption(ValueError):
    """An override or preset that does not exist; the text names it."""


def options_for(preset: str, overrides: Mapping[str, Any]) -> IterationOptions:
    """The preset with some of its values replaced; `overrides` is nested like the options.

    Raises `UnknownOption` for a preset there is not, and pydantic's `ValidationError` for values
    that do not fit.
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
