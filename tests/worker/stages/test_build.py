"""What becomes training data: contested judgments, balanced, and repairs."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.domain.checkpoint import Role, Versions
from app.domain.iteration import DataOptions, SampleKind
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.roles.refiner import OPENING
from tests.helpers.judgments import judged, judgments, result, vote
from tests.helpers.properties import calm
from worker.stages.build import judgment_answer, on_policy_pairs, refiner_samples
from worker.stages.judge import JudgedResponse
from worker.stages.refine import Repair, Rewrite

PROMPT = Prompt.from_text("Name a color.")
VERSIONS = Versions(1, 2)

repairs_of = st.lists(judgments, min_size=1, max_size=4)


def repair(found: list[Judgment], index: int = 0) -> Repair:
    """A search in which the root and its chain of rewrites were judged so."""
    nodes = {
        id: Rewrite(id, id - 1 if id else None, f"text {index} {id}", judgment)
        for id, judgment in enumerate(found)
    }
    best = next((id for id, judgment in enumerate(found) if judgment.accepted), 0)
    return Repair(index, f"search {index}", best, nodes)


@calm
@given(
    st.lists(repairs_of, max_size=12),
    st.lists(st.lists(judgments, max_size=4), max_size=12),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_caps_hold_and_requests_are_distinct(
    searches: list[list[Judgment]],
    responses: list[list[Judgment]],
    max_accepted: int,
    max_repairs: int,
) -> None:
    count = max(len(searches), len(responses), 1)
    prompts = [Prompt.from_text(f"Question {number}") for number in range(count)]
    answers = tuple(
        tuple(JudgedResponse(f"answer {n} {m}", one) for m, one in enumerate(some))
        for n, some in enumerate(responses)
    )
    samples = refiner_samples(
        prompts,
        answers,
        [repair(found, index) for index, found in enumerate(searches)],
        VERSIONS,
        DataOptions(max_accepted=max_accepted, max_repairs=max_repairs),
        Random(0),
    )
    asked = [str(sample.content["messages"][:-1]) for sample in samples]
    assert len(set(asked)) == len(asked)
    said = [sample.content["messages"][-1]["content"] for sample in samples]
    kinds = [sample.kind for sample in samples]
    assert kinds.count(SampleKind.REPAIR) <= max_repairs
    verdicts = [
        (text.endswith("Verdict: yes"), sample.search_id is not None)
        for text, sample in zip(said, samples, strict=True)
        if sample.kind is SampleKind.JUDGMENT
    ]
    assert verdicts.count((True, True)) <= max_accepted
    assert verdicts.count((False, True)) <= max_accepted * 2 // 3
    assert verdicts.count((True, False)) <= max_accepted * 5 // 3
    assert verdicts.count((False, False)) <= max_accepted // 3
    assert {sample.role for sample in samples} <= {Role.REFINER}


def balance(accepted: int, rejected: int) -> tuple[int, int]:
    """The number of contested judgments of responses that are kept, at caps of 50 and 10."""
    found = [judged(2, 1)] * accepted + [judged(1, 2)] * rejected
    answers = tuple((JudgedResponse(f"answer {n}", one),) for n, one in enumerate(found))
    prompts = [PROMPT] * len(found)
    options = DataOptions(max_accepted=30)
    samples = refiner_samples(prompts, answers, [], VERSIONS, options, Random(0))
    said = [str(sample.content["messages"][-1]["content"]) for sample in samples]
    yes = sum(text.endswith("yes") for text in said)
    return yes, len(said) - yes


def test_outcomes_are_balanced_by_the_rarer_one() -> None:
    assert balance(100, 100) == (50, 10)
    assert balance(25, 100) == (25, 10)
    assert balance(100, 5) == (25, 5)
    assert balance(3, 100) == (3, 3)
    assert balance(0, 100) == (0, 0)


def test_only_contested_judgments_become_samples() -> None:
    clear = [judged(3), judged(0, 3), judged(0, 0), judged(0, 0, failed=1)]
    contested = [judged(2, 1), judged(1, 2), judged(3, failed=1)]
    answers = (tuple(JudgedResponse(f"{n}", one) for n, one in enumerate(clear + contested)),)
    samples = refiner_samples([PROMPT], answers, [], VERSIONS, DataOptions(), Random(0))
    assert len(samples) == 3 - 1  # One accepted, and as many rejected.


def test_the_answer_agrees_with_the_outcome() -> None:
    votes = (vote(False, "Too long."), vote(True, "Fine."), vote(True, "Good."))
    assert judgment_answer(Judgment(votes, (), 0.5)) == "Fine.\n\nVerdict: yes"
    assert judgment_answer(Judgment(votes, (), 0.9)) == "Too long.\n\nVerdict: no"
    failed = (result(False, "9 words, at most 3"), result(True), result(False, "no title"))
    assert judgment_answer(Judgment(votes, failed, 0.5)) == "Too long.\n\nVerdict: no"
    overruled = Judgment(votes[1:], failed, 0.5)
    assert judgment_answer(overruled) == "9 words, at most 3\nno title\n\nVerdict: no"


def test_a_repair_is_the_request_that_led_to_the_accepted_rewrite() -> None:
    rejected = Judgment((vote(False, "Not a color."),), (), 0.5)
    found = repair([judged(0, 1), rejected, judged(1)])
    (sample,) = refiner_samples([PROMPT], (), [found], VERSIONS, DataOptions(), Random(0))
    messages = sample.content["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert "text 0 1" in messages[0]["content"]  # It rewrites the rewrite, not the root.
    assert "# Review\nNot a color.\n" in messages[0]["content"]
    assert messages[1]["content"] == f"{OPENING}text 0 2"
    assert (sample.kind, sample.search_id, sample.node_id) == (SampleKind.REPAIR, "search 0", 2)


def test_a_search_without_an_accepted_rewrite_repairs_nothing() -> None:
    found = repair([judged(0, 1), judged(0, 1)])
    assert refiner_samples([PROMPT], (), [found], VERSIONS, DataOptions(), Random(0)) == []


def own(judged_so: list[bool], most: int) -> list[tuple[str, str]]:
    """The chosen and the rejected texts of the pairs made of responses that were judged so."""
    responses = tuple(
        JudgedResponse(f"answer {number}", judged(int(fine), int(not fine)))
        for number, fine in enumerate(judged_so)
    )
    found = on_policy_pairs([PROMPT], (responses,), VERSIONS, most, Random(0))
    return [
        (sample.content["chosen"][0]["content"], sample.content["rejected"][0]["content"])
        for sample in found
    ]


@given(st.lists(st.booleans(), max_size=8), st.integers(0, 4))
def test_on_policy_pairs_use_each_response_once_and_choose_an_accepted_one(
    judged_so: list[bool], most: int
) -> None:
    pairs = own(judged_so, most)
    assert len(pairs) == min(most, judged_so.count(True), judged_so.count(False))
    fine = {f"answer {number}" for number, one in enumerate(judged_so) if one}
    assert all(chosen in fine and rejected not in fine for chosen, rejected in pairs)
    assert len({text for pair in pairs for text in pair}) == 2 * len(pairs)
