import json
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.evaluation.llmbar import LabelledPair, read_pairs, score

ROW = {"instruction": "Say yes.", "output_1": "yes", "output_2": "no", "label": 1}


def write(folder: Path, *rows: object) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_label_says_which_output_is_better(tmp_path: Path) -> None:
    file = write(tmp_path, ROW, ROW | {"label": 2, "source": "somewhere"})
    assert read_pairs(file, 10) == [
        LabelledPair("Say yes.", "yes", "no"),
        LabelledPair("Say yes.", "no", "yes"),
    ]


def test_no_more_are_read_than_wanted(tmp_path: Path) -> None:
    assert len(read_pairs(write(tmp_path, ROW, ROW, {}), 2)) == 2


@pytest.mark.parametrize("row", [{}, ROW | {"label": 3}, [], ROW | {"output_1": None}])
def test_a_bad_row_is_named(tmp_path: Path, row: object) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        read_pairs(write(tmp_path, ROW, row), 10)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.jsonl"):
        read_pairs(tmp_path / "none.jsonl", 10)


def test_equal_values_are_half_right() -> None:
    assert [score(0.6, 0.4), score(0.4, 0.6), score(0.5, 0.5)] == [1.0, 0.0, 0.5]
