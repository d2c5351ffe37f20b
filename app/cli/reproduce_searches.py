"""Experiments made of search trees: refinement, and accuracy by the number of generations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from app.cli.reproduce_lab import Lab, facts, rows_of
from app.domain.options import Mode
from app.evaluation.instructions import IFEVAL
from app.evaluation.reproduce.journal import Row
from app.evaluation.reproduce.report import Report
from app.evaluation.reproduce.searched import (
    begun_rejected,
    growth_plots,
    growth_tables,
    mode_table,
    trees_of,
)
from app.evaluation.reproduce.searching import GIVEN, Asked, Searcher

REPAIRING = tuple(Mode)
SCALING = (Mode.GREEDY, Mode.BEST_OF_N, Mode.BFS, Mode.DFS)


async def refinement(lab: Lab, file: Path, asked: Asked) -> Report:
    """Tables 3 and 10: each mode repairs the same rejected responses, by the same budget."""
    rows = await _rows(lab, file, asked, repairing=True)
    trees = trees_of(list(rows.values()), asked.modes)
    began = begun_rejected(trees)
    repaired, left = len(trees[asked.modes[0]]), len(began[asked.modes[0]])
    return Report(
        name="refinement",
        title="Repairing rejected responses",
        shows="SPaR's Tables 3 and 10: how often each way to refine repairs a response.",
        facts=facts(lab.wanted, **_facts(file, asked)),
        tables=[mode_table("Repaired, by mode", began, asked.modes[0])],
        notes=[
            f"Of {len(rows)} prompts, {sum(row[GIVEN] > 0 for row in rows.values())} had a response"
            " that the refiner and the checkers both rejected; every mode repairs the same one.",
            f"{repaired - left} of them the refiner accepted when it judged them again: they are"
            " left out of every mode.",
            *_notes(asked),
        ],
    )


async def scaling(lab: Lab, file: Path, asked: Asked) -> Report:
    """Figure 5: accuracy after 1, 2, ... generations, read off each mode's trees."""
    rows = await _rows(lab, file, asked, repairing=False)
    trees = trees_of(list(rows.values()), asked.modes)
    return Report(
        name="scaling",
        title="Accuracy by number of generations",
        shows="SPaR's Figure 5: what more generations bring, by the way to search.",
        facts=facts(lab.wanted, **_facts(file, asked)),
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


async def _rows(lab: Lab, file: Path, asked: Asked, *, repairing: bool) -> Mapping[str, Row]:
    data = rows_of(IFEVAL, [file], lab.wanted.limit)
    searcher = Searcher(lab.server, lab.checker, asked)
    ask = searcher.repair if repairing else searcher.answer
    # Not the number of rows: more of them go on where fewer ended.
    journal = lab.journal({"digest": data.digest, "repairing": repairing, **asdict(asked)})
    return await lab.gather(journal, data, ask)


def _facts(file: Path, asked: Asked) -> dict[str, str]:
    search = ", ".join(f"{name} {value}" for name, value in asked.search.items())
    return {
        "prompts": file.name,
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
