"""The bar that shows what is measured now and how long the rest will take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WHOLE_RUN_SECONDS = 24 * 3600.0


class Advance(Protocol):
    """Says what begins (empty: the same goes on) and adds tokens done."""

    def __call__(self, label: str, tokens: float, /) -> None: ...


@contextmanager
def progress_bar(console: Console, total: float) -> Iterator[Advance]:
    """A bar over the expected tokens; the remaining time comes from the speed so far."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, speed_estimate_period=WHOLE_RUN_SECONDS
    ) as progress:
        task = progress.add_task("starting", total=total)

        def advance(label: str, tokens: float, /) -> None:
            progress.update(task, advance=tokens)
            if label:
                progress.update(task, description=label)

        yield advance
