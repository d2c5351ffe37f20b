from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Usage
from app.engine.base import Delta
from app.search.run import TokenBudget
from tests.helpers.properties import calm

deltas = st.builds(
    Delta, completion_tokens=st.integers(0, 20), prompt_tokens=st.integers(0, 50), text=st.text()
)


@calm
@given(st.lists(deltas), st.none() | st.integers(1, 100))
async def test_everything_is_added_up_and_the_budget_is_spent_when_it_is_reached(
    reported: list[Delta], max_tokens: int | None
) -> None:
    usage = Usage()
    token_budget = TokenBudget(usage, max_tokens)
    for delta in reported:
        token_budget(delta)
    total = sum(delta.completion_tokens for delta in reported)
    assert usage == Usage(sum(delta.prompt_tokens for delta in reported), total)
    assert token_budget.spent.is_set() is (max_tokens is not None and 0 < max_tokens <= total)


@calm
@given(st.integers(1, 100), st.integers(0, 200), st.integers(1, 100))
async def test_a_call_is_clipped_to_what_is_left_but_gets_one_token(
    max_tokens: int, used: int, wanted: int
) -> None:
    token_budget = TokenBudget(Usage(completion_tokens=used), max_tokens)
    assert token_budget.clip(wanted) == max(1, min(wanted, max_tokens - used))
    assert TokenBudget(Usage(completion_tokens=used), None).clip(wanted) == wanted
