"""The benchmark's random adapters are real ones for the model they were made for."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from app.checkpoints.formats import check_adapter, read_tensors
from app.config.settings import RANKS
from app.errors import ConfigurationError
from benchmarks.adapters import GROUP, OUR_PLUGIN, VARIABLE, Choice, Kernel, using, write_adapter
from tests.helpers.properties import calm

LAYERS = {"self_attn.q_proj": (4, 8), "self_attn.k_proj": (2, 8), "mlp.down_proj": (8, 6)}
NAMES = st.from_regex(r"[a-z_]+", fullmatch=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder of two blocks with layers of different shapes, in two files."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for block in range(2):
        tensors: dict[str, np.ndarray[Any, Any]] = {
            f"model.layers.{block}.{name}.weight": np.zeros(shape, np.float32)
            for name, shape in LAYERS.items()
        }
        tensors[f"model.layers.{block}.norm.weight"] = np.zeros(8, np.float32)
        save_file(tensors, folder / f"model-{block}.safetensors")
    return folder


def test_random_adapter_passes_server_validation(model: Path, tmp_path: Path) -> None:
    choice = Choice(("q_proj", "down_proj"), 3)

    folder = write_adapter(tmp_path / "adapter", model, choice)

    targets = set(choice.targets)
    check_adapter(folder, base_model=str(model), max_rank=choice.rank, targets=targets)
    pairs = 2 * len(choice.targets)
    assert len(read_tensors(folder / "adapter_model.safetensors")) == 2 * pairs


def test_missing_layer_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no layers up_proj"):
        write_adapter(tmp_path / "adapter", model, Choice(("up_proj", "q_proj"), 8))


def test_hub_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a folder"):
        write_adapter(tmp_path / "adapter", Path("org/name"), Choice(("q_proj",), 8))


@calm
@given(st.lists(NAMES, min_size=1, max_size=7), st.integers(1, RANKS[-1]))
def test_choice_round_trips_as_text(targets: list[str], rank: int) -> None:
    choice = Choice(tuple(targets), rank)
    assert Choice.parse(str(choice)) == choice
    assert choice.engine_rank in RANKS
    assert choice.rank <= choice.engine_rank


@pytest.mark.parametrize("text", ["", "q_proj", "q_proj:", ":8", "q_proj:0", "q_proj,:8", "q:257"])
def test_invalid_choice_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not like"):
        Choice.parse(text)


def test_max_rank_is_the_smallest_supported_rank() -> None:
    ranks = {rank: Choice(("q_proj",), rank).engine_rank for rank in (1, 8, 9, 16, 100)}
    assert ranks == {1: 8, 8: 8, 9: 16, 16: 16, 100: 128}


def loaded() -> set[str]:
    """The plugins that vLLM would load in an engine started now."""
    from vllm.plugins import load_plugins_by_group

    return set(load_plugins_by_group(GROUP))


def test_only_the_cpu_lora_plugin_is_excluded() -> None:
    with using(Kernel.OURS):
        ours = loaded()
    with using(Kernel.VLLM):
        theirs = loaded()

    assert ours - theirs == {OUR_PLUGIN}
    assert "spar_exit_with_server" in theirs


@pytest.mark.parametrize("before", [None, "something"])
def test_environment_is_restored(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)

    with using(Kernel.VLLM):
        assert os.environ[VARIABLE] != before

    assert os.environ.get(VARIABLE) == before
