"""A benchmark's file: its first rows, its digest, and several files as one."""

from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.domain.prompt import Prompt
from app.errors import ConfigurationError
from app.evaluation.base import Item, unique
from app.evaluation.data import joined, names_of, read_data, read_rows
from app.evaluation.instructions import IFEVAL
from tests.helpers.evaluating import ifeval_file


class Row(BaseModel):
    n: int


def read(folder: Path, text: str, limit: int | None = None) -> list[tuple[str, int]]:
    """The rows of a file with this text: the end of their place, and their number."""
    file = folder / "rows"
    file.write_text(text, encoding="utf-8")
    return [(place.removeprefix(f"{file}, "), row.n) for place, row in read_rows(file, Row, limit)]


def test_json_lines_and_one_array_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, '{"n": 1}\n\n{"n": 2}\n') == [("line 1", 1), ("line 3", 2)]
    assert read(tmp_path, '\n[{"n": 1},\n {"n": 2}]') == [("row 1", 1), ("row 2", 2)]
    assert read(tmp_path, "") == []


def test_unicode_line_separators_do_not_end_a_line(tmp_path: Path) -> None:
    assert read(tmp_path, '{"n": 1, "text": "a\u2028b\u0085c"}\r\n{"n": 2}') == [
        ("line 1", 1),
        ("line 2", 2),
    ]


def test_rows_beyond_the_limit_are_not_parsed(tmp_path: Path) -> None:
    assert read(tmp_path, '{"n": 1}\nnonsense', limit=1) == [("line 1", 1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"n": 1}\n{"n": "x"}', "line 2: n: "),
        ('{"n": 1}\n{}', "line 2: n: Field required"),
        ('{"n": 1}\n7', "line 2: "),
        ('{"n": 1}\n{', "line 2: not JSON"),
        pytest.param('{"n": ' + "[" * 100_000, "line 1: not JSON", id="deep"),
        ('[{"n": 1}, {"m": 1}]', "row 2: n: "),
        ('[{"n": 1}', "rows: not JSON"),
    ],
)
def test_invalid_rows_are_named_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.jsonl"):
        read_rows(tmp_path / "none.jsonl", Row)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="bytes"):
        read_rows(tmp_path / "bytes", Row)


def test_duplicate_key_is_refused() -> None:
    items = [Item(key, Prompt.from_text("x")) for key in ("1", "2", "1")]
    assert unique([("line 1", items[0]), ("line 2", items[1])]) == items[:2]
    with pytest.raises(ConfigurationError, match='line 3: the key "1"'):
        unique((f"line {number}", item) for number, item in enumerate(items, start=1))


def test_only_the_first_rows_are_taken_and_the_digest_is_that_of_all(tmp_path: Path) -> None:
    file = ifeval_file(tmp_path, ["One.", "Two.", "Three."])
    found = read_data(IFEVAL, file, 2)
    assert [item.prompt.instruction for item in found.items] == ["One.", "Two."]
    assert found.digest == sha256(file.read_bytes()).hexdigest()
    assert len(read_data(IFEVAL, file, None).items) == 3


def test_empty_or_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no rows"):
        read_data(IFEVAL, ifeval_file(tmp_path, []), None)
    for nothing in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(ConfigurationError, match=f"cannot read {nothing}"):
            read_data(IFEVAL, nothing, None)


def test_rows_of_several_files_have_distinct_keys(tmp_path: Path) -> None:
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


def test_equal_file_names_get_their_folder_as_prefix() -> None:
    assert names_of([Path("a/natural.jsonl"), Path("b/x.jsonl")]) == ["natural", "x"]
    same = [Path("Natural/dataset.json"), Path("Neighbor/dataset.json")]
    assert names_of(same) == ["Natural-dataset", "Neighbor-dataset"]
    with pytest.raises(ConfigurationError, match="have the same name"):
        names_of([*same, same[0]])
