"""Checkpoint folders of any content: accepted, or refused with `CheckpointRefused`."""

import hashlib
import json
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkpoints.manifest import fingerprint, seal
from app.checkpoints.store import verify, verify_full
from app.domain.checkpoint import CheckpointKind, Role
from app.errors import CheckpointRefused
from tests.helpers.checkpoint_files import CONFIG, WEIGHTS, make_adapter, make_base, make_checkpoint

MANIFEST = "manifest.json"
DEEP = "[" * 100_000
HUGE = "1" + "0" * 400
"""A whole number that is beyond every float."""

texts = st.text(max_size=8)
numbers = st.integers() | st.floats() | st.just(int(HUGE))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
OPTIONS = ("peft_type", "r", "lora_alpha", "target_modules", "bias", "use_dora", "rank_pattern")


def served(folder: Path, digest: str, base: Path) -> bool:
    """Whether it is accepted; any other error than a refusal fails the test."""
    with suppress(CheckpointRefused):
        verify(
            folder,
            digest,
            role=Role.ACTOR,
            version=1,
            base_model=str(base),
            max_rank=16,
            targets={"down_proj"},
        )
        return True
    return False


def with_file(base: Path, name: str, content: bytes) -> bool:
    """Whether an adapter is accepted that was sealed with this file in it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_adapter(Path(temporary, "actor@1"))
        (folder / name).write_bytes(content)
        digest = seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint(base))
        return served(folder, digest, base)


def with_manifest(base: Path, change: Callable[[Any], Any]) -> bool:
    """Whether an adapter is accepted whose manifest, changed so, is the one on record."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "actor@1")
        make_checkpoint(folder, base)
        content = change(json.loads((folder / MANIFEST).read_bytes()))
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        (folder / MANIFEST).write_bytes(content)
        return served(folder, hashlib.sha256(content).hexdigest(), base)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(OPTIONS), values, min_size=1))
def test_a_configuration_of_any_values_is_understood_or_refused(
    base: Path, options: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_adapter(Path(temporary, "actor@1"), **options)
        digest = seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint(base))
        served(folder, digest, base)


@settings(deadline=None)
@given(st.binary(max_size=64) | values.map(lambda value: json.dumps(value).encode()))
def test_a_configuration_of_any_bytes_is_refused(base: Path, content: bytes) -> None:
    assert not with_file(base, CONFIG, content)


@pytest.mark.parametrize("content", [DEEP, f'{{"lora_alpha": {HUGE}}}', f'{{"r": {HUGE * 20}}}'])
def test_a_configuration_of_no_measure_is_refused(base: Path, content: str) -> None:
    assert not with_file(base, CONFIG, content.encode())


def test_an_alpha_beyond_every_float_is_refused(base: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_adapter(Path(temporary, "actor@1"), lora_alpha=int(HUGE))
        digest = seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint(base))
        assert not served(folder, digest, base)


tensor = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BF16", "I8", "F4", "F8_E4M3", "nonsense"]) | values,
        "shape": st.lists(st.integers(-2, 2**64), max_size=4) | values,
        "data_offsets": st.lists(st.integers(-2, 2**64), max_size=3) | values,
    },
)
names = texts | st.sampled_from(
    [
        "__metadata__",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight",
    ]
)
headers = st.dictionaries(names, tensor | values, max_size=3).map(
    lambda header: json.dumps(header).encode()
)


@settings(deadline=None)
@given(headers | st.binary(max_size=64), st.none() | st.integers(0, 2**64 - 1), st.binary())
def test_weights_with_any_header_are_refused(
    base: Path, header: bytes, length: int | None, rest: bytes
) -> None:
    size = struct.pack("<Q", len(header) if length is None else length)
    assert not with_file(base, WEIGHTS, size + header + rest)


@settings(deadline=None)
@given(st.data())
def test_weights_that_are_changed_anywhere_are_accepted_or_refused(
    base: Path, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        content = bytearray((make_adapter(Path(temporary, "whole")) / WEIGHTS).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    with_file(base, WEIGHTS, bytes(content))


fields = ("format", "role", "version", "kind", "base", "files")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(fields) | texts, values, min_size=1))
def test_a_manifest_of_any_values_is_understood_or_refused(
    base: Path, change: dict[str, Any]
) -> None:
    with_manifest(base, lambda manifest: manifest | change)


entries = st.dictionaries(st.sampled_from(["sha256", "bytes"]) | texts, values, max_size=3)


@settings(deadline=None)
@given(st.dictionaries(texts | st.sampled_from([".", "..", "/", "\0"]), entries, min_size=1))
def test_a_manifest_of_any_other_files_is_refused(base: Path, files: dict[str, Any]) -> None:
    assert not with_manifest(base, lambda manifest: manifest | {"files": files})


@settings(deadline=None)
@given(st.binary(max_size=64) | values.map(lambda value: json.dumps(value).encode()))
def test_a_manifest_of_any_bytes_is_refused(base: Path, content: bytes) -> None:
    assert not with_manifest(base, lambda _: content)


def test_a_manifest_without_a_floor_is_refused(base: Path) -> None:
    assert not with_manifest(base, lambda _: DEEP.encode())


@settings(deadline=None)
@given(st.binary(max_size=64) | values.map(lambda value: json.dumps(value).encode()))
def test_full_weights_with_any_configuration_are_refused(base: Path, content: bytes) -> None:
    full_refused(base, content)


def test_full_weights_with_a_configuration_without_a_floor_are_refused(base: Path) -> None:
    full_refused(base, DEEP.encode())


def full_refused(base: Path, content: bytes) -> None:
    """Full weights with this configuration are refused."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_base(Path(temporary, "actor@1"))
        (folder / "config.json").write_bytes(content)
        digest = seal(folder, Role.ACTOR, 1, CheckpointKind.FULL, fingerprint(base))
        with pytest.raises(CheckpointRefused):
            verify_full(folder, digest, role=Role.ACTOR, version=1, base_model=str(base))
