"""The seed instructions leave form and constraints open, and bring words that fit them."""

import re

import pytest

from tests.worker.prompts.drawn import draws
from worker.prompts.seeds import Seed, all_seeds, seeds_of
from worker.prompts.taxonomy import TAXONOMY


def test_there_are_many_and_none_twice() -> None:
    assert len({seed.text.lower() for seed in all_seeds()}) == len(all_seeds()) >= 160


def test_a_fifth_is_for_evaluation_only_and_has_every_kind() -> None:
    train, evaluation = seeds_of("train"), seeds_of("evaluation")
    assert set(train) | set(evaluation) == set(all_seeds())
    assert not set(train) & set(evaluation)
    assert len(evaluation) == len(all_seeds()) // 5
    assert {seed.kind for seed in evaluation} == {seed.kind for seed in train}


@pytest.mark.parametrize("seed", all_seeds(), ids=lambda seed: str(seed.index))
def test_a_seed_fixes_no_form_and_has_no_sign_that_a_constraint_asks_for(seed: Seed) -> None:
    assert seed.text.count("?") <= 1
    assert not set("!()#%*[]<>{}\n•") & set(seed.text)
    assert not re.search(r"\d|\b(sentences|paragraphs|list|table|bullet|short|brief)\b", seed.text)
    assert not seed.text.startswith('"')
    assert len(seed.text) <= 250


@pytest.mark.parametrize("seed", all_seeds(), ids=lambda seed: str(seed.index))
def test_the_words_of_a_seed_are_new_and_within_every_limit(seed: Seed) -> None:
    assert len(set(seed.words)) == 5
    for word in seed.words:
        assert word.isalpha()
        assert 4 <= len(word) <= 9
        assert word.lower() not in seed.text.lower()


def test_no_word_of_a_seed_is_ruled_out_by_another_type() -> None:
    words = {word.lower() for seed in all_seeds() for word in seed.words}
    for name in TAXONOMY.keys() - {"keyword.forbidden"}:
        for requirement in draws(name):
            for constraint in requirement.constraints:
                assert not words & set(constraint.kwargs.get("forbidden_words", ())), name
