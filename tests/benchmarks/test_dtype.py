"""Both number types get the same work, and their times are compared round by round."""

from pathlib import Path

from app.config.settings import Settings
from benchmarks.dtype import (
    DTYPES,
    PAIRS,
    STEPS,
    Served,
    Trained,
    rows_of,
    step_seconds,
    training_config,
)
from benchmarks.measure import Context, Spread, Work
from training.datasets import Pair


def _served(seconds: float) -> Served:
    return Served({4: Work(seconds, 256)}, Work(3 * seconds, 1000), memory=seconds)


def test_ratios_are_of_the_slower_to_the_faster_type_in_the_same_round() -> None:
    served = {"bfloat16": [_served(8), _served(6)], "float32": [_served(4), _served(2)]}
    trained = {"bfloat16": [Trained(9, 2)] * 2, "float32": [Trained(3, 1)] * 2}

    rows = {(row.name, row.at_once): row.spread for row in rows_of(served, trained)}

    assert rows["decoding, time: bfloat16 / float32", 4] == Spread(2.5, 2, 3)
    assert rows["decoding, float32", 4] == Spread(96, 64, 128)
    assert rows["tree, time: bfloat16 / float32", 1] == Spread(2.5, 2, 3)
    assert rows["tree of 9 nodes and 27 votes, bfloat16", 1] == Spread(21, 18, 24)
    assert rows["DPO, one step, time: bfloat16 / float32", 1] == Spread(3, 3, 3)
    assert rows["memory of the engine and the checker, float32", 1] == Spread(3, 2, 4)
    assert rows["memory of the trainer, bfloat16", 1] == Spread(2, 2, 2)


def test_step_duration_starts_at_the_previous_step() -> None:
    assert step_seconds([3.0, 5.0, 9.0]) == [3.0, 2.0, 4.0]


def test_trainings_differ_in_nothing_but_the_number_type(tmp_path: Path) -> None:
    context = Context(Settings(), "model", 1, quick=False, at_once=[], say=lambda _: None)

    ours, theirs = (training_config(tmp_path, context, dtype) for dtype in DTYPES)

    assert (ours.dtype, theirs.dtype) == DTYPES
    assert ours.model_copy(update={"dtype": theirs.dtype}) == theirs
    assert ours.max_steps == STEPS
    lines = ours.data.read_text().splitlines()
    pairs = [Pair.model_validate_json(line) for line in lines]
    assert len(pairs) == ours.batch_size == PAIRS
    lengths = {len(text.content.split()) for pair in pairs for text in pair.chosen + pair.rejected}
    assert len(lengths) == 1
