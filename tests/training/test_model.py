"""What is loaded for a training, and in which number type."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from app.domain.checkpoint import CheckpointKind
from tests.training.conftest import MakeConfig
from training import model as loading
from training.config import Method, Refused
from training.model import check_adapter, load_model, training_dtype
from training.run import common_arguments

FITTING = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["v_proj", "down_proj", "q_proj"],
    "rank_pattern": {},
    "use_dora": False,
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "adapter_model.safetensors").write_bytes(b"")
    (folder / "adapter_config.json").write_text(json.dumps(FITTING | changes), encoding="utf-8")
    return folder


def test_the_order_of_the_layers_does_not_matter(make_config: MakeConfig, tmp_path: Path) -> None:
    check_adapter(write(tmp_path), make_config())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"peft_type": "IA3"}, "is not a LoRA adapter but IA3"),
        ({"r": 16}, "has rank 16, configured is 8"),
        ({"target_modules": "all-linear"}, "has layers all-linear"),
        ({"use_dora": True}, "uses use_dora"),
        ({"rank_pattern": {"q_proj": 4}}, "uses rank_pattern"),
    ],
)
def test_another_kind_of_adapter_is_refused(
    make_config: MakeConfig, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Refused, match=problem):
        check_adapter(write(tmp_path, **changes), make_config())


def test_pickled_weights_are_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(Refused, match=r"holds no adapter_model\.safetensors"):
        check_adapter(folder, make_config())


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_missing_or_broken_description_is_refused(
    make_config: MakeConfig, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "adapter_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(Refused, match=r"adapter_config\.json"):
        check_adapter(tmp_path, make_config())


OLD, NEW = "flags : avx2", "flags : avx512_bf16"


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a GPU, and a way to say what its CPU can do."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    return monkeypatch


@pytest.mark.parametrize(("cpuinfo", "dtype"), [(OLD, torch.float32), (NEW, torch.bfloat16)])
def test_the_number_type_follows_the_cpu(
    make_config: MakeConfig, cpu: pytest.MonkeyPatch, cpuinfo: str, dtype: torch.dtype
) -> None:
    cpu.setattr(loading, "read_cpuinfo", lambda: cpuinfo)
    assert load_model(make_config()).dtype == dtype
    full = make_config(kind=CheckpointKind.FULL, method=Method.SFT)
    assert load_model(full).dtype == torch.float32
    assert common_arguments(full)["bf16"] == (dtype == torch.bfloat16)


def test_configured_dtype_overrides_the_cpu(
    make_config: MakeConfig, cpu: pytest.MonkeyPatch
) -> None:
    cpu.setattr(loading, "read_cpuinfo", lambda: OLD)
    assert load_model(make_config(dtype="bfloat16")).dtype == torch.bfloat16
    assert training_dtype(make_config(dtype="float16")).dtype == "float32"
