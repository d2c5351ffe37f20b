"""What each variant of self-play leaves out, and the table of what came of them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.checkpoint import Role
from app.domain.presets import options_for
from app.evaluation.base import Figure
from app.evaluation.data import Data
from app.evaluation.report import Findings, RunReport
from app.evaluation.reproduce.ablations import Variant, variant_table, variants
from app.evaluation.reproduce.versions import Benchmark, Measured
from tests.helpers.evaluating import plan_of


@pytest.mark.parametrize("variant", variants(2, 12), ids=lambda one: one.name)
def test_a_variant_is_what_the_iteration_options_say(variant: Variant) -> None:
    data = options_for("micro", {"data": dict(variant.data)}).data
    assert data.refine == (variant.name != "no refinement")
    assert data.own_pairs == int(variant.name == "no refinement")
    assert (data.mode.value == "greedy") == (variant.name == "no tree search")
    assert variant.iterations == (1 if variant.name == "no iterative training" else 2)


def test_without_iterating_all_prompts_are_played_on_at_once() -> None:
    found = {one.name: one for one in variants(3, 50)}
    assert found["no iterative training"].data == {"prompts": 150}
    assert "no iterative training" not in {one.name for one in variants(1, 50)}


def test_a_variant_has_the_figures_of_the_version_it_ended_with() -> None:
    benchmark = Benchmark("llmbar", Data(Path("x.jsonl"), [], "d"), Role.REFINER, None, {})
    figures = {version: Figure("accuracy", version / 10, 0.0, 1.0, 9) for version in (0, 4)}
    runs = {version: _run(figure) for version, figure in figures.items()}
    table = variant_table(benchmark, Measured(runs, {4: 0.25}), {"start": 0, "whole": 4})
    assert table.title == "llmbar: the refiner of each variant"
    assert [row["version"] for row in table.rows] == ["refiner@0", "refiner@4"]
    assert [row["accuracy"] for row in table.rows] == [figures[0], figures[4]]
    assert [row["p"] for row in table.rows] == [None, 0.25]


def _run(figure: Figure) -> RunReport:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return RunReport(
        "id", None, plan_of(), [], 0, 0.0, Findings([figure]), began, began, "1", "spar"
    )
