"""The same decisions for less: the same responses judged in full, in part, and at quick verdict.

In full means that every vote is cast. What a rejected response costs later, when a rewrite needs
a critique, is not in these figures; it is in those of `early_stop`, where whole searches are run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from app.domain.prompt import Prompt
from app.domain.search import QuickVerdictRule, SearchOptions
from app.roles.judge import JudgeCall
from benchmarks.calibrate import Judged, calibrate, held_out, outcome
from benchmarks.context import Context
from benchmarks.judging import AT_ONCE, Judging, Pass, Response
from benchmarks.local import started
from benchmarks.measure import Spread, alternate
from benchmarks.report import Row, Target
from worker.prompts.catalog import all_seeds
from worker.prompts.generator import generate

WANTED_AGREEMENT = 0.98
AGREES, CHEAP = Target(WANTED_AGREEMENT), Target(0.4, at_least=False)
ALWAYS_DECIDES = QuickVerdictRule(0.5, 0.5)

Item = TypeVar("Item")
Passes = Mapping[str, Sequence[Pass]]
"""The rounds of every way of judging: `full`, `early stop` and `quick verdict`."""


class Decisions:
    """Judges responses to these prompts; without any, to generated ones."""

    def __init__(self, prompts: Sequence[Prompt] = ()) -> None:
        self._prompts = prompts

    def expected_tokens(self, context: Context) -> float:
        """The responses, full passes, and passes that stop early."""
        prompts, each, length = _sizes(context)
        full = SearchOptions().votes * context.settings.critique_tokens
        return prompts * each * (length + (2 * context.rounds + 1) * full)

    async def run(self, context: Context) -> list[Row]:
        """In this process, on one engine."""
        count, each, length = _sizes(context)
        prompts = spread(self._prompts, count) if self._prompts else default_prompts(count)
        context.advance("starting the engine", 0)
        async with started(context.settings, context.model) as local:
            roles = local.roles(local.engine, context.settings.critique_tokens)
            judging = Judging(context, roles, local.forget)
            responses = await judging.respond(prompts, each, length)
            return await compare(context, judging, responses)


async def compare(context: Context, judging: Judging, responses: Sequence[Response]) -> list[Row]:
    """The figures of every way of judging these responses."""
    options, look = SearchOptions(), context.settings.quick_verdict
    full = JudgeCall("refiner@0", options.votes, options.accept_threshold, early_stop=False, seed=0)
    stopping = replace(full, early_stop=True)
    ways = {
        "full": full,
        "early stop": stopping,
        "quick verdict": replace(stopping, quick_verdict=look),
    }
    passes = await alternate(
        {name: partial(judging.judge, name, responses, how) for name, how in ways.items()},
        context.rounds,
    )
    other = await judging.judge("full, another seed", responses, replace(full, seed=1))
    looked = await judging.judge(
        "first looks alone", responses, replace(full, quick_verdict=ALWAYS_DECIDES)
    )
    judged = judged_in_every_way(passes["full"][0], passes["early stop"][0], looked)
    return [
        *_measured(passes, _groups(responses)),
        _row("agreement, full / full with another seed", [agreement(passes["full"][0], other)]),
        *calibrated(judged),
    ]


def _measured(passes: Passes, groups: Mapping[str, Sequence[int]]) -> list[Row]:
    """Tokens, time and agreement of the cheaper ways, against the full procedure."""
    rows = []
    full = passes["full"]
    for name in ("early stop", "quick verdict"):
        cheaper = passes[name]
        pairs = list(zip(cheaper, full, strict=True))
        for group, some in groups.items():
            costs = [_tokens(one, some) / _tokens(whole, some) for one, whole in pairs]
            equal = [agreement(one, whole, some) for one, whole in pairs]
            targets = (CHEAP, AGREES) if (name, group) == ("quick verdict", "all") else (None, None)
            rows.append(_row(f"tokens, {name} / full, {group}", costs, targets[0]))
            rows.append(_row(f"agreement, {name}, {group}", equal, targets[1]))
        times = [one.seconds / whole.seconds for one, whole in pairs]
        rows.append(_row(f"time, {name} / full", times))
    return rows


def calibrated(judged: Sequence[Judged]) -> list[Row]:
    """The cheapest thresholds that agree often enough, and what they do on held-out halves."""
    look = calibrate(judged, WANTED_AGREEMENT)
    seen, unseen = outcome(judged, look), held_out(judged, WANTED_AGREEMENT)
    detail = {
        "low": look.low,
        "high": look.high,
        "quick_verdicts": sorted(one.looked for one in judged if one.looked is not None),
    }
    return [
        _row("calibrated: SPAR_QUICK_VERDICT_LOW", [look.low], unit="P(yes)", detail=detail),
        _row("calibrated: SPAR_QUICK_VERDICT_HIGH", [look.high], unit="P(yes)"),
        _row("calibrated, same responses: tokens / full", [seen.cost]),
        _row("calibrated, same responses: agreement", [seen.agreement]),
        _row("calibrated, held-out halves: tokens / full", [unseen.cost], CHEAP),
        _row("calibrated, held-out halves: agreement", [unseen.agreement], AGREES),
    ]


def judged_in_every_way(full: Pass, voted: Pass, looked: Pass) -> list[Judged]:
    """What calibration needs, from three passes over the same responses."""
    rows = zip(
        full.judgments, full.tokens, voted.judgments, voted.tokens, looked.judgments, strict=True
    )
    return [
        Judged(
            accepted=whole.accepted,
            voted=part.accepted,
            looked=look.quick_verdict.probability if look.quick_verdict else None,
            full_tokens=full_tokens,
            voted_tokens=voted_tokens,
        )
        for whole, full_tokens, part, voted_tokens, look in rows
    ]


def agreement(one: Pass, other: Pass, some: Sequence[int] | None = None) -> float:
    """Share of equal verdicts (0..1), among the responses at these positions or all."""
    positions = range(len(one.judgments)) if some is None else some
    equal = [one.judgments[at].accepted is other.judgments[at].accepted for at in positions]
    return sum(equal) / len(equal)


def default_prompts(count: int) -> list[Prompt]:
    """Instructions of self-play: half with generated constraints, half as they are."""
    half = count // 2
    plain = [Prompt.from_text(seed.text) for seed in spread(all_seeds(), count - half)]
    return [*(made.prompt for made in generate(half, seed=0)), *plain]


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of them, evenly spread."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _sizes(context: Context) -> tuple[int, int, int]:
    """Prompts, responses to each, and tokens of a response."""
    return (16, 2, 64) if context.quick else (40, 3, 128)


def _groups(responses: Sequence[Response]) -> dict[str, list[int]]:
    """Positions of the responses, by whether a program checks anything about them."""
    everything = list(range(len(responses)))
    checked = [at for at in everything if responses[at].prompt.constraints]
    free = [at for at in everything if not responses[at].prompt.constraints]
    groups = {"all": everything, "with constraints": checked, "without constraints": free}
    return {name: some for name, some in groups.items() if some}


def _tokens(one: Pass, some: Sequence[int]) -> int:
    return sum(one.tokens[at] for at in some)


def _row(
    name: str,
    values: Sequence[float],
    target: Target | None = None,
    unit: str = "x",
    detail: Mapping[str, Any] | None = None,
) -> Row:
    return Row(name, AT_ONCE, Spread.of(values), unit, target, detail or {})
