"""The data files: what is read, and how a malformed line is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.config import Refused
from training.datasets import Dialogue, Pair, read_rows

ASK = {"role": "user", "content": "Hello?"}
ANSWER = {"role": "assistant", "content": "Hello."}
PAIR = {"prompt": [ASK], "chosen": [ANSWER], "rejected": [ANSWER]}


def write(folder: Path, *lines: str) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_rows_are_read_and_their_other_fields_and_blank_lines_ignored(tmp_path: Path) -> None:
    file = write(tmp_path, json.dumps(PAIR | {"node": 7}), "", json.dumps(PAIR))
    rows = read_rows(file, Pair)
    assert [row.model_dump(mode="json") for row in rows] == [PAIR, PAIR]


def test_an_exotic_line_break_inside_a_text_ends_no_row(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "one\u2028two\x85three"}
    file = write(tmp_path, json.dumps({"messages": [asked, ANSWER]}, ensure_ascii=False))
    assert read_rows(file, Dialogue)[0].messages[0].content == asked["content"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        (json.dumps({"prompt": [ASK], "chosen": [ANSWER]}), "rejected: Field required"),
        (json.dumps(PAIR | {"prompt": []}), "prompt: Tuple should have at least 1 item"),
        (json.dumps(PAIR | {"prompt": [ANSWER]}), "prompt: the last message must be the user's"),
        (json.dumps(PAIR | {"chosen": [ASK]}), "chosen: the message must be the assistant's"),
        (json.dumps(PAIR | {"chosen": [ANSWER, ANSWER]}), "chosen: Tuple should have at most 1"),
        (json.dumps(PAIR | {"prompt": [{"role": "bot", "content": ""}]}), "prompt.0.role: Input"),
    ],
)
def test_a_malformed_pair_is_named_by_its_line(tmp_path: Path, line: str, problem: str) -> None:
    file = write(tmp_path, json.dumps(PAIR), "", line)
    with pytest.raises(Refused) as refused:
        read_rows(file, Pair)
    assert f"rows.jsonl, line 3: {problem}" in str(refused.value)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([ASK], "messages: no message is the assistant's"),
        ([ANSWER, ASK], "messages: the first message cannot be the assistant's"),
        ([ASK, ANSWER | {"content": None}], "messages.1.content: Input should be a valid string"),
    ],
)
def test_a_malformed_dialogue_is_named_by_its_line(
    tmp_path: Path, messages: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(Refused) as refused:
        read_rows(write(tmp_path, json.dumps({"messages": messages})), Dialogue)
    assert f"line 1: {problem}" in str(refused.value)


def test_no_rows_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no samples"):
        read_rows(write(tmp_path, ""), Pair)
    with pytest.raises(Refused, match="cannot be read: No such file"):
        read_rows(tmp_path / "none.jsonl", Pair)
