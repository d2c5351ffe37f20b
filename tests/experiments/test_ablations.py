"""Variants of self-play: their options, iterations and results, and resuming a run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.cli.admin import Admin
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import options_for
from app.errors import ConfigurationError
from app.evaluation.base import Metric
from app.evaluation.data import Data
from app.evaluation.report import Findings, RunReport
from experiments.ablations import Plan, Variant, _prompts, _run, variant_table, variants
from experiments.context import Journal
from experiments.versions import Benchmark, Measured
from tests.cli.admin import ITERATION, ended
from tests.cli.replay import Server
from tests.helpers.evaluating import plan_of

QUEUE = "POST /admin/iterations"
SHOW = f"GET /admin/iterations/{ITERATION}"
PLAN = Plan("micro", 2, ("data.prompts=12",), Versions())
TRAINED = [{"role": "actor", "version": 4, "status": "promoted"}]


def ready(server: Server, actor: int) -> None:
    """A server that serves this actor, and whose iterations end at once with another one."""
    done = ended(checkpoints=TRAINED)
    server.events = [("iteration", done)]
    serving = {"promoted": {"actor": actor, "refiner": 0}, "servers": []}
    server.routes = {
        QUEUE: done,
        SHOW: done,
        "GET /admin/serving": serving,
        "POST /admin/checkpoints/actor/0/promote": {"actor": 0, "refiner": 0},
        "POST /admin/checkpoints/actor/4/promote": {"actor": 4, "refiner": 0},
    }


def queued(server: Server) -> list[Any]:
    return [body for body in server.asked if body and "overrides" in body]


def test_variant_starts_from_the_initial_versions(server: Server, tmp_path: Path) -> None:
    ready(server, actor=3)
    journal = Journal(tmp_path, "ablations", {})
    variant = Variant("no tree search", 2, {"mode": "greedy"})
    with Admin(server.url) as admin:
        end = _run(admin, journal, PLAN, variant, seed=5)
    assert end == Versions(actor=4)
    assert server.calls[:3] == [
        "GET /admin/serving",
        "POST /admin/checkpoints/actor/0/promote",
        QUEUE,
    ]
    asked = queued(server)
    assert [one["promote"] for one in asked] == ["always", "always"]
    assert asked[0]["overrides"] == {"data": {"prompts": 12, "mode": "greedy"}, "seed": 5}


def test_queued_iteration_is_awaited_and_not_queued_again(server: Server, tmp_path: Path) -> None:
    ready(server, actor=0)
    journal = Journal(tmp_path, "ablations", {})
    journal.add("whole/0", {"iteration": ITERATION})
    with Admin(server.url) as admin:
        _run(admin, journal, PLAN, Variant("whole", 2, {}), seed=0)
    assert len(queued(server)) == 1
    assert set(journal.rows) == {"whole/0", "whole/1"}


@pytest.mark.parametrize(
    ("preset", "override", "message"),
    [("huge", "seed=1", "no preset 'huge'"), ("micro", "data.colour=1", "colour")],
)
def test_unknown_options_are_an_error(preset: str, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _prompts(Plan(preset, 1, (override,), Versions()))


@pytest.mark.parametrize("variant", variants(2, 12), ids=lambda one: one.name)
def test_a_variant_changes_the_options_that_its_name_says(variant: Variant) -> None:
    data = options_for("micro", {"data": dict(variant.data)}).data
    assert data.refine == (variant.name != "no refinement")
    assert data.on_policy_pairs == int(variant.name == "no refinement")
    assert (data.mode.value == "greedy") == (variant.name == "no tree search")
    assert variant.iterations == (1 if variant.name == "no iterative training" else 2)


def test_without_iterating_one_iteration_takes_all_prompts() -> None:
    found = {one.name: one for one in variants(3, 50)}
    assert found["no iterative training"].data == {"prompts": 150}
    assert "no iterative training" not in {one.name for one in variants(1, 50)}


def test_variant_has_the_metrics_of_its_last_version() -> None:
    benchmark = Benchmark("llmbar", Data(Path("x.jsonl"), [], "d"), Role.REFINER, None, {})
    metrics = {version: Metric("accuracy", version / 10, 0.0, 1.0, 9) for version in (0, 4)}
    runs = {version: ran(metric) for version, metric in metrics.items()}
    table = variant_table(benchmark, Measured(runs, {4: 0.25}), {"start": 0, "whole": 4})
    assert table.title == "llmbar: the refiner of each variant"
    assert [row["version"] for row in table.rows] == ["refiner@0", "refiner@4"]
    assert [row["accuracy"] for row in table.rows] == [metrics[0], metrics[4]]
    assert [row["p"] for row in table.rows] == [None, 0.25]


def ran(metric: Metric) -> RunReport:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return RunReport(
        "id", None, plan_of(), [], 0, 0.0, Findings([metric]), began, began, "1", "spar"
    )
