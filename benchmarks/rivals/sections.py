"""Equal work, or as many tokens: every text at its full length, every verdict a no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from app.constraints.checker import Checker
from benchmarks.measure import Context, Row, Section, Spread, Target, alternate
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.clients.protocol import Answer, Question
from benchmarks.rivals.contenders import (
    FREE,
    ITS_HUB,
    OPTILLM,
    OUR_BEST,
    OUR_TREE,
    SEQUENTIAL,
    Contender,
    checkable_questions,
    long_questions,
    prompt_of,
)
from benchmarks.rivals.contest import Contest, Run, opened

FORCED_LOADS = (1, 8, 32)
RAW = "raw engine"


@dataclass(frozen=True, slots=True)
class Forced:
    """Ours against others that generate exactly as many tokens per answer.

    targets: by load, how many times the others' seconds should be ours.
    """

    ours: Contender
    others: Sequence[Contender]
    targets: Mapping[int, float] = field(default_factory=dict)

    async def run(self, context: Context) -> list[Row]:
        """One server for all loads."""
        rows: list[Row] = []
        if not context.loads(*FORCED_LOADS):
            return rows
        with ending_in_order():
            async with opened(context, self._all) as contest:
                for load in context.loads(*FORCED_LOADS):
                    rows += await self._compare(context, contest, load)
        return rows

    async def _compare(self, context: Context, contest: Contest, load: int) -> list[Row]:
        questions = long_questions(load)
        contenders = {
            each.name: partial(contest.forced, each, questions, load) for each in self._all
        }
        bare = {RAW: partial(contest.raw, raw_load(context))}
        runs = await alternate(bare | contenders, context.rounds)
        return forced_rows(self.ours.name, runs, load, self.targets.get(load))

    @property
    def _all(self) -> list[Contender]:
        return [self.ours, *self.others]


def forced_rows(
    ours: str, runs: Mapping[str, Sequence[Run]], load: int, target: float | None
) -> list[Row]:
    """The rows of one load's runs of the contenders and of the bare engine, paired by round."""
    raw = [run.rate for run in runs[RAW]]
    contenders = {name: found for name, found in runs.items() if name != RAW}
    rows = [
        Row(
            f"time per token, {name} / {ours}",
            load,
            Spread.of_ratios([run.rate for run in contenders[ours]], [run.rate for run in found]),
            target=None if target is None else Target(target),
        )
        for name, found in contenders.items()
        if name != ours
    ]
    for name, found in contenders.items():
        waits = Spread.of(run.seconds_per_answer for run in found)
        rates = Spread.of_ratios([run.rate for run in found], raw)
        hits = Spread.of(run.tally.hit_rate for run in found)
        detail = {"runs": [run.detail for run in found]}
        rows += [
            Row(f"latency, {name}", load, waits, "s", detail=detail),
            Row(f"tokens/s, {name} / {RAW}", load, rates),
            Row(f"cache hits, {name}", load, hits, "share"),
        ]
    return [*rows, Row(f"tokens/s, {RAW}", load, Spread.of(raw), "tokens/s")]


def raw_load(context: Context) -> int:
    """As many responses at once as the engine decodes."""
    return context.settings.max_num_seqs


FREE_LOADS = (8,)
QUESTIONS, QUICK_QUESTIONS = 16, 2


@dataclass(frozen=True, slots=True)
class Judged:
    """A run, and how many of its answers meet what the questions require."""

    run: Run
    accepted: int

    @property
    def share(self) -> float:
        """Share of accepted answers (0..1)."""
        return self.accepted / len(self.run.answers)

    @property
    def tokens(self) -> int:
        """All generated tokens, verdicts included."""
        return self.run.tally.generated


class Accepted:
    """Every contender with its own limits and its own end, on questions with requirements."""

    def __init__(self, contenders: Sequence[Contender] = FREE) -> None:
        self._contenders = contenders

    async def run(self, context: Context) -> list[Row]:
        """One server for all; the answers are checked in this process."""
        rows: list[Row] = []
        if not context.loads(*FREE_LOADS):
            return rows
        checker = Checker(context.settings.check_processes, context.settings.check_seconds)
        with ending_in_order():
            try:
                await checker.start()
                async with opened(context, self._contenders) as contest:
                    for load in context.loads(*FREE_LOADS):
                        rows += accepted_rows(
                            await self._judged(context, contest, checker, load), load
                        )
            finally:
                await checker.close()
        return rows

    async def _judged(
        self, context: Context, contest: Contest, checker: Checker, load: int
    ) -> Mapping[str, list[Judged]]:
        questions = _questions(context)

        async def answer(contender: Contender) -> Judged:
            run = await contest.free(contender, questions, load)
            return Judged(run, await count_accepted(checker, questions, run.answers))

        contenders = {each.name: partial(answer, each) for each in self._contenders}
        return await alternate(contenders, context.rounds)


async def count_accepted(
    checker: Checker, questions: Sequence[Question], answers: Sequence[Answer]
) -> int:
    """How many answers meet every requirement of their questions."""
    accepted = 0
    for question, answer in zip(questions, answers, strict=True):
        results = await checker.check(prompt_of(question), answer.text)
        accepted += all(result.satisfied for result in results)
    return accepted


def accepted_rows(runs: Mapping[str, Sequence[Judged]], load: int) -> list[Row]:
    """The rows of the runs. A round without an accepted answer has no cost of one."""
    rows = []
    for name, found in runs.items():
        detail = {
            "accepted": [each.accepted for each in found],
            "runs": [each.run.detail for each in found],
        }
        shares = Spread.of(each.share for each in found)
        rows.append(Row(f"accepted answers, {name}", load, shares, "share", detail=detail))
        if all(each.accepted for each in found):
            costs = Spread.of(each.tokens / each.accepted for each in found)
            rows.append(Row(f"tokens per accepted answer, {name}", load, costs, "tokens"))
    theirs = runs.get(SEQUENTIAL.name, ())
    for name, found in runs.items() if theirs else ():
        if name != SEQUENTIAL.name:
            times = Spread.of_ratios(
                [each.run.seconds for each in theirs], [each.run.seconds for each in found]
            )
            tokens = Spread.of_ratios([e.tokens for e in found], [e.tokens for e in theirs])
            rows += [
                Row(f"time, {SEQUENTIAL.name} / {name}", load, times),
                Row(f"tokens, {name} / {SEQUENTIAL.name}", load, tokens),
            ]
    return rows


def _questions(context: Context) -> list[Question]:
    return checkable_questions(QUICK_QUESTIONS if context.quick else QUESTIONS)


class Part(StrEnum):
    """What can be measured by itself."""

    TREE = "tree"
    BEST_OF = "best_of"
    ACCEPTED = "accepted"


PARTS: dict[Part, tuple[str, Section]] = {
    Part.TREE: (
        "A whole tree of 15 nodes and 75 votes, forced",
        Forced(OUR_TREE, [SEQUENTIAL], {1: 3.0}),
    ),
    Part.BEST_OF: (
        "The best of 8 judged answers, forced",
        Forced(OUR_BEST, [ITS_HUB, OPTILLM], {1: 1.0, 32: 1.0}),
    ),
    Part.ACCEPTED: ("Answers to requirements that a program checks, free", Accepted()),
}
