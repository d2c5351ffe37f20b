"""Evaluate each candidate against its incumbent on the same held-out prompts.

An actor answers greedily: the metrics are the constraints met (strict; a copy of the prompt meets
none) and, on some prompts, the incumbent refiner's votes. A refiner judges the incumbent actor's
answers: the metrics are its agreement with the checkers and, where there is a file of labelled
pairs, how often it prefers the better response.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from app.concurrency import gather_or_cancel
from app.constraints.checker import COPY_ID
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.domain.prompt import Prompt
from app.domain.search import Sampling
from app.evaluation.llmbar import LabelledPair, preference_score, read_pairs
from app.evaluation.statistics import Comparison, RoleReport, compare
from worker.context import ItemResult, IterationContext, Record, StageRun
from worker.stages.prompts import HeldOutPrompt
from worker.stages.train import Candidates

PAIRS = "pairs"

Answers = Sequence[Record]
"""One version's record for every held-out prompt, in their order."""


async def evaluate(
    stage: StageRun, prompts: Sequence[HeldOutPrompt], candidates: Candidates
) -> Mapping[Role, RoleReport]:
    """A report for each trained role, except for full checkpoints.

    Those cannot be served beside their incumbent: an engine holds one set of full weights.
    """
    options = stage.context.options
    candidates = {
        role: version
        for role, version in candidates.items()
        if options.training(role).kind is CheckpointKind.LORA
    }
    if not candidates or not prompts:
        await stage.progress(0, 0)
        return {}
    pairs = await _pairs(stage.context) if Role.REFINER in candidates else []
    results = await _Measurement(stage, prompts, pairs).run(candidates)
    incumbents = stage.context.incumbents

    def of(name: str, count: int) -> Answers:
        return [results[f"{name}:{index}"] for index in range(count)]

    reports: dict[Role, RoleReport] = {}
    for role, version in candidates.items():
        names = (served_name(role, version), incumbents.served_name(role))
        candidate, incumbent = (of(name, len(prompts)) for name in names)
        if role is Role.ACTOR:
            reports[role] = actor_report(candidate, incumbent, prompts)
        else:
            preferences = tuple(of(f"{PAIRS}:{name}", len(pairs)) for name in names)
            reports[role] = refiner_report(candidate, incumbent, *preferences)
        stage.metrics |= _shown(role, reports[role].primary)
    return reports


async def _pairs(context: IterationContext) -> list[LabelledPair]:
    file, limit = context.paths.labelled_pairs, context.options.evaluation.pairs
    return await asyncio.to_thread(read_pairs, file, limit) if file is not None else []


def actor_report(
    candidate: Answers, incumbent: Answers, prompts: Sequence[HeldOutPrompt]
) -> RoleReport:
    """The primary metric is the share of all constraints that are met."""
    everything = range(len(prompts))
    seen = [index for index in everything if not prompts[index].held_out]
    unseen = [index for index in everything if prompts[index].held_out]
    judged = [index for index in everything if incumbent[index]["passed"] is not None]

    def instructions(name: str, some: Sequence[int]) -> Comparison:
        return compare(
            name,
            [candidate[index]["met"] for index in some],
            [incumbent[index]["met"] for index in some],
            [candidate[index]["asked"] for index in some],
        )

    def whole_prompts(name: str, some: Sequence[int]) -> Comparison:
        return compare(name, _all_met(candidate, some), _all_met(incumbent, some))

    others = [whole_prompts("prompts", everything)]
    for name, some in (("seen types", seen), ("held-out types", unseen)):
        if some:
            others.append(instructions(f"constraints, {name}", some))
    if judged:
        others.append(
            compare("judge's pass rate", _passed(candidate, judged), _passed(incumbent, judged))
        )
    return RoleReport(
        Role.ACTOR, instructions("constraints", everything), tuple(others), len(prompts)
    )


def refiner_report(
    candidate: Answers,
    incumbent: Answers,
    candidate_pairs: Answers = (),
    incumbent_pairs: Answers = (),
) -> RoleReport:
    """The primary metric is the agreement with the checkers, both outcomes weighted equally.

    Most answers of a small model fail: unweighted, a refiner that rejects everything would be good.
    """
    truth = [record["satisfied"] for record in incumbent]
    counts = {outcome: truth.count(outcome) for outcome in (True, False)}
    # Each answer weighs as much as there are answers of the other kind.
    weights = [max(1, counts[not outcome]) for outcome in truth]

    def agreement(side: Answers) -> list[float]:
        return [weight * agrees for agrees, weight in zip(_agrees(side), weights, strict=True)]

    primary = compare(
        "balanced agreement with the checkers", agreement(candidate), agreement(incumbent), weights
    )
    plain = compare("agreement with the checkers", _agrees(candidate), _agrees(incumbent))
    others = [plain]
    if candidate_pairs:
        scores = ([pair["score"] for pair in side] for side in (candidate_pairs, incumbent_pairs))
        others.append(compare("labelled pairs", next(scores), next(scores)))
    return RoleReport(Role.REFINER, primary, tuple(others), len(incumbent))


