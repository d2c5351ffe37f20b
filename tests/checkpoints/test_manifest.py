"""A sealed folder has a manifest of all its files, and models have fingerprints."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.checkpoints.manifest import fingerprint, read_manifest, seal
from app.domain.checkpoint import CheckpointKind, Role
from app.errors import CheckpointRefused
from tests.helpers.checkpoint_files import CONFIG, LAYER, WEIGHTS, make_adapter, make_base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "actor@3")


def sealed(folder: Path) -> str:
    return seal(folder, Role.ACTOR, 3, CheckpointKind.LORA, "some base")


def test_the_manifest_says_what_the_folder_holds(folder: Path) -> None:
    manifest = read_manifest(folder, sealed(folder))
    assert (manifest.role, manifest.version, manifest.kind) == (
        Role.ACTOR,
        3,
        CheckpointKind.LORA,
    )
    assert manifest.base == "some base"
    assert set(manifest.files) == {CONFIG, WEIGHTS}
    for name, entry in manifest.files.items():
        content = (folder / name).read_bytes()
        assert entry.sha256 == hashlib.sha256(content).hexdigest()
        assert entry.bytes == len(content)


def test_the_digest_is_the_hash_of_the_manifest(folder: Path) -> None:
    digest = sealed(folder)
    assert digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def test_sealing_again_changes_nothing(folder: Path) -> None:
    first = sealed(folder)
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert sealed(folder) == first
    assert (folder / "manifest.json").stat().st_mtime_ns == written


def test_a_seal_that_was_cut_short_is_made_again(folder: Path) -> None:
    (folder / "manifest.json.part").write_text('{"format": 1, "ro')
    digest = sealed(folder)
    assert set(read_manifest(folder, digest).files) == {CONFIG, WEIGHTS}
    assert not (folder / "manifest.json.part").exists()


def test_a_sealed_folder_is_not_sealed_over_other_content(folder: Path) -> None:
    digest = sealed(folder)
    (folder / CONFIG).write_text("{}")
    with pytest.raises(CheckpointRefused, match="sealed already"):
        sealed(folder)
    read_manifest(folder, digest)


def test_a_half_written_folder_has_no_manifest(folder: Path) -> None:
    with pytest.raises(CheckpointRefused, match="incomplete"):
        read_manifest(folder, "0" * 64)


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="missing"):
        read_manifest(tmp_path / "nowhere", "0" * 64)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_manifest_that_is_cut_short_is_refused(folder: Path, share: float) -> None:
    digest = sealed(folder)
    content = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointRefused, match="cut short"):
        read_manifest(folder, digest)


def test_another_manifest_than_the_recorded_one_is_refused(folder: Path) -> None:
    digest = sealed(folder)
    values = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(values | {"version": 4}))
    with pytest.raises(CheckpointRefused, match="not the one that was recorded"):
        read_manifest(folder, digest)


def test_the_fingerprint_does_not_depend_on_the_folder(base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "elsewhere"))
    config = json.loads((copy / "config.json").read_bytes())
    (copy / "config.json").write_text(json.dumps({"transformers_version": "9"} | config))
    assert fingerprint(copy) == fingerprint(str(base))


def test_models_with_other_weights_or_shapes_differ(base: Path, tmp_path: Path) -> None:
    tuned = make_base(tmp_path / "tuned", scale=1.01)
    wide = make_base(tmp_path / "wide")
    save_file({f"{LAYER}.weight": np.ones((8, 3), np.float32)}, wide / "model.safetensors")
    longer = make_base(tmp_path / "longer")
    (longer / "config.json").write_text('{"model_type": "llama", "hidden_size": 5}')
    folders = (base, tuned, wide, longer)
    assert len({fingerprint(folder) for folder in folders}) == len(folders)


def test_a_hub_name_stands_for_itself() -> None:
    assert fingerprint("some/model") == fingerprint("some/model")
    assert fingerprint("some/model") != fingerprint("other/model")


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_base_model_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    model = make_base(tmp_path / "model")
    (model / "config.json").write_text(content)
    with pytest.raises(CheckpointRefused, match="cannot be read"):
        fingerprint(model)
