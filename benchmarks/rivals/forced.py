"""Equal work, or as many tokens: every text at its full length, every verdict a no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.context import Context
from benchmarks.measure import Spread, alternate
from benchmarks.report import Row, Target
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.contenders import Contender
from benchmarks.rivals.contest import Contest, Run, lengths, opened
from benchmarks.rivals.questions import long_questions

LOADS = (1, 8, 32)
RAW = "raw engine"


@dataclass(frozen=True, slots=True)
class Forced:
    """Ours against others that generate exactly as many tokens per answer.

    targets: by load, how many times the others' seconds should be ours.
    """

    ours: Contender
    others: Sequence[Contender]
    targets: Mapping[int, float] = field(default_factory=dict)

    def expected_tokens(self, context: Context) -> float:
        """Every contender and the bare engine, every load, every round."""
        loads = context.loads(*LOADS)
        tokens = lengths(context)
        answers = sum(each.tokens(*tokens) for each in self._all) * sum(loads)
        raw = raw_load(context) * tokens[0] * len(loads)
        return context.rounds * (answers + raw)

    async def run(self, context: Context) -> list[Row]:
        """One server for all loads."""
        rows: list[Row] = []
        if not context.loads(*LOADS):
            return rows
        with ending_in_order():
            async with opened(context, self._all) as contest:
                for load in context.loads(*LOADS):
                    rows += await self._compare(context, contest, load)
        return rows

    async def _compare(self, context: Context, contest: Contest, load: int) -> list[Row]:
        questions = long_questions(load)
        contenders = {
            each.name: partial(contest.forced, each, questions, load) for each in self._all
        }
        bare = {RAW: partial(contest.raw, raw_load(context))}
        runs = await alternate(bare | contenders, context.rounds)
        return rows_of(self.ours.name, runs, load, self.targets.get(load))

    @property
    def _all(self) -> list[Contender]:
        return [self.ours, *self.others]


def rows_of(
    ours: str, runs: Mapping[str, Sequence[Run]], load: int, target: float | None
) -> list[Row]:
    """What one load's runs of the contenders and of the bare engine say, paired by round."""
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
            Row(f"wait, {name}", load, waits, "s", detail=detail),
            Row(f"tokens/s, {name} / {RAW}", load, rates),
            Row(f"cache hits, {name}", load, hits, "share"),
        ]
    return [*rows, Row(f"tokens/s, {RAW}", load, Spread.of(raw), "tokens/s")]


def raw_load(context: Context) -> int:
    """As many responses at once as the engine decodes."""
    return context.settings.max_num_seqs
