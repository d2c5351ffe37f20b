"""Every kind of damage is refused with its reason."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.checkpoints.manifest import fingerprint, seal
from app.checkpoints.store import verify
from app.domain.checkpoint import CheckpointKind, Role
from app.errors import CheckpointRefused
from tests.helpers.checkpoint_files import (
    CONFIG,
    HIDDEN,
    LAYER,
    RANK,
    WEIGHTS,
    WIDE,
    make_adapter,
    make_base,
    make_checkpoint,
    tensors,
)

OTHER_LAYER = "model.layers.7.mlp.down_proj"
FULL_NAME = f"base_model.model.{LAYER}"


def check(folder: Path, digest: str, base: Path | str, **wanted: Any) -> None:
    expected: dict[str, Any] = {
        "role": Role.ACTOR,
        "version": 1,
        "base_model": str(base),
        "max_rank": 16,
        "targets": {"down_proj", "o_proj"},
    }
    verify(folder, digest, **(expected | wanted))


def refusal(folder: Path, digest: str, base: Path | str, **wanted: Any) -> str:
    with pytest.raises(CheckpointRefused) as caught:
        check(folder, digest, base, **wanted)
    return caught.value.message


def sealed(folder: Path, base: Path) -> str:
    return seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint(base))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "actor@1"


@pytest.fixture
def digest(folder: Path, base: Path) -> str:
    return make_checkpoint(folder, base)


def test_a_whole_checkpoint_is_accepted(folder: Path, digest: str, base: Path) -> None:
    check(folder, digest, base)
    check(folder, digest, base, targets=None)


def test_other_files_of_a_model_are_accepted(folder: Path, base: Path) -> None:
    make_adapter(folder)
    for name in ("chat_template.jinja", "tokenizer.model", "merges.txt", "tokenizer.json"):
        (folder / name).write_text("{}")
    check(folder, sealed(folder, base), base)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthened(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def activated(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_short, "cut short"),
        (lengthened, "too long"),
        (activated, "damaged"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    folder: Path, digest: str, base: Path, name: str, damage: Callable[[Path], None], reason: str
) -> None:
    damage(folder / name)
    message = refusal(folder, digest, base)
    assert name in message
    assert reason in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), data=st.data())
def test_every_flipped_bit_is_detected(
    folder: Path, digest: str, base: Path, position: int, bit: int, data: st.DataObject
) -> None:
    file = folder / data.draw(st.sampled_from([WEIGHTS, CONFIG, "manifest.json"]))
    whole = file.read_bytes()
    content = bytearray(whole)
    content[position % len(whole)] ^= 1 << bit
    file.write_bytes(content)
    try:
        refusal(folder, digest, base)
    finally:
        file.write_bytes(whole)


def test_a_half_written_checkpoint_is_refused(folder: Path, base: Path) -> None:
    make_adapter(folder)
    assert "incomplete" in refusal(folder, "0" * 64, base)


def test_a_file_that_the_manifest_does_not_name_is_refused(
    folder: Path, digest: str, base: Path
) -> None:
    (folder / "more.json").write_text("{}")
    assert "more.json is not named" in refusal(folder, digest, base)


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "training_args.bin", "optimizer.pt", "a.pkl", "A.PKL"]
)
def test_a_pickle_is_refused_even_if_it_was_sealed(folder: Path, base: Path, name: str) -> None:
    make_adapter(folder)
    (folder / name).write_bytes(b"\x80\x04N.")
    message = refusal(folder, sealed(folder, base), base)
    assert name in message
    assert "pickle" in message


@pytest.mark.parametrize("name", ["README.md", "code.py", "module.so", "noname", ".json"])
def test_other_kinds_of_files_are_refused(folder: Path, base: Path, name: str) -> None:
    make_adapter(folder)
    (folder / name).write_text("")
    assert f"{name} is not a kind of file" in refusal(folder, sealed(folder, base), base)


def test_a_link_is_refused_also_to_the_same_content(
    folder: Path, digest: str, base: Path, tmp_path: Path
) -> None:
    (folder / WEIGHTS).rename(tmp_path / "outside.safetensors")
    (folder / WEIGHTS).symlink_to(tmp_path / "outside.safetensors")
    assert f"{WEIGHTS} is not a plain file" in refusal(folder, digest, base)


def test_a_folder_in_the_folder_is_refused(folder: Path, digest: str, base: Path) -> None:
    (folder / "more").mkdir()
    assert "more is not a plain file" in refusal(folder, digest, base)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/host.json", "a/b.json", "..\\b.json"])
def test_a_name_that_leaves_the_folder_is_refused(
    folder: Path, digest: str, base: Path, name: str
) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = manifest["files"][CONFIG]
    # Sealed so by an attacker with write access to the database: names are still checked.
    content = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert "not the name of a file" in refusal(folder, digest, base)


@pytest.mark.parametrize("wanted", [{"role": Role.REFINER}, {"version": 2}])
def test_another_role_or_version_is_refused(
    folder: Path, digest: str, base: Path, wanted: dict[str, Any]
) -> None:
    assert "the folder holds actor@1" in refusal(folder, digest, base, **wanted)


def test_full_weights_are_not_taken_for_an_adapter(folder: Path, base: Path) -> None:
    make_adapter(folder)
    digest = seal(folder, Role.ACTOR, 1, CheckpointKind.FULL, fingerprint(base))
    assert "kind full" in refusal(folder, digest, base)


def test_another_base_model_is_refused_though_it_has_the_same_shapes(
    folder: Path, digest: str, tmp_path: Path
) -> None:
    other = make_base(tmp_path / "tuned", scale=1.5)
    assert "another base model" in refusal(folder, digest, other)


def test_shapes_are_not_compared_with_a_base_model_that_is_not_here(folder: Path) -> None:
    make_adapter(folder)
    digest = seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint("some/model"))
    check(folder, digest, "some/model")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"peft_type": "LOHA"}, "not a LoRA adapter"),
        ({"r": 0}, "rank is 0"),
        ({"r": -1}, "rank is -1"),
        ({"r": "2"}, "rank is '2'"),
        ({"r": True}, "rank is True"),
        ({"r": None}, "rank is None"),
        ({"r": 32}, "the engine takes at most 16"),
        ({"r": 4}, "not of rank 4"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"target_modules": ["down_proj", "lm_head"]}, "layers lm_head"),
        ({"target_modules": "all-linear"}, "target_modules"),
        ({"target_modules": []}, "target_modules"),
        ({"target_modules": ["o_proj"]}, "does not name"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"down_proj": 1}}, "rank_pattern"),
        ({"alpha_pattern": {"down_proj": 1}}, "alpha_pattern"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(
    folder: Path, base: Path, options: dict[str, Any], reason: str
) -> None:
    make_adapter(folder, **options)
    assert reason in refusal(folder, sealed(folder, base), base)


def test_a_rank_stabilised_adapter_is_accepted(folder: Path, base: Path) -> None:
    make_adapter(folder, use_rslora=True)
    check(folder, sealed(folder, base), base)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({}, "empty"),
        (tensors(rank=3), "not of rank 2"),
        (tensors(inputs=WIDE + 1), "the adapter is for"),
        (tensors(outputs=HIDDEN - 1), "the adapter is for"),
        (tensors(layer=OTHER_LAYER), f"no layer {OTHER_LAYER}"),
        (tensors() | {f"{FULL_NAME}.lora_B.bias": np.ones(1, np.float32)}, "not part of"),
        ({f"{LAYER}.weight": np.ones((HIDDEN, WIDE), np.float32)}, "not part of"),
        ({f"{FULL_NAME}.lora_A.weight": np.ones((RANK, WIDE), np.float32)}, "only one"),
        ({name: value.astype(np.int32) for name, value in tensors().items()}, "type I32"),
        ({name: value.reshape(-1) for name, value in tensors().items()}, "shapes"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, base: Path, weights: dict[str, Any], reason: str
) -> None:
    make_adapter(folder, weights)
    assert reason in refusal(folder, sealed(folder, base), base)


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"{}"])
def test_weights_that_are_no_safetensors_are_refused(
    folder: Path, base: Path, content: bytes
) -> None:
    make_adapter(folder)
    (folder / WEIGHTS).write_bytes(content)
    message = refusal(folder, sealed(folder, base), base)
    assert "not a readable safetensors file" in message or "is empty" in message


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_configuration_that_is_no_object_is_refused(
    folder: Path, base: Path, content: str
) -> None:
    make_adapter(folder)
    (folder / CONFIG).write_text(content)
    assert f"{CONFIG} is not" in refusal(folder, sealed(folder, base), base)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_an_adapter_without_one_of_its_two_files_is_refused(
    folder: Path, base: Path, name: str
) -> None:
    make_adapter(folder)
    (folder / name).unlink()
    assert refusal(folder, sealed(folder, base), base) == f"{name} is missing"
