"""Preparing a model with a bar that shows how far it is."""

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from app.cli.console import out, say
from app.models import resolve_model


def resolve(name: str | None) -> str:
    """`app.models.resolve_model`, with a bar on a terminal and a line per step elsewhere.

    Raises `ConfigurationError` where the model cannot be used.
    """
    console = out()
    if not console.is_terminal:
        return resolve_model(name, lambda step, _share: say(step))
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, visible=False)
        return resolve_model(
            name,
            lambda step, share: bar.update(task, description=step, completed=share, visible=True),
        )
