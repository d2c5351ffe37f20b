"""The judge: several votes of the refiner, and the checks by program."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from app.domain.judgment import ConstraintResult, Judgment, QuickVerdict, Vote
from app.domain.prompt import Message, Prompt
from app.domain.search import QuickVerdictRule, Sampling, derive_seed
from app.engine.base import Call, Engine, OnDelta, ignore_delta
from app.errors import EngineError
from app.roles.prompt_leak import NOT_THE_REQUEST, repeats_request
from app.roles.templates import fill, transcript
from app.roles.votes import (
    NO,
    YES,
    collect_until_decided,
    collect_votes,
    is_tie,
    sample_verdict,
    yes_probability,
)


def lacks_critique(judgment: Judgment, quick_verdict: QuickVerdictRule) -> bool:
    """Whether a critique has to be written before the rewrite.

    Votes bring critiques, and what a program found is one, unless `critiques` of the rule asks
    for more.
    """
    if judgment.votes or judgment.late_critique is not None:
        return False
    return not judgment.failures or quick_verdict.critiques


VERDICT_LINE = "\n\nVerdict:"
ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1)


class ConstraintChecker(Protocol):
    """What the judge needs of `app.constraints`."""

    async def check(self, prompt: Prompt, response: str) -> tuple[ConstraintResult, ...]:
        """The result of every constraint of the prompt."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """How one judgment is to be made.

    votes: how many at most per round. accept_threshold: accepted means a share of yes above it.
    early_stop: leave out votes that cannot change whether the response is accepted.
    quick_verdict: leave out all votes where a program or a clear P(yes) decides; None: always vote.
    ties: how often votes that tie are cast anew.
    """

    model: str
    votes: int
    accept_threshold: float
    early_stop: bool
    seed: int | None = None
    priority: int = 0
    chunk_tokens: int = 1024
    quick_verdict: QuickVerdictRule | None = None
    ties: int = 3


def judge_messages(prompt: Prompt, response: str) -> tuple[Message, ...]:
    """The question put to the judge; the refiner's dialogue starts with the same words."""
    text = fill("judge", instruction=transcript(prompt), response=response)
    return (Message("user", text),)


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
        how: JudgeCall,
        *,
        on_delta: OnDelta = ignore_delta,
        on_vote: Callable[[], None] = lambda: None,
    ) -> Judgment:
        """Check the constraints, take the quick verdict if one is asked for, collect the votes.

        A response that repeats the request to rewrite is not accepted, whatever the votes say.

        A response that fails a constraint is decided already: with early stop it gets a single
        vote, for its critique, and with a quick verdict none. `on_vote` is called for every vote
        that finished, also one that a new round replaces. Raises the engine's errors.
        """
        constraints = await self._check(prompt, response)
        failed = not all(result.satisfied for result in constraints)
        if failed and how.quick_verdict is not None:
            return Judgment((), constraints, how.accept_threshold)
        question = judge_messages(prompt, response)
        look: QuickVerdict | None = None
        if how.quick_verdict is not None:
            probability = await self._yes_probability(question, "", how, on_delta)
            look = QuickVerdict(probability, how.quick_verdict.verdict(probability))
            if look.verdict is not None:
                return Judgment((), constraints, how.accept_threshold, look)
        cast = partial(self._vote, question, how, on_delta, on_vote)
        votes = await _untied_votes(cast, how, failed=failed)
        return Judgment(votes, constraints, how.accept_threshold, look)

    async def explain(
        self,
        prompt: Prompt,
        response: str,
        judgment: Judgment,
        how: JudgeCall,
        *,
        on_delta: OnDelta = ignore_delta,
    ) -> Judgment:
        """The judgment with a late critique where a rewrite needs one; the verdict stays.

        Raises the engine's errors.
        """
        if how.quick_verdict is None or not lacks_critique(judgment, how.quick_verdict):
            return judgment
        question = judge_messages(prompt, response)
        return replace(judgment, late_critique=await self._critique(question, how, 0, 0, on_delta))

    async def _check(self, prompt: Prompt, response: str) -> tuple[ConstraintResult, ...]:
        """What a program finds, our own check for a repeated request included."""
        results = await self._checker.check(prompt, response)
        if repeats_request(prompt.instruction, response):
            return (*results, NOT_THE_REQUEST)
        return results

    async def _vote(
        self,
        question: tuple[Message, ...],
        how: JudgeCall,
        on_delta: OnDelta,
        on_vote: Callable[[], None],
        attempt: int,
        position: int,
    ) -> Vote:
        """A sampled critique, then a verdict drawn from P(yes) after it."""
        critique = await self._critique(question, how, attempt, position, on_delta)
        probability = await self._yes_probability(question, critique, how, on_delta)
        seed = derive_seed(how.seed, "verdict", attempt, position)
        verdict = sample_verdict(probability, self._temperature, seed)
        on_vote()
        return Vote(verdict, probability, critique)

    async def _critique(
        self,
        question: tuple[Message, ...],
        how: JudgeCall,
        attempt: int,
        position: int,
        on_delta: OnDelta,
    ) -> str:
        sampling = Sampling(
            temperature=self._temperature,
            top_p=1.0,
            max_tokens=self._critique_tokens,
            seed=derive_seed(how.seed, "critique", attempt, position),
            stop=("Verdict:",),
        )
        call = Call(question, how.model, sampling, how.priority, chunk_tokens=how.chunk_tokens)
        return (await self._engine.complete(call, on_delta)).text.strip()

    async def _yes_probability(
        self, question: tuple[Message, ...], critique: str, how: JudgeCall, on_delta: OnDelta
    ) -> float:
        """P(yes) of the token after a verdict line we write for it, below the critique if any."""
        opened = (*question, Message("assistant", (critique + VERDICT_LINE).lstrip()))
        call = Call(opened, how.model, ONE_TOKEN, how.priority)
        probability = yes_probability(await self._engine.score(call, (*YES, *NO), on_delta))
        if probability is None:
            raise EngineError(
                "the model's vocabulary has no single token for yes and for no, so it cannot judge"
                " here: serve another model"
            )
        return probability


async def _untied_votes(
    cast: Callable[[int, int], Coroutine[Any, Any, Vote]], how: JudgeCall, *, failed: bool
) -> tuple[Vote, ...]:
    """The votes; those that tie are cast anew up to `ties` times, and then stay tied.

    `cast` gets the round and the vote's position. `failed`: the response fails a constraint.
    """
    votes: tuple[Vote, ...] = ()
    for attempt in range(1 + how.ties):
        of_round = partial(cast, attempt)
        if not how.early_stop:
            votes = await collect_votes(of_round, how.votes)
        elif failed:
            votes = await collect_votes(of_round, 1)
        else:
            votes = await collect_until_decided(of_round, how.votes, how.accept_threshold)
        yes = sum(vote.verdict for vote in votes)
        if not is_tie(yes, len(votes) - yes):
            break
    return votes
