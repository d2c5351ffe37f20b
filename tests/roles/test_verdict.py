import math
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.roles.votes import (
    NO,
    YES,
    fewest_to_decide,
    is_decided,
    sample_verdict,
    yes_probability,
)
from tests.helpers.properties import calm

totals = st.integers(1, 7)
thresholds = st.floats(0, 1) | st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.6, 0.75, 0.8, 1.0])
logprobs = st.dictionaries(st.sampled_from([*YES, *NO, " maybe"]), st.floats(-40, 0))
probabilities = st.floats(0, 1)
temperatures = st.floats(0, 2)


@calm
@given(totals, st.data(), thresholds)
def test_decided_means_that_all_completions_of_the_votes_agree(
    total: int, data: st.DataObject, accept_threshold: float
) -> None:
    votes = data.draw(st.lists(st.booleans(), max_size=total))
    missing = total - len(votes)
    counts = [sum(votes) + sum(rest) for rest in product([False, True], repeat=missing)]
    outcomes = {"tie" if yes == total - yes else yes / total > accept_threshold for yes in counts}
    same = len(outcomes) == 1 and (missing == 0 or "tie" not in outcomes)
    assert is_decided(sum(votes), len(votes) - sum(votes), total, accept_threshold) is same


@calm
@given(totals, thresholds)
def test_the_fewest_votes_to_decide_decide_and_one_less_never_does(
    total: int, accept_threshold: float
) -> None:
    fewest = fewest_to_decide(total, accept_threshold)
    assert 1 <= fewest <= total
    assert any(is_decided(yes, fewest - yes, total, accept_threshold) for yes in range(fewest + 1))
    for fewer in range(1, fewest):
        assert not any(
            is_decided(yes, fewer - yes, total, accept_threshold) for yes in range(fewer + 1)
        )


@pytest.mark.parametrize(
    ("total", "accept_threshold", "fewest"),
    [(5, 0.5, 3), (1, 0.5, 1), (2, 0.5, 2), (4, 0.5, 3), (5, 0.8, 1)],
)
def test_the_fewest_votes_of_some_judgments(
    total: int, accept_threshold: float, fewest: int
) -> None:
    assert fewest_to_decide(total, accept_threshold) == fewest


@calm
@given(logprobs)
def test_the_probability_of_yes_is_its_share_among_yes_and_no(scores: dict[str, float]) -> None:
    yes = sum(math.exp(scores[option]) for option in YES if option in scores)
    no = sum(math.exp(scores[option]) for option in NO if option in scores)
    assume(yes and no)
    probability = yes_probability(scores)
    assert probability is not None
    assert probability == pytest.approx(yes / (yes + no))
    swapped = dict(zip((*YES, *NO), (*NO, *YES), strict=True))
    mirrored = yes_probability({swapped.get(key, key): value for key, value in scores.items()})
    assert mirrored == pytest.approx(1 - probability)


@pytest.mark.parametrize("scores", [{}, {" maybe": -0.1}, {" yes": -0.1}, {" no": -0.1}])
def test_without_a_score_for_both_words_there_is_no_probability(scores: dict[str, float]) -> None:
    assert yes_probability(scores) is None


def test_a_word_that_cannot_come_leaves_all_probability_to_the_other() -> None:
    assert yes_probability({" yes": -1.0, " no": -math.inf}) == 1.0
    assert yes_probability({" yes": -math.inf, " no": -1.0}) == 0.0


@calm
@given(probabilities, temperatures, st.integers())
def test_a_seeded_verdict_is_the_same_again(
    probability: float, temperature: float, seed: int
) -> None:
    assert sample_verdict(probability, temperature, seed) is sample_verdict(
        probability, temperature, seed
    )


@calm
@given(probabilities, probabilities, temperatures, st.integers())
def test_a_higher_probability_never_turns_a_yes_into_a_no(
    one: float, other: float, temperature: float, seed: int
) -> None:
    lower, higher = sorted([one, other])
    drawn = [sample_verdict(probability, temperature, seed) for probability in (lower, higher)]
    assert drawn != [True, False]


@pytest.mark.parametrize("temperature", [0, 1e-300, 0.7, 2.0])
@pytest.mark.parametrize(("probability", "verdict"), [(0.0, False), (1.0, True)])
def test_a_sure_verdict_is_never_drawn_otherwise(
    probability: float, temperature: float, verdict: bool
) -> None:
    assert {sample_verdict(probability, temperature, seed) for seed in range(100)} == {verdict}


@pytest.mark.parametrize("temperature", [0, 1e-6])
@pytest.mark.parametrize(("probability", "verdict"), [(0.49, False), (0.51, True)])
def test_without_temperature_the_likelier_verdict_is_taken(
    probability: float, temperature: float, verdict: bool
) -> None:
    assert {sample_verdict(probability, temperature, seed) for seed in range(100)} == {verdict}


@pytest.mark.parametrize(
    ("probability", "temperature", "share"),
    [(0.3, 1.0, 0.3), (0.9, 1.0, 0.9), (0.5, 0.7, 0.5), (0.8, 0.5, 16 / 17), (0.8, 2.0, 2 / 3)],
)
def test_verdicts_are_drawn_as_often_as_the_model_would(
    probability: float, temperature: float, share: float
) -> None:
    """At temperature t the odds are those of the model to the power of 1/t."""
    draws = [sample_verdict(probability, temperature, seed) for seed in range(4000)]
    assert sum(draws) / len(draws) == pytest.approx(share, abs=0.03)


def test_without_a_seed_both_verdicts_come() -> None:
    assert {sample_verdict(0.5, 1.0, None) for _ in range(200)} == {False, True}
