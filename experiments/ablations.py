"""Self-play without one of its parts (Tables 4 and 5), from the same checkpoints each time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.api.admin.schemas import IterationIn, IterationOut, ServingOut
from app.cli.admin import Admin
from app.cli.console import say
from app.cli.iterations import follow_to_end, iteration_request, parse_overrides
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import Policy, options_for
from app.domain.search import Mode
from app.errors import ConfigurationError
from experiments.context import Context, Journal
from experiments.report import Cell, Report, Table
from experiments.versions import Benchmark, Measured, measure

BEFORE = "served before"
"""The journal's key of the versions that were served when the experiment started."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A number of iterations, one after the other; `data` replaces options of theirs."""

    name: str
    iterations: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Iterations of a preset, with `overrides` like those of `spar iterate --set`.

    iterations: of each variant. start: the versions from which every variant starts. names: of the
    variants to run; all where empty.
    """

    preset: str
    iterations: int
    overrides: tuple[str, ...]
    start: Versions
    names: tuple[str, ...] = ()


def variants(iterations: int, prompts: int) -> tuple[Variant, ...]:
    """The whole procedure, and variants that each leave out one part.

    prompts: of each iteration. Without iterative training, the prompts of all iterations are used
    in one iteration; where there is only one anyway, that variant is left out.
    """
    once = Variant("no iterative training", 1, {"prompts": iterations * prompts})
    return (
        Variant("whole", iterations, {}),
        Variant("no tree search", iterations, {"mode": Mode.GREEDY.value}),
        *((once,) if iterations > 1 else ()),
        Variant("no refinement", iterations, {"refine": False, "on_policy_pairs": 1}),
    )


async def ablations_experiment(
    context: Context, plan: Plan, benchmarks: Sequence[Benchmark]
) -> Report:
    """Run every variant's iterations that are not finished yet, and measure the results."""
    end = _run_all(context, plan)
    return Report(
        name="ablations",
        title="Self-play without one of its parts",
        shows="SPaR's Tables 4 and 5: no tree search, no iterative training, no refinement.",
        facts=context.options.facts(
            preset=plan.preset,
            options=" ".join(plan.overrides) or "the preset's",
            iterations=plan.iterations,
            start=f"actor@{plan.start.actor}, refiner@{plan.start.refiner}",
        ),
        tables=[await _table(context, benchmark, plan.start, end) for benchmark in benchmarks],
        notes=[
            "Every variant starts from the same checkpoints, and each of its iterations is promoted"
            " whatever its evaluation says. Without tree search a rejected response is rewritten"
            " once. Without refinement the actor learns from its own accepted and rejected"
            " responses.",
            "An iteration takes the least used prompts, so the variants use prompts of the same"
            " kind, not the same prompts.",
        ],
    )


def variant_table(benchmark: Benchmark, measured: Measured, versions: Mapping[str, int]) -> Table:
    """A row for each variant. versions: the last version of the benchmark's role, by variant."""
    rows: list[dict[str, Cell]] = []
    for name, version in versions.items():
        metrics = {one: measured.metric(version, one) for one in benchmark.shown}
        trained = f"{benchmark.role}@{version}"
        rows.append({"variant": name, "version": trained, **metrics, "p": measured.p.get(version)})
    return Table(f"{benchmark.suite}: the {benchmark.role} of each variant", rows)


def _run_all(context: Context, plan: Plan) -> Mapping[str, Versions]:
    """The last versions of each variant; afterwards the versions served before are restored."""
    journal = context.journal(
        {
            "preset": plan.preset,
            "overrides": plan.overrides,
            "start": [plan.start.actor, plan.start.refiner],
            "iterations": plan.iterations,
        }
    )
    selected = [
        one
        for one in variants(plan.iterations, _prompts(plan))
        if not plan.names or one.name in plan.names
    ]
    with Admin(context.server.url) as admin:
        if BEFORE not in journal.rows:
            journal.add(BEFORE, asdict(_serving(admin)))
        end = {one.name: _run(admin, journal, plan, one, context.options.seed) for one in selected}
        # Not after an error: a queued iteration may start from the versions served now.
        _serve(admin, Versions(**journal.rows[BEFORE]))
    return end


def _run(admin: Admin, journal: Journal, plan: Plan, variant: Variant, seed: int) -> Versions:
    """Run a variant's iterations; those in the journal are followed to their end, not repeated."""
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
    """Prompts of an iteration. Raises `ConfigurationError` for an unknown preset or option."""
    try:
        return options_for(plan.preset, parse_overrides(list(plan.overrides))).data.prompts
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _serving(admin: Admin) -> Versions:
    promoted = admin.read(ServingOut, admin.serving()).promoted
    return Versions(promoted.actor, promoted.refiner)


def _serve(admin: Admin, wanted: Versions) -> None:
    """Promote these versions, so that the next iteration starts from them."""
    now = _serving(admin)
    for role in Role:
        if now.of(role) != wanted.of(role):
            admin.promote(role, wanted.of(role))


async def _table(
    context: Context, benchmark: Benchmark, start: Versions, end: Mapping[str, Versions]
) -> Table:
    role = benchmark.role
    by_variant = {"start": start.of(role)} | {name: one.of(role) for name, one in end.items()}
    measured = await measure(context, benchmark, list(dict.fromkeys(by_variant.values())))
    return variant_table(benchmark, measured, by_variant)
