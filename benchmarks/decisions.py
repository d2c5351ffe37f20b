"""The cost of judging the same responses by all votes, by early stop, and by quick verdict.

The full procedure casts every vote. The later cost of a rejected response, when a rewrite needs a
critique, is not counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement
from typing import Any, TypeVar

from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import QuickVerdictRule, Sampling, SearchOptions, Usage, derive_seed
from app.engine.base import CallContext, count_into
from app.roles.judge import JudgeOptions
from app.search.run import Roles
from benchmarks.local import started
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, alternate
from worker.prompts.catalog import all_seeds
from worker.prompts.generator import generate

CUTS = 40
"""Most thresholds tried on each side."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One response, judged by every procedure.

    accepted: the verdict of the full procedure, which took `full_tokens`. voted: the verdict of
    votes that stop early, which took `voted_tokens`. quick_probability: P(yes) of the quick
    verdict; None where the checkers had rejected the response already.
    """

    accepted: bool
    voted: bool
    quick_probability: float | None
    full_tokens: int
    voted_tokens: int
    quick_tokens: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """Over some responses: verdicts that agree with the full procedure's, and tokens of both."""

    agreeing: int
    count: int
    tokens: int
    full_tokens: int

    @property
    def agreement(self) -> float:
        """Share of equal verdicts (0..1)."""
        return self.agreeing / self.count

    @property
    def cost(self) -> float:
        """Tokens, divided by those of the full procedure."""
        return self.tokens / self.full_tokens

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.agreeing + other.agreeing,
            self.count + other.count,
            self.tokens + other.tokens,
            self.full_tokens + other.full_tokens,
        )


def outcome(judged: Sequence[Judged], rule: QuickVerdictRule) -> Outcome:
    """The agreement and the cost of judging by these thresholds."""
    verdicts = [_verdict(one, rule) for one in judged]
    return Outcome(
        agreeing=sum(
            one.accepted is verdict for one, (verdict, _) in zip(judged, verdicts, strict=True)
        ),
        count=len(judged),
        tokens=sum(tokens for _, tokens in verdicts),
        full_tokens=sum(one.full_tokens for one in judged),
    )


def calibrate(judged: Sequence[Judged], wanted: float) -> QuickVerdictRule:
    """The cheapest thresholds whose agreement is at least `wanted` (0..1).

    If none reach it, the cheapest of those with the highest agreement.
    """

    def worth(rule: QuickVerdictRule) -> tuple[float, float]:
        found = outcome(judged, rule)
        return (min(found.agreement, wanted), -found.cost)

    return max(_candidates(judged), key=worth)


def held_out(judged: Sequence[Judged], wanted: float) -> Outcome:
    """Thresholds of each half, measured on the other: an estimate for new responses.

    Halves are the even and the odd positions.

    Raises:
        ValueError: There are fewer than two responses.
    """
    if len(judged) < 2:
        raise ValueError("halves need two responses at least")
    even, odd = judged[::2], judged[1::2]
    return outcome(odd, calibrate(even, wanted)) + outcome(even, calibrate(odd, wanted))


def _verdict(one: Judged, rule: QuickVerdictRule) -> tuple[bool, int]:
    """The verdict by these thresholds, and the tokens it takes."""
    if one.quick_probability is None:
        return False, 0
    verdict = rule.verdict(one.quick_probability)
    if verdict is None:
        return one.voted, one.quick_tokens + one.voted_tokens
    return verdict, one.quick_tokens


