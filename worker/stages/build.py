"""Make training data: preference pairs for the actor, dialogues for the refiner.

The caps and the balance are SPaR's (arXiv 2412.11605, data construction): repairs up to
4,000; judgments of contested rewrites, three accepted to two rejected; judgments of contested
responses, five accepted to one rejected.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from random import Random

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.iterations import Sample, SampleRepository
from app.db.prompts import BetterAnswer, FeedbackRepository, PromptRepository
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import DataOptions, SampleKind
from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.search import derive_seed
from app.roles.judge import VERDICT_LINE, judge_messages
from app.roles.refiner import OPENING, refine_messages
from worker.context import ItemResult, Record, StageRun
from worker.stages.judge import Judged
from worker.stages.refine import Repair

Data = Mapping[Role, Sequence[Sample]]
"""The training samples of each role."""

SAMPLES = "samples"
"""The key of the stage's only item."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a judged text comes from: the versions, and the stored search's node if it has one."""

    versions: Versions
    search_id: str | None = None
    node_id: int | None = None


async def build(
    stage: StageRun, prompts: Sequence[Prompt], judged: Judged, repairs: Sequence[Repair]
) -> Data:
    """The samples of both roles."""
    context = stage.context

    async def make(_: str) -> ItemResult:
        async with context.database.session() as session:
            better = await FeedbackRepository(session).better_answers(context.id)
        rng = Random(derive_seed(context.options.seed, "build"))
        pairs = [
            *(
                _preference(prompts[repair.prompt], repair, context.incumbents)
                for repair in repairs
            ),
            *on_policy_pairs(
                prompts, judged, context.incumbents, context.options.data.on_policy_pairs, rng
            ),
            *map(_feedback_pair, better),
        ]
        data = {
            Role.ACTOR: _different(pair for pair in pairs if pair is not None),
            Role.REFINER: refiner_samples(
                prompts, judged, repairs, context.incumbents, context.options.data, rng
            ),
        }
        return _stored(stage, data, [answer.feedback_id for answer in better])

    return await _once(stage, make)


async def build_from_conversations(stage: StageRun) -> Data:
    """The imported conversations, unchanged."""
    versions = stage.context.incumbents

    async def make(_: str) -> ItemResult:
        async with stage.context.database.session() as session:
            pool = PromptRepository(session)
            data = {
                role: [
                    Sample(
                        role,
                        SampleKind.CONVERSATION,
                        {"messages": _records(*one.messages)},
                        versions,
                    )
                    for one in await pool.conversations(role)
                ]
                for role in Role
            }
        return _stored(stage, data, [])

    return await _once(stage, make)


def refiner_samples(
    prompts: Sequence[Prompt],
    judged: Judged,
    repairs: Sequence[Repair],
    versions: Versions,
    options: DataOptions,
    rng: Random,
) -> list[Sample]:
    """Repair dialogues, then balanced judgments of rewrites and responses; one per request."""
    dialogues = _different(_repairs(prompts, repairs, versions))[: options.max_repairs]
    rewrites = [
        (prompts[repair.prompt], node.text, node.judgment, Origin(versions, repair.search_id, id))
        for repair in repairs
        for id, node in repair.nodes.items()
        if node.parent is not None
    ]
    responses = [
        (prompts[index], response.text, response.judgment, Origin(versions))
        for index, some in enumerate(judged)
        for response in some
    ]
    most = options.max_accepted
    of_rewrites = _balanced(_judgments(rewrites), most, most * 2 // 3, rng)
    of_responses = _balanced(_judgments(responses), most * 5 // 3, most // 3, rng)
    return [*dialogues, *_different((*of_rewrites, *of_responses))]


def judgment_answer(judgment: Judgment) -> str:
    """The refiner's target: a critique that agrees with the outcome, and the verdict.

    Rejection sampling: the critique is that of the first vote for the outcome. Where no vote was
    for it, because a checker decided, it is the checkers' messages.
    """
    agreeing = [vote.critique for vote in judgment.votes if vote.verdict == judgment.accepted]
    critique = agreeing[0] if agreeing else "\n".join(judgment.failures)
    return f"{critique}{VERDICT_LINE} {'yes' if judgment.accepted else 'no'}"


def _preference(prompt: Prompt, repair: Repair, versions: Versions) -> Sample | None:
    """Chosen: the accepted rewrite; rejected: the response it repairs."""
    chosen = repair.accepted
    if chosen is None:
        return None
    return Sample(
        Role.ACTOR,
        SampleKind.PREFERENCE,
        _pair(prompt.messages, chosen.text, repair.negative.text),
        versions,
        repair.search_id,
        chosen.id,
    )


def on_policy_pairs(
    prompts: Sequence[Prompt], judged: Judged, versions: Versions, most: int, rng: Random
) -> Iterator[Sample]:
    """Up to `most` pairs of each prompt: an accepted and a rejected response, each used once."""
    for prompt, responses in zip(prompts, judged, strict=True):
        accepted = [one.text for one in responses if one.judgment.accepted]
        rejected = [one.text for one in responses if not one.judgment.accepted]
        rng.shuffle(accepted)
        rng.shuffle(rejected)
        for chosen, other in islice(zip(accepted, rejected, strict=False), most):
            pair = _pair(prompt.messages, chosen, other)
            yield Sample(Role.ACTOR, SampleKind.PREFERENCE, pair, versions)


def _feedback_pair(answer: BetterAnswer) -> Sample:
    """Chosen: the better answer that feedback gave; rejected: the stored answer."""
    messages = tuple(Message(**message) for message in answer.messages)
    return Sample(
        Role.ACTOR,
        SampleKind.PREFERENCE,
        _pair(messages, answer.better, answer.response),
        answer.versions,
        answer.search_id,
    )


def _repairs(
    prompts: Sequence[Prompt], repairs: Sequence[Repair], versions: Versions
) -> Iterator[Sample]:
    """The request that led to each accepted rewrite, and the rewrite."""
    for repair in repairs:
        chosen = repair.accepted
        if chosen is None or chosen.parent is None:
            continue
        parent = repair.nodes[chosen.parent]
        dialogue = refine_messages(prompts[repair.prompt], parent.text, parent.judgment)
        answer = Message("assistant", OPENING + chosen.text)
        yield Sample(
            Role.REFINER,
            SampleKind.REPAIR,
            _dialogue(*dialogue, answer),
            versions,
            repair.search_id,
            chosen.id,
        )


def _judgments(
    found: Iterable[tuple[Prompt, str, Judgment, Origin]],
) -> Iterator[tuple[bool, Sample]]:
    """The contested judgments, each with its outcome."""
    for prompt, text, judgment, origin in found:
        if not _is_contested(judgment):
            continue
        answer = Message("assistant", judgment_answer(judgment))
        yield (
            judgment.accepted,
            Sample(
                Role.REFINER,
                SampleKind.JUDGMENT,
                _dialogue(*judge_messages(prompt, text), answer),
                origin.versions,
                origin.search_id,
                origin.node_id,
            ),
        )


def _is_contested(judgment: Judgment) -> bool:
    """Whether a vote differs from the outcome: the votes disagree, or a checker overruled them."""
    return any(vote.verdict != judgment.accepted for vote in judgment.votes)


def _balanced(
    judgments: Iterable[tuple[bool, Sample]], most_accepted: int, most_rejected: int, rng: Random
) -> list[Sample]:
    """As many of each outcome as the caps allow, at most in the caps' proportion.

    Without this a refiner that judged mostly bad responses would learn to reject everything.
    """
    sides: dict[bool, list[Sample]] = {True: [], False: []}
    for accepted, sample in judgments:
        sides[accepted].append(sample)
    caps = ((True, most_accepted), (False, most_rejected))
    scale = min(1.0, *(len(sides[accepted]) / most for accepted, most in caps if most))
    chosen = []
    for accepted, most in caps:
        # At least as many as the rarer outcome has, to keep small data sets whole.
        count = max(round(scale * most), min(len(sides[True]), len(sides[False])))
        rng.shuffle(sides[accepted])
        chosen += sides[accepted][: min(most, count)]
    return chosen


def _different(samples: Iterable[Sample]) -> list[Sample]:
    """The first sample of each request; of pairs, the first of those that are equal."""
    first: dict[str, Sample] = {}
    for sample in samples:
        content = sample.content
        asked = content["messages"][:-1] if "messages" in content else content
        first.setdefault(repr(asked), sample)
    return list(first.values())


def _records(*messages: Message) -> list[Record]:
    """Chat messages as TRL and the OpenAI API have them."""
    return [asdict(message) for message in messages]


def _dialogue(*messages: Message) -> Record:
    return {"messages": _records(*messages)}


def _pair(messages: Sequence[Message], chosen: str, rejected: str) -> Record:
    return {
        "prompt": _records(*messages),
        "chosen": _records(Message("assistant", chosen)),
        "rejected": _records(Message("assistant", rejected)),
    }


def _stored(stage: StageRun, data: Data, feedback_ids: list[str]) -> ItemResult:
    """The number of samples of each role, and the writes that store them."""

    async def store(session: AsyncSession) -> None:
        samples = SampleRepository(session, stage.context.id)
        for role, some in data.items():
            await samples.replace_samples(role, some)
        await FeedbackRepository(session).mark_used(feedback_ids, stage.context.id)

    return {role.value: len(some) for role, some in data.items()}, store


async def _once(stage: StageRun, make: Callable[[str], Awaitable[ItemResult]]) -> Data:
    """The samples of the stage's first run.

    When an iteration is resumed, there may be more feedback or conversations than before.
    """
    await stage.each((SAMPLES,), make)
    async with stage.context.database.session() as session:
        samples = SampleRepository(session, stage.context.id)
        data = {role: await samples.samples(role) for role in Role}
        stage.metrics |= {kind.value: n for kind, n in (await samples.count_samples()).items()}
    total = sum(map(len, data.values()))
    await stage.progress(total, total)
    return data
