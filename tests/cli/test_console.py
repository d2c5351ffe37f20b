import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.console import clean, first_words, print_error, print_json
from app.errors import SparError

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J back\b \r[bold]x[/nope] \x7f\u202eabc \ud800"


@given(st.text(alphabet=st.characters()))
def test_clean_text_holds_no_control_characters_and_can_be_written(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert not [c for c in cleaned if (ord(c) < 32 or 127 <= ord(c) < 160) and c not in "\n\t"]


def test_clean_keeps_ordinary_text_as_it_is() -> None:
    text = "Zeile eins\n\tzwei: 雨 😀 [bold]not markup[/bold] é"
    assert clean(text) == text


def test_clean_removes_escape_sequences() -> None:
    assert clean("\x1b[31mred\x1b[0m\r\n") == "[31mred[0m\n"
    assert clean("\u202eaccepted\u2066") == "accepted"


@given(st.text(), st.integers(2, 80))
def test_first_words_are_one_line_within_the_limit(text: str, limit: int) -> None:
    line = first_words(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_first_words_say_when_they_are_not_all() -> None:
    assert first_words("one two three", 20) == "one two three"
    assert first_words("one two three", 8) == "one two…"


def test_printed_json_is_exact_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": HOSTILE, "雨": [1.5, None, True]}
    print_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert "雨" in printed
    assert not set(printed) & {"\x1b", "\x9b", "\x7f", "\r", "\b", "\ud800"}


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(SparError("[red]no\nway[/oops]\x1b[2J"))
    assert capsys.readouterr().err == "error: [red]no way[/oops][2J\n"
