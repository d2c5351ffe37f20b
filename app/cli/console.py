"""Terminal output: the two consoles, and model text made safe to print."""

import json
import re
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from app.errors import SparError

_CONTROLS = dict.fromkeys(
    [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
    # Embedding and override of the writing direction can make a line read as another one.
    + [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def out() -> Console:
    """The console of results: standard output."""
    return Console(highlight=False, markup=False, emoji=False)


def err() -> Console:
    """The console of progress and errors: standard error."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def clean(text: str) -> str:
    """Text without control characters, which could carry terminal escape sequences.

    Newlines and tabs stay; a lone surrogate, which cannot be written, becomes a question mark.
    """
    return text.translate(_CONTROLS).encode(errors="replace").decode()


def first_words(text: str, limit: int = 60) -> str:
    """The beginning of a text on one line, at most `limit` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 node`, `2 nodes`, `1,234 tokens`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def say(message: str, style: str = "") -> None:
    """Print one line to standard output."""
    out().print(Text(clean(message), style), soft_wrap=True)


def print_error(error: SparError) -> None:
    """Print one red line to standard error."""
    line = " ".join(clean(error.message).split())
    err().print(Text.assemble(("error: ", "bold red"), (line, "red")), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a JSON value to standard output, with control characters escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def counting_bar() -> Progress:
    """A transient progress bar on standard error; disabled where that is not a terminal."""
    console = err()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
