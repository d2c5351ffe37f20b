from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import SearchOptions
from app.search.algorithms import Iterative
from tests.helpers.growing import grow
from tests.helpers.judgments import judgments
from tests.helpers.properties import calm


@calm
@given(st.integers(1, 6), st.data())
def test_rewrites_the_newest_node_whatever_its_judgment(depth: int, data: st.DataObject) -> None:
    growth = grow(Iterative(SearchOptions(depth=depth)), lambda: data.draw(judgments))
    assert [[node.id for node in selected] for selected in growth.selections] == [
        [newest] for newest in range(depth)
    ]
    assert [node.parent for node in growth.tree.responses] == list(range(depth))
