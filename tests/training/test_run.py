"""Real trainings of a tiny model, in this process."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from app.domain.checkpoint import CheckpointKind
from tests.training.conftest import MakeConfig, make_config_in
from training.config import Method, Refused, TrainingConfig, TrainingStep
from training.run import batches, make_trainer, newest_complete, train

PROCESSES = st.integers(1, 64)


@given(st.integers(1, 200), st.integers(1, 64), PROCESSES)
def test_step_has_batch_size_samples_for_any_process_count(
    batch_size: int, micro_batch: int, processes: int
) -> None:
    at_once, times = batches(batch_size, micro_batch, processes)
    assert batch_size <= at_once * times * processes < batch_size + processes
    assert at_once <= micro_batch


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "at_once"), [(8, 4, 4), (2, 4, 2), (8, 3, 2), (7, 4, 1)]
)
def test_as_many_samples_go_at_once_as_divide_a_step(
    batch_size: int, micro_batch: int, at_once: int
) -> None:
    assert batches(batch_size, micro_batch, 1) == (at_once, batch_size // at_once)


def test_processes_share_a_step() -> None:
    assert batches(32, 1, 8) == (1, 4)
    assert batches(8, 4, 4) == (2, 1)
    assert batches(2, 4, 8) == (1, 1)


def checkpoint(work: Path, step: int, state: str | None = "{}") -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    return folder


def test_newest_checkpoint_has_the_highest_step(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    assert newest_complete(tmp_path) == newest


@pytest.mark.parametrize("state", [None, "", '{"global_step": 4, "log_hist'])
def test_incomplete_checkpoint_is_skipped_and_deleted(tmp_path: Path, state: str | None) -> None:
    complete = checkpoint(tmp_path, 2)
    half = checkpoint(tmp_path, 4, state)
    assert newest_complete(tmp_path) == complete
    assert not half.exists()


def test_no_complete_checkpoint_gives_none(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "none") is None
    checkpoint(tmp_path, 2, None)
    assert newest_complete(tmp_path) is None


def test_the_reference_adapter_is_taken_out(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 2)
    (folder / "ref").mkdir()
    newest_complete(tmp_path)
    assert not (folder / "ref").exists()


class Killed(Exception):
    """Simulates the end of the process."""


class KillAfter(TrainerCallback):
    """Ends a training at the end of a step, as late as anything can happen in it."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if state.global_step == self._step:
            raise Killed


def interrupt(config: TrainingConfig, step: int) -> None:
    """Train until this step's end and no further."""
    config.work.mkdir()
    with pytest.raises(Killed):
        make_trainer(config, KillAfter(step)).train()


