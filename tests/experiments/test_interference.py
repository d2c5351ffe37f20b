"""The trainer's configuration, and that no model is trained or asked twice."""

from pathlib import Path

import pytest

from app.cli.eval.runs import ServerTarget
from app.config.settings import Settings
from experiments import interference as experiment
from experiments.context import Journal, RunOptions
from experiments.interference import Size, TaskRun, interference_experiment, training_config
from experiments.synthetic import ARMS, CHARACTERS
from training.config import Schedule, TrainingConfig

SIZE = Size(steps=(2, 4), batch=2, prompts=3, rate=1e-4)


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    settings = Settings(_env_file=None, data=tmp_path / "data")
    return RunOptions("interference", tmp_path / "to", ServerTarget(settings), 3, 0)


def test_the_trainer_accepts_its_configuration(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "some", {})
    run = TaskRun(CHARACTERS, "/model", SIZE, 7, tmp_path, journal)
    told = training_config(run, tmp_path / "a.jsonl", tmp_path / "out", 4)
    config = TrainingConfig.model_validate(told)
    assert (config.max_steps, config.batch_size, config.seed) == (4, 2, 7)
    assert config.schedule is Schedule.CONSTANT


def test_both_arms_have_a_pair_for_each_place_and_no_prompt_is_asked_that_was_trained_on(
    tmp_path: Path,
) -> None:
    run = TaskRun(CHARACTERS, "/model", SIZE, 7, tmp_path, Journal(tmp_path, "some", {}))
    assert len(run.training) == 8
    trained = {one.prompt for one in run.training}
    assert not trained & {one.prompt for one in run.measuring}


def test_every_model_is_asked_once(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path | None] = []

    def trained(run: TaskRun, arm: str, steps: int) -> Path:
        return run.folder / f"{arm}-{steps}"

    def answered(model: str, adapter: Path | None, prompts: list[str], tokens: int) -> list[str]:
        made.append(adapter)
        return ["A B" for _ in prompts]

    # The trainer has tests of its own; this one is about which models are trained and asked.
    monkeypatch.setattr(experiment, "_trained", trained)
    monkeypatch.setattr(experiment, "answers", answered)
    first = interference_experiment(options, "/model", ["characters"], SIZE)
    again = interference_experiment(options, "/model", ["characters"], SIZE)
    names = [None if adapter is None else adapter.name for adapter in made]
    assert names == [None, *(f"{arm}-{steps}" for arm in ARMS for steps in SIZE.steps)]
    assert again.tables == first.tables
    (table,) = first.tables
    assert [(row["pairs"], row["steps"]) for row in table.rows] == [
        ("start", 0),
        ("refined", 2),
        ("refined", 4),
        ("interfering", 2),
        ("interfering", 4),
    ]
    capitals = next(plot for plot in first.plots if plot.name.endswith("capitals"))
    assert [[point.x for point in line.points] for line in capitals.lines] == [[0, 2, 4]] * 2
