"""The progress file."""

from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from training.config import Diverged, TrainingStep
from training.progress import ProgressFile


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(tmp_path), use_cpu=True)


def test_a_step_is_one_line_with_what_preference_training_shows(
    args: TrainingArguments, tmp_path: Path
) -> None:
    file = tmp_path / "progress"
    state = TrainerState(global_step=3, max_steps=9)
    logs = {"loss": 0.5, "learning_rate": 1e-5, "rewards/margins": 0.2, "rewards/accuracies": 0.75}
    ProgressFile(file, "float32").on_log(args, state, TrainerControl(), logs=logs)
    step = TrainingStep.from_line(file.read_text(encoding="utf-8"))
    assert step is not None
    assert (step.step, step.total_steps, step.loss, step.learning_rate) == (3, 9, 0.5, 1e-5)
    assert (step.margin, step.accuracy) == (0.2, 0.75)
    assert 0 <= step.elapsed < 60
    assert step.dtype == "float32"


def test_only_the_first_process_writes(args: TrainingArguments, tmp_path: Path) -> None:
    state = TrainerState(is_world_process_zero=False)
    logs = {"loss": 0.5, "learning_rate": 1e-5}
    ProgressFile(tmp_path / "progress").on_log(args, state, TrainerControl(), logs=logs)
    assert not (tmp_path / "progress").exists()


def test_final_summary_is_not_a_step(args: TrainingArguments, tmp_path: Path) -> None:
    callback = ProgressFile(tmp_path / "progress")
    callback.on_log(args, TrainerState(), TrainerControl(), logs={"train_loss": 0.5})
    assert not (tmp_path / "progress").exists()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_non_finite_loss_ends_the_training(
    args: TrainingArguments, tmp_path: Path, loss: float
) -> None:
    callback = ProgressFile(tmp_path / "progress")
    state = TrainerState(global_step=3)
    with pytest.raises(Diverged, match="the loss of step 3 is"):
        callback.on_log(args, state, TrainerControl(), logs={"loss": loss, "learning_rate": 1e-5})


def test_a_line_that_a_killed_run_left_unfinished_is_ended(
    args: TrainingArguments, tmp_path: Path
) -> None:
    file = tmp_path / "progress"
    file.write_text('{"step": 1, "tot', encoding="utf-8")
    callback = ProgressFile(file)
    for _ in range(2):
        callback.on_train_begin(args, TrainerState(), TrainerControl())
    assert file.read_text(encoding="utf-8") == '{"step": 1, "tot\n'


@pytest.mark.parametrize("line", ["", '{"step": 1, "tot', "[]", "7", '{"loss": 1}'])
def test_incomplete_line_is_not_a_step(line: str) -> None:
    assert TrainingStep.from_line(line) is None
