from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import SearchOptions
from app.search.algorithms import BestOfN
from tests.helpers.growing import Fate, grow
from tests.helpers.judgments import judged
from tests.helpers.properties import calm


@calm
@given(st.integers(1, 8))
def test_the_prompt_is_expanded_n_times_at_once(n: int) -> None:
    growth = grow(BestOfN(SearchOptions(n=n)), judged_no)
    assert growth.selections == [[growth.tree.root] * n]


@calm
@given(st.integers(1, 8), st.data())
def test_lost_responses_are_filled_up_to_n(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, n - 1))
    first: list[Fate] = [judged_no() for _ in range(n)]
    first[:lost] = ["lost" for _ in range(lost)]
    fates = data.draw(st.permutations(first))
    growth = grow(BestOfN(SearchOptions(n=n)), lambda: fates.pop() if fates else judged_no())
    assert len(growth.tree.responses) == n
    assert [len(selected) for selected in growth.selections] == [n, lost][: 1 + (lost > 0)]


def judged_no() -> Fate:
    return judged(0, 1)
