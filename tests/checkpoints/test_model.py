"""Full weights are served only if they fit the base model, tensor by tensor."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.checkpoints.manifest import fingerprint, seal
from app.checkpoints.store import verify_full
from app.domain.checkpoint import CheckpointKind, Role
from app.errors import CheckpointRefused
from tests.helpers.checkpoint_files import (
    HIDDEN,
    LAYER,
    WIDE,
    Tensors,
    make_base,
    make_checkpoint,
    make_full,
)

NAME = f"{LAYER}.weight"
FITTING = np.ones((HIDDEN, WIDE), np.float32)


def check(folder: Path, digest: str, base: Path | str) -> None:
    verify_full(folder, digest, role=Role.ACTOR, version=1, base_model=str(base))


def refusal(folder: Path, digest: str, base: Path | str) -> str:
    with pytest.raises(CheckpointRefused) as caught:
        check(folder, digest, base)
    return caught.value.message


def sealed(folder: Path, base: Path) -> str:
    return seal(folder, Role.ACTOR, 1, CheckpointKind.FULL, fingerprint(base))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "actor@1"


def test_whole_weights_of_the_same_shape_are_accepted(folder: Path, base: Path) -> None:
    check(folder, make_full(folder, base), base)


def test_weights_may_be_split_over_files(folder: Path, base: Path, tmp_path: Path) -> None:
    two = make_base(tmp_path / "two")
    save_file({"lm_head.weight": FITTING}, two / "more.safetensors")
    make_base(folder)
    save_file({NAME: FITTING, "lm_head.weight": 2 * FITTING}, folder / "model.safetensors")
    check(folder, sealed(folder, two), two)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"other": FITTING}, f"has no {NAME}"),
        ({NAME: FITTING.T.copy()}, f"{NAME} is F32 (6, 4)"),
        ({NAME: FITTING.astype(np.float16)}, "is F16"),
        ({NAME: FITTING, "more": FITTING}, "it has more"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, base: Path, tensors: Tensors, reason: str
) -> None:
    make_base(folder)
    save_file(dict(tensors), folder / "model.safetensors")
    assert reason in refusal(folder, sealed(folder, base), base)


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def rename_type(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma"}))


def add_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove_config, "config.json is missing"),
        (remove_weights, "has no weights"),
        (rename_type, "model_type"),
        (add_pickle, "pickle"),
    ],
)
def test_a_folder_that_is_no_such_model_is_refused_though_it_was_sealed(
    folder: Path, base: Path, change: Callable[[Path], None], reason: str
) -> None:
    make_base(folder)
    change(folder)
    assert reason in refusal(folder, sealed(folder, base), base)


def test_damage_after_sealing_is_refused(folder: Path, base: Path) -> None:
    digest = make_full(folder, base)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "damaged" in refusal(folder, digest, base)


def test_another_base_model_is_refused(folder: Path, base: Path, tmp_path: Path) -> None:
    other = make_base(tmp_path / "other", scale=3.0)
    assert "another base model" in refusal(folder, make_full(folder, other), base)


def test_an_adapter_is_not_taken_for_full_weights(folder: Path, base: Path) -> None:
    assert "kind lora, not full" in refusal(folder, make_checkpoint(folder, base), base)


def test_shapes_are_not_compared_with_a_base_model_that_is_not_here(folder: Path) -> None:
    make_base(folder)
    digest = seal(folder, Role.ACTOR, 1, CheckpointKind.FULL, fingerprint("some/model"))
    check(folder, digest, "some/model")
