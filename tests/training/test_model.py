"""What is loaded for a training, and in which number type."""

import pytest
import torch

from app.domain.checkpoint import CheckpointKind
from tests.training.conftest import MakeConfig
from training import model as loading
from training.arguments import common_arguments
from training.config import Method
from training.model import load_model, training_dtype

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


def test_what_is_set_wins(make_config: MakeConfig, cpu: pytest.MonkeyPatch) -> None:
    cpu.setattr(loading, "read_cpuinfo", lambda: OLD)
    assert load_model(make_config(dtype="bfloat16")).dtype == torch.bfloat16
    assert training_dtype(make_config(dtype="float16")).dtype == "float32"
