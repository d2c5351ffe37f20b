"""The reports of experiments made of search trees: refinement, and accuracy by generations."""

from collections.abc import Mapping, Sequence

from app.domain.options import Mode
from app.evaluation.reproduce.journal import Row
from app.evaluation.reproduce.report import Facts, Report
from app.evaluation.reproduce.searched import (
    begun_rejected,
    growth_plots,
    growth_tables,
    mode_table,
    trees_of,
)
from app.evaluation.reproduce.searching import GIVEN, Asked

REPAIRING = tuple(Mode)
SCALING = (Mode.GREEDY, Mode.BEST_OF_N, Mode.BFS, Mode.DFS)

Rows = Mapping[str, Row]
"""What was found of each item."""


def refinement_report(rows: Rows, asked: Asked, facts: Facts) -> Report:
    """Tables 3 and 10: each mode repairs the same rejected responses, by the same budget."""
    trees = trees_of(list(rows.values()), asked.modes)
    began = begun_rejected(trees)
    repaired, left = len(trees[asked.modes[0]]), len(began[asked.modes[0]])
    return Report(
        name="refinement",
        title="Repairing rejected responses",
        shows="SPaR's Tables 3 and 10: how often each way to refine repairs a response.",
        facts=facts,
        tables=[mode_table("Repaired, by mode", began, asked.modes[0])],
        notes=[
            f"Of {len(rows)} prompts, {sum(row[GIVEN] > 0 for row in rows.values())} had a response"
            " that the refiner and the checkers both rejected; every mode repairs the same one.",
            f"{repaired - left} of them the refiner accepted when it judged them again: they are"
            " left out of every mode.",
            *_notes(asked),
        ],
    )


def scaling_report(rows: Rows, asked: Asked, facts: Facts) -> Report:
    """Figure 5: accuracy after 1, 2, ... generations, read off each mode's trees."""
    trees = trees_of(list(rows.values()), asked.modes)
    return Report(
        name="scaling",
        title="Accuracy by number of generations",
        shows="SPaR's Figure 5: what more generations bring, by the way to search.",
        facts=facts,
        tables=[
            mode_table("At the end", trees, asked.modes[0]),
            *growth_tables(trees, asked.nodes),
        ],
        plots=growth_plots("scaling", trees, asked.nodes),
        notes=[
            "Each search ran once. After k generations its answer is the best of its first k"
            " nodes; a search that has ended keeps its answer.",
            *_notes(asked),
        ],
    )


def asked_facts(asked: Asked) -> dict[str, str]:
    """What the searches had in common, for a report."""
    search = ", ".join(f"{name} {value}" for name, value in asked.search.items())
    return {
        "checkpoints": f"actor@{asked.versions.actor}, refiner@{asked.versions.refiner}",
        "search": f"{search}; at most {asked.nodes} generations each",
        "sampling": ", ".join(f"{name} {value}" for name, value in asked.sampling.items()),
        "constraints": "sent along" if asked.with_constraints else "not sent",
    }


def _notes(asked: Asked) -> Sequence[str]:
    told = (
        "The searches were told the constraints, and so the checks that they are scored by."
        if asked.with_constraints
        else "The searches were not told the constraints: their own refiner alone judged for them."
    )
    return [
        told,
        "The checkers find an answer right that meets all constraints of its prompt and does not"
        " only repeat it. Where the refiner judges near chance, its own figure says little.",
    ]
