from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget
from app.domain.tree import Node, Tree
from app.search.algorithms import DepthFirst
from tests.helpers.growing import grow
from tests.helpers.judgments import judged, judgments
from tests.helpers.properties import calm

sizes = st.integers(1, 3)


@calm
@given(sizes, sizes, st.data())
def test_expands_in_the_order_of_a_recursive_search(
    branch: int, depth: int, data: st.DataObject
) -> None:
    growth = grow(DepthFirst(branch, depth), Budget(), lambda: data.draw(judgments))
    assert growth.expanded == list(_recursive(growth.tree, growth.tree.root, depth))
    assert len(growth.tree.responses) == sum(branch**level for level in range(1, depth + 1))


@calm
@given(sizes, sizes, st.integers(1, 12), st.data())
def test_a_budget_only_ends_the_same_search_earlier(
    branch: int, depth: int, max_nodes: int, data: st.DataObject
) -> None:
    drawn = [data.draw(judgments) for _ in range(sum(branch**level for level in range(1, 4)))]
    whole, short = (
        grow(DepthFirst(branch, depth), budget, iter(drawn).__next__)
        for budget in (Budget(), Budget(max_nodes=max_nodes))
    )
    assert short.tree.responses == whole.tree.responses[:max_nodes]


def test_backtracks_past_a_node_without_judgment() -> None:
    tree = Tree()
    first = tree.add(tree.reserve(), tree.root, "best")
    second = tree.add(tree.reserve(), tree.root, "next best")
    tree.judge(first.id, judged(2, 1))
    tree.judge(second.id, judged(1, 2))
    tree.add(tree.reserve(), tree[first.id], "its judgment failed")
    assert DepthFirst(branch=1, depth=3).select(tree, Budget()) == [tree[second.id]]


def _recursive(tree: Tree, node: Node, depth: int) -> Iterator[int]:
    """Preorder, the better child first."""
    if node.depth == depth:
        return
    yield node.id
    for child in sorted(tree.children(node), key=lambda child: child.rank, reverse=True):
        yield from _recursive(tree, child, depth)
