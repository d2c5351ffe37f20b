"""Rows of a data set become a file; what is not available is an error."""

import json
from pathlib import Path

import pytest

from app.cli.eval.hub import fetch_rows
from app.errors import ConfigurationError


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, and a cache of the test's own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A data set in a folder, with two splits."""
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"key": split, "prompt": "ä"}) + "\n")
    return folder


def test_a_split_becomes_a_file(rows: Path, tmp_path: Path) -> None:
    file = fetch_rows(str(rows), tmp_path / "kept", split="test")
    assert file.parent == tmp_path / "kept"
    assert json.loads(file.read_text()) == {"key": "test", "prompt": "ä"}


def test_one_of_several_splits_must_be_chosen(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="splits train, test: choose one with --split"):
        fetch_rows(str(rows), tmp_path, split=None)


def test_an_unreachable_hub_is_an_error(tmp_path: Path) -> None:
    reason = r"owner/name is not available: .*pass it with --data"
    with pytest.raises(ConfigurationError, match=reason):
        fetch_rows("owner/name", tmp_path, split=None)


def test_a_broken_data_set_is_an_error(rows: Path, tmp_path: Path) -> None:
    (rows / "train.jsonl").write_text('{"key": 1}\n{"key"\n')
    with pytest.raises(ConfigurationError, match=r"is not available: (?!An error occurred)"):
        fetch_rows(str(rows), tmp_path, split="train")