def steps(config: TrainingConfig) -> list[TrainingStep]:
    """What the progress file says."""
    lines = config.progress.read_text(encoding="utf-8").splitlines()
    return [step for line in lines if (step := TrainingStep.from_line(line))]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def equal(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def incumbent(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that has learnt something already; to be read, not to be changed."""
    config = make_config_in(tmp_path_factory.mktemp("incumbent"), model, max_steps=3)
    train(config)
    return config.output


def test_dpo_makes_an_adapter_that_prefers_the_chosen(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config()
    train(config)
    reported = steps(config)
    assert [step.step for step in reported] == [1, 2, 3, 4, 5, 6]
    assert {step.total_steps for step in reported} == {6}
    assert reported[0].margin == 0
    assert (reported[-1].margin or 0) > 0.1
    assert reported[-1].accuracy == 1
    assert reported[-1].loss < reported[0].loss - 0.05
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"data.jsonl", "progress.jsonl", "result"}


def test_an_adapter_is_two_files_under_the_names_engines_know(
    make_config: MakeConfig, incumbent: Path, model: Path
) -> None:
    config = make_config(adapter=incumbent)
    train(config)
    for folder in (incumbent, config.output):
        files = {file.name for file in folder.iterdir()}
        assert files == {"adapter_config.json", "adapter_model.safetensors"}
        settings = json.loads((folder / "adapter_config.json").read_bytes())
        assert settings["base_model_name_or_path"] == str(model)
        assert settings["r"] == 8
        layer = "base_model.model.model.layers.{}.{}.lora_{}.weight"
        modules = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
        expected = {layer.format(n, m, ab) for n in (0, 1) for m in modules for ab in "AB"}
        assert weights(folder).keys() == expected


def test_a_continued_adapter_is_compared_to_itself_and_not_to_the_base(
    make_config: MakeConfig, incumbent: Path
) -> None:
    config = make_config(adapter=incumbent)
    train(config)
    assert steps(config)[0].margin == 0
    assert (steps(config)[-1].margin or 0) > 0
    assert not equal(incumbent, config.output)


@pytest.mark.parametrize("after", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_interrupted_training_gives_the_same_result(
    make_config: MakeConfig, incumbent: Path, tmp_path: Path, after: int
) -> None:
    whole = make_config(adapter=incumbent)
    train(whole)
    parts = make_config(adapter=incumbent, output=tmp_path / "b", progress=tmp_path / "b.jsonl")
    interrupt(parts, after)
    train(parts)
    saved = (after - 1) // 2 * 2
    redone = list(range(saved + 1, 7))
    assert [step.step for step in steps(parts)] == [*range(1, after + 1), *redone]
    assert [step.margin for step in steps(parts)][after:] == [step.margin for step in steps(whole)][
        saved:
    ]
    assert equal(whole.output, parts.output)


@pytest.mark.slow
def test_training_killed_during_publish_gives_the_same_result(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    whole = make_config()
    train(whole)
    killed = make_config(output=tmp_path / "b", progress=tmp_path / "b.jsonl")
    killed.work.mkdir()
    make_trainer(killed).train()
    (tmp_path / "b.unfinished").mkdir()
    (tmp_path / "b.unfinished" / "adapter_model.safetensors").write_bytes(b"half")
    train(killed)
    assert [step.step for step in steps(killed)] == [1, 2, 3, 4, 5, 6, 5, 6]
    assert equal(whole.output, killed.output)


def test_existing_result_is_not_trained_again(make_config: MakeConfig) -> None:
    config = make_config(max_steps=2)
    train(config)
    before = weights(config.output)
    changed = config.model_copy(update={"learning_rate": 1.0, "seed": 7})
    config.work.mkdir()
    train(changed)
    assert len(steps(config)) == 2
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(config.output).items())
    assert not config.work.exists()


def test_the_seed_makes_a_training_reproducible(make_config: MakeConfig, tmp_path: Path) -> None:
    results = [tmp_path / name for name in ("one", "same", "other")]
    for output, seed in zip(results, (1, 1, 2), strict=True):
        train(make_config(output=output, seed=seed, max_steps=2))
    assert equal(results[0], results[1])
    assert not equal(results[0], results[2])


def test_full_fine_tuning_makes_a_whole_model_in_the_base_models_type(
    make_config: MakeConfig, model: Path
) -> None:
    config = make_config(method=Method.SFT, kind=CheckpointKind.FULL, learning_rate=0.003)
    train(config)
    reported = steps(config)
    assert reported[-1].loss < reported[0].loss - 0.1
    assert (reported[0].margin, reported[0].accuracy) == (None, None)
    trained = AutoModelForCausalLM.from_pretrained(config.output)
    assert trained.dtype == torch.bfloat16
    assert weights(config.output).keys() == weights(model).keys()
    same = AutoTokenizer.from_pretrained(config.output)
    assert same.chat_template == AutoTokenizer.from_pretrained(model).chat_template
    assert not list(config.output.glob("*.bin"))


def test_dpo_of_all_weights_has_the_base_as_reference(make_config: MakeConfig) -> None:
    config = make_config(
        kind=CheckpointKind.FULL, learning_rate=0.003, max_steps=3, dtype="float32"
    )
    train(config)
    assert steps(config)[0].margin == 0
    assert (steps(config)[-1].margin or 0) > 0


def test_an_adapter_of_another_shape_is_refused(make_config: MakeConfig, incumbent: Path) -> None:
    others: list[tuple[dict[str, Any], str]] = [
        ({"lora_rank": 4}, "has rank 8, configured is 4"),
        ({"lora_alpha": 4}, "has alpha 16, configured is 4"),
        ({"lora_targets": ("q_proj",)}, "has layers"),
    ]
    for changes, problem in others:
        with pytest.raises(Refused, match=problem):
            train(make_config(adapter=incumbent, **changes))


def test_layers_that_the_model_does_not_have_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(Refused, match=r"no linear layers w1, only down_proj, gate_proj, k_proj"):
        train(make_config(lora_targets=("w1", "q_proj")))
