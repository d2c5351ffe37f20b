"""A benchmark's file: its first rows, its digest, and several files as one."""

from hashlib import sha256
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.evaluation.data import joined, names_of, read_data
from app.evaluation.instructions import IFEVAL
from tests.helpers.evaluating import ifeval_file


def test_only_the_first_rows_are_taken_and_the_digest_is_that_of_all(tmp_path: Path) -> None:
    file = ifeval_file(tmp_path, ["One.", "Two.", "Three."])
    found = read_data(IFEVAL, file, 2)
    assert [item.prompt.instruction for item in found.items] == ["One.", "Two."]
    assert found.digest == sha256(file.read_bytes()).hexdigest()
    assert len(read_data(IFEVAL, file, None).items) == 3


def test_what_has_no_rows_or_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no rows"):
        read_data(IFEVAL, ifeval_file(tmp_path, []), None)
    for nothing in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(ConfigurationError, match=f"cannot read {nothing}"):
            read_data(IFEVAL, nothing, None)


def test_rows_of_several_files_keep_apart(tmp_path: Path) -> None:
    data = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        file = ifeval_file(tmp_path / name, [f"In {name}."]).rename(tmp_path / f"{name}.jsonl")
        data.append(read_data(IFEVAL, file, None))
    both = joined(data)
    assert [item.key for item in both.items] == ["a/0", "b/0"]
    assert both.digest not in {one.digest for one in data}
    assert joined(data[::-1]).digest != both.digest
    assert joined(data[:1]) == data[0]


def test_files_of_the_same_name_are_told_apart_by_their_folders() -> None:
    assert names_of([Path("a/natural.jsonl"), Path("b/x.jsonl")]) == ["natural", "x"]
    same = [Path("Natural/dataset.json"), Path("Neighbor/dataset.json")]
    assert names_of(same) == ["Natural-dataset", "Neighbor-dataset"]
    with pytest.raises(ConfigurationError, match="called the same"):
        names_of([*same, same[0]])
