from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget, SearchOptions
from app.domain.tree import Node, Tree
from app.search.algorithms import DepthFirst
from tests.helpers.growing import grow
from tests.helpers.judgments import judged, judgments
from tests.helpers.properties import calm

sizes = st.integers(1, 3)


def depth_first(branch: int, depth: int) -> DepthFirst:
    return DepthFirst(SearchOptions(branch=branch, depth=depth))


@calm
@given(sizes, sizes, st.data())
def test_expands_in_the_order_of_a_recursive_search(
    branch: int, depth: int, data: st.DataObject
) -> None:
    growth = grow(depth_first(branch, depth), lambda: data.draw(judgments))
    assert growth.expanded == list(_recursive(growth.tree, growth.tree.root, depth))
    assert len(growth.tree.responses) == sum(branch**level for level in range(1, depth + 1))


def test_backtracks_past_a_node_without_judgment() -> None:
    tree = Tree()
    first = tree.add(tree.reserve(), tree.root, "best")
    second = tree.add(tree.reserve(), tree.root, "next best")
    tree.judge(first.id, judged(2, 1))
    tree.judge(second.id, judged(1, 2))
    tree.add(tree.reserve(), tree[first.id], "its judgment failed")
    assert depth_first(1, 3).select(tree, Budget()) == [tree[second.id]]


def _recursive(tree: Tree, node: Node, depth: int) -> Iterator[int]:
    """Preorder, the better child first."""
    if node.depth == depth:
        return
    yield node.id
    for child in sorted(tree.children(node), key=lambda child: child.rank, reverse=True):
        yield from _recursive(tree, child, depth)
