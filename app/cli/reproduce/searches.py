"""Experiments made of search trees: refinement, and accuracy by the number of generations."""

from dataclasses import asdict

from app.cli.reproduce.facts import facts
from app.cli.reproduce.lab import Lab
from app.evaluation.data import Data
from app.evaluation.reproduce.report import Facts, Report
from app.evaluation.reproduce.search_reports import (
    Rows,
    asked_facts,
    refinement_report,
    scaling_report,
)
from app.evaluation.reproduce.searching import Asked, Searcher


async def refinement(lab: Lab, data: Data, asked: Asked) -> Report:
    """Tables 3 and 10: each mode repairs the same rejected responses, by the same budget."""
    rows = await _rows(lab, data, asked, repairing=True)
    return refinement_report(rows, asked, _facts(lab, data, asked))


async def scaling(lab: Lab, data: Data, asked: Asked) -> Report:
    """Figure 5: accuracy after 1, 2, ... generations, read off each mode's trees."""
    rows = await _rows(lab, data, asked, repairing=False)
    return scaling_report(rows, asked, _facts(lab, data, asked))


async def _rows(lab: Lab, data: Data, asked: Asked, *, repairing: bool) -> Rows:
    searcher = Searcher(lab.server, lab.checker, asked)
    ask = searcher.repair if repairing else searcher.answer
    # Not the number of rows: more of them go on where fewer ended.
    journal = lab.journal({"digest": data.digest, "repairing": repairing, **asdict(asked)})
    return await lab.gather(journal, data, ask)


def _facts(lab: Lab, data: Data, asked: Asked) -> Facts:
    return facts(lab.wanted, prompts=data.file.name, **asked_facts(asked))
