"""Generated prompts: the same every time, conflict-free, checkable, split, and not for copying."""

import hashlib
import json
import re
from itertools import combinations, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constraints.catalogue import validate
from app.constraints.checker import COPY_ID, Checker
from tests.helpers.properties import calm
from worker.prompts import generator
from worker.prompts.catalog import SeedSplit, all_seeds, constraint_types, seeds_of
from worker.prompts.generator import GeneratedPrompt, draw, generate

TYPES = constraint_types()
HELD_OUT = {name for name, kind in TYPES.items() if kind.held_out}

any_seed = st.integers(0, 2**32)
any_split = st.sampled_from(["train", "evaluation"])


def text(generated: GeneratedPrompt) -> str:
    return generated.prompt.instruction


@calm
@given(seed=any_seed, count=st.integers(0, 30), more=st.integers(0, 30), held_out=st.booleans())
def test_the_same_seed_gives_the_same_prompts_and_more_only_adds(
    seed: int, count: int, more: int, held_out: bool
) -> None:
    first = generate(count, seed=seed, held_out=held_out)
    assert len(first) == count
    assert generate(count + more, seed=seed, held_out=held_out)[:count] == first


def test_prompts_of_a_seed_are_stable() -> None:
    """They are what evaluations of different versions are compared on: change them knowingly."""
    prompts = [g for held_out in (False, True) for g in generate(500, seed=11, held_out=held_out)]
    constraints = [[(c.id, c.kwargs) for c in g.prompt.constraints] for g in prompts]
    drawn = json.dumps([*map(text, prompts), constraints], sort_keys=True)
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == "7746444fbb6622d4"


def test_another_seed_gives_other_prompts() -> None:
    assert not set(map(text, generate(50, seed=1))) & set(map(text, generate(50, seed=2)))


@calm
@given(
    seed=any_seed,
    split=any_split,
    held_out=st.booleans(),
    bounds=st.tuples(st.integers(1, 3), st.integers(0, 2)),
)
def test_prompts_are_different_conflict_free_and_checkable(
    seed: int, split: SeedSplit, held_out: bool, bounds: tuple[int, int]
) -> None:
    least, most = bounds[0], sum(bounds)
    prompts = generate(
        40, seed=seed, held_out=held_out, seeds=split, min_constraints=least, max_constraints=most
    )
    assert len({text(generated) for generated in prompts}) == 40
    for generated in prompts:
        kinds = [TYPES[name] for name in generated.types]
        instruction = all_seeds()[generated.seed_index]
        assert least <= len(kinds) <= most
        assert not any(one.conflicts(other) for one, other in combinations(kinds, 2))
        assert all(instruction.kind in kind.seed_kinds for kind in kinds)
        assert any(kind.echo_proof for kind in kinds)
        assert bool(HELD_OUT & set(generated.types)) == held_out
        assert instruction.split == split
        assert instruction.text in text(generated)
        validate(generated.prompt.constraints)


@pytest.mark.parametrize("held_out", [False, True])
def test_every_type_is_reached(held_out: bool) -> None:
    reached = {name for g in generate(3000, seed=3, held_out=held_out) for name in g.types}
    assert reached == (set(TYPES) if held_out else set(TYPES) - HELD_OUT)


def test_every_number_of_constraints_occurs_and_one_is_the_limit_when_asked() -> None:
    assert {len(g.types) for g in generate(200, seed=4)} == {1, 2, 3}
    single = generate(200, seed=4, max_constraints=1)
    assert {len(g.types) for g in single} == {1}


def test_all_instructions_are_used_before_any_is_used_again() -> None:
    pool = len(seeds_of("train"))
    indices = [g.seed_index for g in generate(pool // 2, seed=5)]
    assert len(set(indices)) == len(indices)


def test_wrong_numbers_and_a_pool_that_is_used_up_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="min_constraints"):
        draw(seed=0, min_constraints=2, max_constraints=1)
    with pytest.raises(ValueError, match="count"):
        generate(-1, seed=0)
    always = repeat(*generate(1, seed=0))
    monkeypatch.setattr(generator, "_draw_all", lambda *_: always)
    with pytest.raises(ValueError, match="no new prompt in 1000 attempts, after 1 prompts"):
        generate(2, seed=0)


@pytest.mark.parametrize("held_out", [False, True])
async def test_repeating_the_prompt_never_meets_its_constraints(
    checker: Checker, held_out: bool
) -> None:
    for generated in generate(150, seed=7, held_out=held_out):
        *results, copied = await checker.check(generated.prompt, text(generated))
        assert not all(result.satisfied for result in results), text(generated)
        assert copied.id == COPY_ID


async def test_echo_proof_types_are_not_met_by_the_prompt(checker: Checker) -> None:
    for generated in generate(200, seed=8, max_constraints=1):
        *results, _ = await checker.check(generated.prompt, text(generated))
        assert not all(result.satisfied for result in results), text(generated)


def test_no_forbidden_word_is_required_by_another_constraint() -> None:
    for generated in generate(2000, seed=9):
        constraints = generated.prompt.constraints
        forbidden = {w for c in constraints for w in c.kwargs.get("forbidden_words", ())}
        others = [str(c.kwargs) for c in constraints if "forbidden_words" not in c.kwargs]
        for word in forbidden:
            assert not any(re.search(rf"\b{word}\b", other) for other in others), generated


def test_requirement_list_does_not_satisfy_list_constraints() -> None:
    texts = [text(generated) for generated in generate(300, seed=10, min_constraints=2)]
    assert any("\n• " in prompt for prompt in texts)
    assert not any(re.search(r"^\s*[-*\d]", prompt, re.MULTILINE) for prompt in texts)