class _Measurement:
    """Makes the records of every version on every prompt."""

    def __init__(
        self, stage: StageRun, prompts: Sequence[HeldOutPrompt], pairs: Sequence[LabelledPair]
    ) -> None:
        self._stage = stage
        self._context = stage.context
        self._prompts = prompts
        self._pairs = pairs
        self._judged = _spread(len(prompts), stage.context.options.evaluation.judged)
        self._answers: Mapping[str, Any] = {}

    async def run(self, candidates: Candidates) -> Mapping[str, Any]:
        """Every record by its key; refiners judge the incumbent actor's answers."""
        names = {role: [self._context.incumbents.served_name(role)] for role in Role}
        for role, version in candidates.items():
            names[role].append(served_name(role, version))
        self._answers = await self._stage.each(
            _keys(names[Role.ACTOR], len(self._prompts)), self._answer
        )
        if Role.REFINER not in candidates:
            return self._answers
        refiners = names[Role.REFINER]
        verdicts = await self._stage.each(_keys(refiners, len(self._prompts)), self._verdict)
        pairs = [f"{PAIRS}:{key}" for key in _keys(refiners, len(self._pairs))]
        return {**self._answers, **verdicts, **await self._stage.each(pairs, self._preference)}

    async def _answer(self, key: str) -> ItemResult:
        """One version's greedy answer to one prompt, checked, and judged on some prompts."""
        name, index = _read_key(key)
        prompt = self._prompts[index].prompt
        sampling = Sampling(0.0, 1.0, self._context.options.evaluation.max_tokens)
        text = await self._context.respond(prompt, actor=name, sampling=sampling)
        results = await self._context.checker.check(prompt, text)
        copied = any(result.id == COPY_ID for result in results)
        met = 0 if copied else sum(result.satisfied for result in results)
        passed = None
        if index in self._judged:
            passed = await self._passes(prompt, text)
        asked = len(prompt.constraints)
        return {"text": text, "asked": asked, "met": met, "passed": passed}, None

    async def _passes(self, prompt: Prompt, text: str) -> bool:
        """Whether the incumbent refiner's votes alone accept an answer."""
        value = await self._value(prompt, text, self._incumbent_refiner, early_stop=True)
        return value > self._context.options.data.accept_threshold

    async def _verdict(self, key: str) -> ItemResult:
        """One version's verdict on the incumbent actor's answer to one prompt."""
        name, index = _read_key(key)
        actor = self._context.incumbents.served_name(Role.ACTOR)
        answer = self._answers[f"{actor}:{index}"]
        value = await self._value(
            self._prompts[index].prompt, answer["text"], name, early_stop=False
        )
        satisfied = answer["met"] == answer["asked"]
        return {"verdict": value > 0.5, "satisfied": satisfied}, None

    async def _preference(self, key: str) -> ItemResult:
        """Whether one version gives the better response of a labelled pair the higher value."""
        name, index = _read_key(key.removeprefix(f"{PAIRS}:"))
        pair = self._pairs[index]
        prompt = Prompt.from_text(pair.instruction)
        better, worse = await gather_or_cancel(
            *(
                self._value(prompt, text, name, early_stop=False)
                for text in (pair.better, pair.worse)
            )
        )
        return {"score": preference_score(better, worse)}, None

    async def _value(self, prompt: Prompt, text: str, refiner: str, *, early_stop: bool) -> float:
        """The share of the refiner's votes for an answer, without the constraints."""
        judgment = await self._context.judge(
            Prompt(prompt.messages),
            text,
            refiner=refiner,
            purpose="evaluate",
            early_stop=early_stop,
        )
        return judgment.value or 0.0

    @property
    def _incumbent_refiner(self) -> str:
        return self._context.incumbents.served_name(Role.REFINER)


def _spread(prompts: int, judged: int) -> frozenset[int]:
    """`judged` of the positions, evenly spaced, so that every kind of prompt is among them."""
    judged = min(judged, prompts)
    return frozenset(number * prompts // judged for number in range(judged))


def _all_met(side: Answers, some: Sequence[int]) -> list[float]:
    return [float(side[index]["met"] == side[index]["asked"]) for index in some]


def _passed(side: Answers, some: Sequence[int]) -> list[float]:
    return [float(side[index]["passed"]) for index in some]


def _agrees(side: Answers) -> list[float]:
    return [float(record["verdict"] == record["satisfied"]) for record in side]


def _keys(names: Sequence[str], count: int) -> list[str]:
    return [f"{name}:{index}" for name in names for index in range(count)]


def _read_key(key: str) -> tuple[str, int]:
    name, _, index = key.partition(":")
    return name, int(index)


def _shown(role: Role, comparison: Comparison) -> dict[str, str]:
    """The primary metric as text; the report has all of them."""
    change = f"{comparison.incumbent:.3f} -> {comparison.candidate:.3f} (n={comparison.n})"
    return {role.value: f"{comparison.name} {change}"}
