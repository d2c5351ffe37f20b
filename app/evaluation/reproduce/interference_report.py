"""The report of Figure 4: each kind of pairs by the number of training steps."""

from collections.abc import Mapping, Sequence

from app.evaluation.base import Figure
from app.evaluation.reproduce.interference import ARMS, Task
from app.evaluation.reproduce.report import Cell, Facts, Line, Plot, Point, Report, Table, point

START = "start"
"""The model before any training, where both arms begin."""

Found = Mapping[tuple[str, int], Mapping[str, Figure]]
"""The figures of a task's models, by arm (or `START`) and steps."""


def interference_report(found: Sequence[tuple[Task, Found]], facts: Facts) -> Report:
    """A table for each task, and a plot for each of its metrics."""
    return Report(
        name="interference",
        title="Refined against interfering pairs",
        shows="SPaR's Figure 4: pairs that differ only in what is asked, against pairs that also"
        " differ in something else. Built after the paper's description, in our own words.",
        facts=facts,
        tables=[_table(*both) for both in found],
        plots=[plot for both in found for plot in _plots(*both)],
        notes=[
            "Both kinds of pairs have the same prompts and the same rejected answers, and are"
            " trained on in the same order for as many steps. The prompts asked are others.",
            "characters: the interfering pairs' chosen answers are in capitals, and `capitals`"
            " shows how much of that was learned. stories: they tell another story.",
        ],
    )


def _table(task: Task, found: Found) -> Table:
    rows: list[dict[str, Cell]] = [
        {"pairs": arm, "steps": steps, **{name: figures.get(name) for name in task.metrics}}
        for (arm, steps), figures in found.items()
    ]
    return Table(task.name, rows)


def _plots(task: Task, found: Found) -> list[Plot]:
    """A plot for each metric, in which both arms begin at the model before training."""
    plots = []
    for metric in task.metrics:
        name = f"interference-{task.name}-{metric.replace(' ', '-')}"
        lines = [Line(arm, _points(arm, metric, found)) for arm in ARMS]
        plots.append(Plot(name, f"{task.name}: {metric}", "steps", "", lines))
    return plots


def _points(arm: str, metric: str, found: Found) -> list[Point]:
    return [
        point(steps, figures[metric])
        for (name, steps), figures in found.items()
        if name in (START, arm) and metric in figures
    ]
