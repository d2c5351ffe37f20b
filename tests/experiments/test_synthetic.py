"""The synthetic tasks: correct and incorrect answers, and the differences of the pairs."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.synthetic import (
    ARMS,
    CHARACTERS,
    STORIES,
    Task,
    check_characters,
    check_story,
    examples,
    measured,
)
from training.datasets import Pair

TASKS = pytest.mark.parametrize("task", [CHARACTERS, STORIES], ids=lambda task: task.name)
SEEDS = st.integers(0, 10_000)


@TASKS
@given(seed=SEEDS)
def test_chosen_answers_are_right_and_the_rejected_one_is_not(task: Task, seed: int) -> None:
    one = task.make(Random(seed))
    goal = task.metrics[0]
    assert task.check(one.asks, one.refined)[goal] == 1.0
    assert task.check(one.asks, one.interfering)[goal] == 1.0
    assert task.check(one.asks, one.rejected)[goal] == 0.0


@given(SEEDS)
def test_interfering_sequences_differ_in_case_alone(seed: int) -> None:
    one = CHARACTERS.make(Random(seed))
    assert one.interfering == one.refined.upper()
    assert check_characters(one.asks, one.refined)["capitals"] == 0.0
    assert check_characters(one.asks, one.interfering)["capitals"] == 1.0
    assert check_characters(one.asks, one.rejected)["letters right"] == pytest.approx(2 / 3)


@given(SEEDS)
def test_refined_stories_only_have_the_missing_sentence_put_in(seed: int) -> None:
    one = STORIES.make(Random(seed))
    first, last = one.asks
    assert one.refined in (f"{first} {one.rejected}", f"{one.rejected} {last}")
    middle = one.refined.removeprefix(first).removesuffix(last)
    assert middle in one.rejected + " " or middle.strip() in one.rejected


def test_interfering_stories_are_other_stories() -> None:
    made = examples(STORIES, 50, seed=1)
    assert sum(one.refined != one.interfering for one in made) > 45


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("a a b", 1.0),
        ("AAB", 1.0),
        ("a A\nb", 1.0),
        ("a a b b", 0.0),
        ("b a a", 0.0),
        ("a a b!", 0.0),
        ("", 0.0),
    ],
)
def test_a_sequence_is_right_in_any_case_and_with_any_blanks(answer: str, right: float) -> None:
    assert check_characters((("a", 2), ("b", 1)), answer)["right"] == right


def test_two_sentences_alone_are_no_story() -> None:
    asks = ["It began.", "It ended."]
    alone = check_story(asks, "It began. It ended.")
    assert (alone["both"], alone["begins"], alone["ends"]) == (0.0, 1.0, 1.0)
    assert check_story(asks, "It began.\nThen more.\nIt ended.\n")["both"] == 1.0


@TASKS
def test_prompts_are_different_and_the_same_for_the_same_seed(task: Task) -> None:
    training = examples(task, 80, seed=3)
    assert examples(task, 80, seed=3) == training
    asked = examples(task, 40, seed=4, without=training)
    assert len({one.prompt for one in (*training, *asked)}) == 120


@TASKS
@pytest.mark.parametrize("arm", ARMS)
def test_pairs_are_what_the_trainer_reads(task: Task, arm: str) -> None:
    (one,) = examples(task, 1, seed=0)
    pair = Pair.model_validate(one.pair(arm))
    assert pair.rejected[0].content == one.rejected
    assert pair.chosen[0].content == getattr(one, arm)


@TASKS
def test_figures_are_means_over_the_examples(task: Task) -> None:
    some = examples(task, 4, seed=0)
    texts = [some[0].refined, *(one.rejected for one in some[1:])]
    metrics = measured(task, some, texts)
    assert tuple(metrics) == task.metrics
    assert metrics[task.metrics[0]].value == 0.25
