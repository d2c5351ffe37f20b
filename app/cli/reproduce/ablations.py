"""Tables 4 and 5: self-play without one of its parts, from the same checkpoints each time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.api.admin.schemas import IterationIn, IterationOut, ServingOut
from app.cli.admin import Admin
from app.cli.console import say
from app.cli.iterating import follow_to_end, parse_overrides
from app.cli.iterating import request as iteration_request
from app.cli.reproduce.facts import facts
from app.cli.reproduce.lab import Lab
from app.cli.reproduce.runs import measure
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import Policy
from app.domain.presets import options_for
from app.errors import ConfigurationError
from app.evaluation.reproduce.ablations import (
    Variant,
    ablations_report,
    variant_table,
    variants,
)
from app.evaluation.reproduce.journal import Journal
from app.evaluation.reproduce.report import Report, Table
from app.evaluation.reproduce.versions import Benchmark

BEFORE = "served before"
"""The journal's row of the versions that served when the command was first given."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: iterations of a preset, `overrides` like those of `spar iterate --set`."""

    preset: str
    iterations: int
    overrides: tuple[str, ...]
    start: Versions
    names: tuple[str, ...] = ()


async def ablations(lab: Lab, plan: Plan, benchmarks: Sequence[Benchmark]) -> Report:
    """Make every variant's iterations that are not made yet, and measure what came of them."""
    end = _play_all(lab, plan)
    tables = [await _table(lab, benchmark, plan.start, end) for benchmark in benchmarks]
    about = facts(
        lab.wanted,
        preset=plan.preset,
        options=" ".join(plan.overrides) or "the preset's",
        iterations=plan.iterations,
        start=f"actor@{plan.start.actor}, refiner@{plan.start.refiner}",
    )
    return ablations_report(tables, about)


def _play_all(lab: Lab, plan: Plan) -> Mapping[str, Versions]:
    """The versions that each variant ends with; what served at first serves again afterwards."""
    journal = lab.journal(
        {
            "preset": plan.preset,
            "overrides": plan.overrides,
            "start": [plan.start.actor, plan.start.refiner],
            "iterations": plan.iterations,
        }
    )
    wanted = [
        one
        for one in variants(plan.iterations, _prompts(plan))
        if not plan.names or one.name in plan.names
    ]
    with Admin(lab.server.url) as admin:
        if BEFORE not in journal.rows:
            journal.add(BEFORE, asdict(_serving(admin)))
        end = {one.name: _play(admin, journal, plan, one, lab.wanted.seed) for one in wanted}
        # Not after an error: an iteration may wait to begin with what serves now.
        _serve(admin, Versions(**journal.rows[BEFORE]))
    return end


def _play(admin: Admin, journal: Journal, plan: Plan, variant: Variant, seed: int) -> Versions:
    """Run a variant's iterations; one that is under way is followed, one that ended is read."""
    versions = plan.start
    for number in range(variant.iterations):
        key = f"{variant.name}/{number}"
        if key not in journal.rows:
            _serve(admin, versions)
            queued = admin.read(IterationOut, admin.queue(_request(plan, variant.data, seed)))
            journal.add(key, {"iteration": queued.id})
        iteration = journal.rows[key]["iteration"]
        say(f"{variant.name}: iteration {number + 1} of {variant.iterations}")
        follow_to_end(admin, iteration, as_json=False)
        ended = admin.read(IterationOut, admin.iteration(iteration))
        for trained in ended.checkpoints:
            versions = versions.with_version(trained.role, trained.version)
    return versions


def _request(plan: Plan, data: Mapping[str, Any], seed: int) -> IterationIn:
    changed = [f"data.{name}={json.dumps(value)}" for name, value in data.items()]
    return iteration_request(
        preset=plan.preset,
        promote=Policy.ALWAYS,
        overrides=[*plan.overrides, *changed],
        seed=seed,
    )


def _prompts(plan: Plan) -> int:
    """Prompts of an iteration. Raises `ConfigurationError` for options that there are not."""
    try:
        return options_for(plan.preset, parse_overrides(list(plan.overrides))).data.prompts
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _serving(admin: Admin) -> Versions:
    promoted = admin.read(ServingOut, admin.serving()).promoted
    return Versions(promoted.actor, promoted.refiner)


def _serve(admin: Admin, wanted: Versions) -> None:
    """Have these versions served, so that the next iteration starts from them."""
    now = _serving(admin)
    for role in Role:
        if now.of(role) != wanted.of(role):
            admin.promote(role, wanted.of(role))


async def _table(
    lab: Lab, benchmark: Benchmark, start: Versions, end: Mapping[str, Versions]
) -> Table:
    role = benchmark.role
    by_variant = {"start": start.of(role)} | {name: one.of(role) for name, one in end.items()}
    measured = await measure(lab, benchmark, list(dict.fromkeys(by_variant.values())))
    return variant_table(benchmark, measured, by_variant)
