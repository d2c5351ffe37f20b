"""What an accepted answer costs: nothing is forced, and a program decides what is accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from app.constraints.checker import Checker
from benchmarks.context import Context
from benchmarks.measure import Spread, alternate
from benchmarks.report import Row
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.clients.protocol import Answer, Question
from benchmarks.rivals.contenders import FREE, SEQUENTIAL, Contender
from benchmarks.rivals.contest import Contest, Run, opened
from benchmarks.rivals.questions import checkable_questions, prompt_of

LOADS = (8,)
QUESTIONS, QUICK_QUESTIONS = 16, 2
EXPECTED_TOKENS = 2500
"""Of an answer, roughly, over all contenders."""


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

    def expected_tokens(self, context: Context) -> float:
        """Every contender's answers in every round, roughly."""
        answers = len(_questions(context)) * len(context.loads(*LOADS)) * context.rounds
        return answers * len(self._contenders) * EXPECTED_TOKENS

    async def run(self, context: Context) -> list[Row]:
        """One server for all; the answers are checked in this process."""
        rows: list[Row] = []
        if not context.loads(*LOADS):
            return rows
        checker = Checker(context.settings.check_processes, context.settings.check_seconds)
        with ending_in_order():
            try:
                await checker.start()
                async with opened(context, self._contenders) as contest:
                    for load in context.loads(*LOADS):
                        rows += rows_of(await self._judged(context, contest, checker, load), load)
            finally:
                await checker.close()
        return rows

    async def _judged(
        self, context: Context, contest: Contest, checker: Checker, load: int
    ) -> Mapping[str, list[Judged]]:
        questions = _questions(context)

        async def answer(contender: Contender) -> Judged:
            run = await contest.free(contender, questions, load)
            context.advance("", len(questions) * EXPECTED_TOKENS)
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


def rows_of(runs: Mapping[str, Sequence[Judged]], load: int) -> list[Row]:
    """What the runs say. Without an accepted answer in some round there is no cost of one."""
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
