"""Journals: results are kept item by item, and no item is asked twice."""

from pathlib import Path

import pytest

from app.domain.prompt import Prompt
from app.errors import ConfigurationError
from app.evaluation.base import Item
from app.evaluation.http import RowRefused, ServerGone
from experiments.context import Journal, Row

PLAN = {"seed": 1}
ITEMS = [Item(key, Prompt.from_text(key)) for key in "abc"]


def opened(folder: Path, plan: dict[str, int] = PLAN) -> Journal:
    return Journal(folder, "some", plan)


def test_rows_are_read_back(tmp_path: Path) -> None:
    row = {"text": "two\nlines, and\u2028another kind"}
    opened(tmp_path).add("a", row)
    opened(tmp_path).add("b", {})
    assert opened(tmp_path).rows == {"a": row, "b": {}}


def test_another_plan_has_another_file(tmp_path: Path) -> None:
    opened(tmp_path).add("a", {})
    assert opened(tmp_path, {"seed": 2}).rows == {}


def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add("a", {"n": 1})
    with journal.file.open("a") as file:
        file.write('{"key": "b", "ro')
    again = opened(tmp_path)
    again.add("c", {"n": 3})
    assert opened(tmp_path).rows == {"a": {"n": 1}, "c": {"n": 3}}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        opened(tmp_path / "file" / "folder")


@pytest.mark.parametrize("line", ["nonsense", "7", '{"key": "b"}', "\ufeff{}"])
def test_a_line_in_another_format_is_an_error_and_stays(tmp_path: Path, line: str) -> None:
    journal = opened(tmp_path)
    journal.file.write_text(f"{line}\n")
    with pytest.raises(ConfigurationError, match="in another format"):
        opened(tmp_path)
    assert journal.file.read_text() == f"{line}\n"


def test_a_row_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    journal = opened(tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    with pytest.raises(ConfigurationError, match="cannot write"):
        journal.add("a", {})
    assert journal.rows == {}


async def test_only_missing_items_are_requested(tmp_path: Path) -> None:
    journal, asked = opened(tmp_path), []
    journal.add("b", {"old": True})

    async def ask(item: Item) -> Row:
        asked.append(item.key)
        return {"old": False}

    found = await journal.collect(ITEMS, ask, at_once=2)
    assert asked == ["a", "c"]
    assert found == {"a": {"old": False}, "b": {"old": True}, "c": {"old": False}}
    assert list(found) == ["a", "b", "c"]


async def test_rejected_items_are_excluded_and_not_requested_again(tmp_path: Path) -> None:
    asked = []

    async def ask(item: Item) -> Row:
        asked.append(item.key)
        if item.key == "b":
            raise RowRefused("too long")
        return {}

    for _ in range(2):
        assert set(await opened(tmp_path).collect(ITEMS, ask, at_once=1)) == {"a", "c"}
    assert asked == ["a", "b", "c"]


async def test_an_error_ends_the_collection_and_finished_rows_stay(tmp_path: Path) -> None:
    async def ask(item: Item) -> Row:
        if item.key == "b":
            raise ServerGone("no answer")
        return {}

    with pytest.raises(ServerGone, match="no answer"):
        await opened(tmp_path).collect(ITEMS, ask, at_once=1)
    assert set(opened(tmp_path).rows) == {"a"}
