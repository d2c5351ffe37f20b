from app.domain.search import SearchOptions
from app.search.algorithms import Greedy
from tests.helpers.growing import grow
from tests.helpers.judgments import judged


def test_expands_the_prompt_once() -> None:
    growth = grow(Greedy(SearchOptions()), lambda: judged(0, 1))
    assert [len(selected) for selected in growth.selections] == [1]
    assert [node.depth for node in growth.tree.responses] == [1]
