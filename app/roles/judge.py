"""The judge: votes sampled from the refiner, and the constraint checkers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from app.domain.judgment import ConstraintResult, Judgment, QuickVerdict, Vote
from app.domain.prompt import Message, Prompt
from app.domain.search import QuickVerdictRule, Sampling, derive_seed
from app.engine.base import CallContext, Engine
from app.errors import EngineError
from app.roles.templates import NOT_THE_REQUEST, fill, repeats_request, transcript
from app.roles.votes import (
    NO,
    YES,
    collect_until_decided,
    collect_votes,
    sample_verdict,
    yes_probability,
)

VERDICT_LINE = "\n\nVerdict:"
ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1)


class ConstraintChecker(Protocol):
    """Interface of `app.constraints.checker.Checker` that the judge uses."""

    async def check(self, prompt: Prompt, response: str) -> tuple[ConstraintResult, ...]:
        """The result of every constraint of the prompt."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How one judgment is made.

    votes: the most votes of one round.
    accept_threshold: accepted means a share of yes votes above this (0..1).
    early_stop: skip votes that cannot change whether the response is accepted.
    seed: makes critiques and verdicts reproducible; None for random ones.
    quick_verdict: skip all votes where a program or a clear P(yes) decides; None: always vote.
    ties: how often a tied round is voted on again.
    """

    votes: int
    accept_threshold: float
    early_stop: bool
    seed: int | None = None
    quick_verdict: QuickVerdictRule | None = None
    ties: int = 3


def judge_messages(prompt: Prompt, response: str) -> tuple[Message, ...]:
    """The judge's prompt."""
    text = fill("judge", instruction=transcript(prompt), response=response)
    return (Message("user", text),)


def lacks_critique(judgment: Judgment, quick_verdict: QuickVerdictRule) -> bool:
    """Whether a critique has to be written before the response can be rewritten.

    Votes bring critiques. The message of a failed constraint is one, unless the rule's `critiques`
    requires a critique by the judge as well.
    """
    if judgment.votes or judgment.late_critique is not None:
        return False
    return not judgment.failures or quick_verdict.critiques


class Judge:
    """Judges responses with the refiner's votes and the constraint checkers."""

    def __init__(
        self,
        engine: Engine,
        checker: ConstraintChecker,
        *,
        temperature: float,
        critique_tokens: int,
    ) -> None:
        self._engine = engine
        self._checker = checker
        self._temperature = temperature
        self._critique_tokens = critique_tokens

    async def judge(
        self,
        prompt: Prompt,
        response: str,
        options: JudgeOptions,
        context: CallContext,
        *,
        on_vote: Callable[[], None] = lambda: None,
    ) -> Judgment:
        """Check the constraints, take the quick verdict if requested, collect the votes.

        A response that repeats the request to rewrite it is never accepted. A response that fails
        a constraint is rejected whatever the votes say: with early stop it gets a single vote, for
        its critique, and with a quick verdict none. `on_vote` is called for every finished vote,
        those of a tied round included.

        Raises:
            SparError: what the engine's `complete` and `score` raise.
        """
        constraints = await self._checker.check(prompt, response)
        if repeats_request(prompt.instruction, response):
            constraints = (*constraints, NOT_THE_REQUEST)
        failed = not all(result.satisfied for result in constraints)
        if failed and options.quick_verdict is not None:
            return Judgment((), constraints, options.accept_threshold)
        question = judge_messages(prompt, response)
        quick: QuickVerdict | None = None
        if options.quick_verdict is not None:
            probability = await self._yes_probability(question, "", context)
            quick = QuickVerdict(probability, options.quick_verdict.verdict(probability))
            if quick.verdict is not None:
                return Judgment((), constraints, options.accept_threshold, quick)

        async def cast(attempt: int, position: int) -> Vote:
            """A sampled critique, then a verdict drawn from P(yes) after it."""
            critique = await self._critique(question, options, context, attempt, position)
            probability = await self._yes_probability(question, critique, context)
            seed = derive_seed(options.seed, "verdict", attempt, position)
            verdict = sample_verdict(probability, self._temperature, seed)
            on_vote()
            return Vote(verdict, probability, critique)

        votes = await _untied_votes(cast, options, failed=failed)
        return Judgment(votes, constraints, options.accept_threshold, quick)

    async def explain(
        self,
        prompt: Prompt,
        response: str,
        judgment: Judgment,
        options: JudgeOptions,
        context: CallContext,
    ) -> Judgment:
        """The judgment with a late critique where a rewrite needs one; the verdict stays.

        Raises:
            SparError: what `Engine.complete` raises.
        """
        if options.quick_verdict is None or not lacks_critique(judgment, options.quick_verdict):
            return judgment
        critique = await self._critique(judge_messages(prompt, response), options, context, 0, 0)
        return replace(judgment, late_critique=critique)

    async def _critique(
        self,
        question: tuple[Message, ...],
        options: JudgeOptions,
        context: CallContext,
        attempt: int,
        position: int,
    ) -> str:
        sampling = Sampling(
            temperature=self._temperature,
            top_p=1.0,
            max_tokens=self._critique_tokens,
            seed=derive_seed(options.seed, "critique", attempt, position),
            stop=("Verdict:",),
        )
        call = context.call(question, sampling)
        return (await self._engine.complete(call, context.on_delta)).text.strip()

    async def _yes_probability(
        self, question: tuple[Message, ...], critique: str, context: CallContext
    ) -> float:
        """P(yes) of the token after a prefilled verdict line, below the critique if any."""
        prefilled = (*question, Message("assistant", (critique + VERDICT_LINE).lstrip()))
        call = context.call(prefilled, ONE_TOKEN)
        scores = await self._engine.score(call, (*YES, *NO), context.on_delta)
        probability = yes_probability(scores)
        if probability is None:
            raise EngineError(
                "the model's vocabulary has no single token for yes and for no, so it cannot judge"
                " here: serve another model"
            )
        return probability


async def _untied_votes(
    cast: Callable[[int, int], Coroutine[Any, Any, Vote]], options: JudgeOptions, *, failed: bool
) -> tuple[Vote, ...]:
    """The votes of the first round without a tie, or of the last of `1 + ties` rounds.

    cast: casts the vote of a round and a position.
    failed: the response fails a constraint.
    """
    votes: tuple[Vote, ...] = ()
    for attempt in range(1 + options.ties):
        of_round = partial(cast, attempt)
        if not options.early_stop:
            votes = await collect_votes(of_round, options.votes)
        elif failed:
            votes = await collect_votes(of_round, 1)
        else:
            votes = await collect_until_decided(of_round, options.votes, options.accept_threshold)
        if 2 * sum(vote.verdict for vote in votes) != len(votes):
            break
    return votes
