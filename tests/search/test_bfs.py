from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget, SearchOptions
from app.domain.tree import Node, Tree
from app.search.algorithms import BreadthFirst
from tests.helpers.growing import grow
from tests.helpers.judgments import judged, judgments
from tests.helpers.properties import calm

sizes = st.integers(1, 3)


def breadth_first(branch: int, beam: int, depth: int) -> BreadthFirst:
    return BreadthFirst(SearchOptions(branch=branch, beam=beam, depth=depth))


@calm
@given(sizes, sizes, sizes, st.data())
def test_each_level_comes_from_the_best_beam_of_the_level_above(
    branch: int, beam: int, depth: int, data: st.DataObject
) -> None:
    growth = grow(breadth_first(branch, beam, depth), lambda: data.draw(judgments))
    levels = [[n for n in growth.tree if n.depth == level] for level in range(depth + 1)]
    for above, below in pairwise(levels):
        assert _children_per_parent(below) == {node.id: branch for node in _best(above, beam)}


@calm
@given(sizes, sizes, st.data())
def test_the_better_nodes_come_first_in_case_the_budget_is_short(
    branch: int, beam: int, data: st.DataObject
) -> None:
    growth = grow(breadth_first(branch, beam, 2), lambda: data.draw(judgments))
    best = _best([node for node in growth.tree if node.depth == 1], beam)
    wanted = [node.id for node in best for _ in range(branch)]
    assert [node.id for node in growth.selections[1]] == wanted


def test_a_node_without_judgment_is_no_part_of_the_beam() -> None:
    tree = Tree()
    tree.add(tree.reserve(), tree.root, "its judgment failed")
    other = tree.add(tree.reserve(), tree.root, "judged")
    tree.judge(other.id, judged(0, 1))
    assert breadth_first(1, 2, 3).select(tree, Budget()) == [tree[other.id]]


def _best(level: list[Node], beam: int) -> list[Node]:
    """The best first; of equal ones the earlier."""

    def key(node: Node) -> tuple[bool, float, float]:
        if node.judgment is None:
            return (False, 0, 0)
        value = node.judgment.value
        return (node.judgment.accepted, node.judgment.satisfied, -1 if value is None else value)

    best_first: list[Node] = []
    while level and len(best_first) < beam:
        best = max(level, key=key)
        best_first.append(best)
        level = [node for node in level if node is not best]
    return best_first


def _children_per_parent(nodes: list[Node]) -> dict[int | None, int]:
    return {parent: sum(n.parent == parent for n in nodes) for parent in {n.parent for n in nodes}}