def _candidates(judged: Sequence[Judged]) -> Iterator[QuickVerdictRule]:
    """Thresholds at the observed values, the widest (which always use the votes) first."""
    seen = sorted({one.quick_probability for one in judged if one.quick_probability is not None})
    step = max(1, len(seen) // CUTS)
    cuts = sorted({0.0, *seen[::step], 1.0})
    pairs = [QuickVerdictRule(low, high) for low, high in combinations_with_replacement(cuts, 2)]
    return iter(sorted(pairs, key=lambda rule: rule.low - rule.high))


Forget = Callable[[], Awaitable[None]]
AT_ONCE = 16
"""Responses written or judged at the same time."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response to judge."""

    prompt: Prompt
    text: str


@dataclass(frozen=True, slots=True)
class Pass:
    """All responses judged in one way, in their order; `tokens` is what each judgment took."""

    seconds: float
    judgments: Sequence[Judgment]
    tokens: Sequence[int]


class Judging:
    """The base model's actor and judge; `forget` empties the engine's prefix cache."""

    def __init__(self, context: Context, roles: Roles, forget: Forget) -> None:
        self._context = context
        self._roles = roles
        self._forget = forget
        self._places = asyncio.Semaphore(AT_ONCE)

    async def respond(
        self, prompts: Sequence[Prompt], each: int, max_tokens: int
    ) -> list[Response]:
        """The sampled responses to every prompt, without empty ones and duplicates."""
        self._context.say("writing the responses")
        wanted = [(prompt, seed) for prompt in prompts for seed in range(each)]
        found = await asyncio.gather(*(self._write(*one, max_tokens) for one in wanted))
        different = {(made.prompt.instruction, made.text): made for made in found if made.text}
        return list(different.values())

    async def judge(self, label: str, responses: Sequence[Response], how: JudgeOptions) -> Pass:
        """Judge all, each with a seed derived from that of `how`."""
        self._context.say(f"judging, {label}")
        await self._forget()
        watch = Stopwatch()
        made = await asyncio.gather(*(self._judge(response, how) for response in responses))
        seconds = watch.seconds
        return Pass(seconds, [judgment for judgment, _ in made], [tokens for _, tokens in made])

    async def _write(self, prompt: Prompt, seed: int, max_tokens: int) -> Response:
        settings = self._context.settings
        sampling = Sampling(
            settings.response_temperature, settings.response_top_p, max_tokens, seed=seed
        )
        async with self._places:
            completion = await self._roles.actor.respond(prompt, sampling, CallContext("actor@0"))
        return Response(prompt, completion.text.strip())

    async def _judge(self, response: Response, how: JudgeOptions) -> tuple[Judgment, int]:
        usage = Usage()
        seed = derive_seed(how.seed, response.prompt.instruction, response.text)
        async with self._places:
            judgment = await self._roles.judge.judge(
                response.prompt,
                response.text,
                replace(how, seed=seed),
                CallContext("refiner@0", on_delta=count_into(usage)),
            )
        return judgment, usage.completion_tokens


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

    async def run(self, context: Context) -> list[Row]:
        """In this process, on one engine."""
        count, each, length = _sizes(context)
        prompts = spread(self._prompts, count) if self._prompts else default_prompts(count)
        context.say("starting the engine")
        async with started(context.settings, context.model) as local:
            roles = local.roles(local.engine, context.settings.critique_tokens)
            judging = Judging(context, roles, local.forget)
            responses = await judging.respond(prompts, each, length)
            return await compare(context, judging, responses)


async def compare(context: Context, judging: Judging, responses: Sequence[Response]) -> list[Row]:
    """The figures of every way of judging these responses."""
    options, rule = SearchOptions(), context.settings.quick_verdict
    full = JudgeOptions(options.votes, options.accept_threshold, early_stop=False, seed=0)
    stopping = replace(full, early_stop=True)
    ways = {
        "full": full,
        "early stop": stopping,
        "quick verdict": replace(stopping, quick_verdict=rule),
    }
    passes = await alternate(
        {name: partial(judging.judge, name, responses, how) for name, how in ways.items()},
        context.rounds,
    )
    other = await judging.judge("full, another seed", responses, replace(full, seed=1))
    quick = await judging.judge(
        "quick verdicts alone", responses, replace(full, quick_verdict=ALWAYS_DECIDES)
    )
    judged = judged_in_every_way(passes["full"][0], passes["early stop"][0], quick)
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
    """The cheapest thresholds of sufficient agreement, and their results on held-out halves."""
    rule = calibrate(judged, WANTED_AGREEMENT)
    seen, unseen = outcome(judged, rule), held_out(judged, WANTED_AGREEMENT)
    detail = {
        "low": rule.low,
        "high": rule.high,
        "quick_verdicts": sorted(
            one.quick_probability for one in judged if one.quick_probability is not None
        ),
    }
    return [
        _row("calibrated: SPAR_QUICK_VERDICT_LOW", [rule.low], unit="P(yes)", detail=detail),
        _row("calibrated: SPAR_QUICK_VERDICT_HIGH", [rule.high], unit="P(yes)"),
        _row("calibrated, same responses: tokens / full", [seen.cost]),
        _row("calibrated, same responses: agreement", [seen.agreement]),
        _row("calibrated, held-out halves: tokens / full", [unseen.cost], CHEAP),
        _row("calibrated, held-out halves: agreement", [unseen.agreement], AGREES),
    ]


def judged_in_every_way(full: Pass, voted: Pass, quick: Pass) -> list[Judged]:
    """The input of the calibration, from three passes over the same responses."""
    rows = zip(
        full.judgments,
        full.tokens,
        voted.judgments,
        voted.tokens,
        quick.judgments,
        strict=True,
    )
    return [
        Judged(
            accepted=whole.accepted,
            voted=part.accepted,
            quick_probability=one.quick_verdict.probability if one.quick_verdict else None,
            full_tokens=full_tokens,
            voted_tokens=voted_tokens,
        )
        for whole, full_tokens, part, voted_tokens, one in rows
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
