"""What holds for every algorithm, on random trees, judgments, failures, shapes and budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget, Mode, SearchOptions
from app.domain.tree import NodeKind, Tree
from app.search.algorithms import (
    BestOfN,
    BreadthFirst,
    DepthFirst,
    Greedy,
    Iterative,
    algorithm_for,
)
from app.search.base import within
from tests.helpers.growing import Growth, fates, grow
from tests.helpers.judgments import judged
from tests.helpers.properties import calm

shapes = st.builds(
    SearchOptions,
    n=st.integers(1, 6),
    branch=st.integers(1, 3),
    beam=st.integers(1, 3),
    depth=st.integers(1, 3),
)
budgets = st.builds(Budget, max_nodes=st.none() | st.integers(1, 20))
any_mode = st.sampled_from(Mode)
refining = st.sampled_from([Mode.ITERATIVE, Mode.BFS, Mode.DFS])


@st.composite
def growths(
    draw: st.DrawFn,
    modes: st.SearchStrategy[Mode] = any_mode,
    budgets: st.SearchStrategy[Budget] = budgets,
) -> Growth:
    """A tree grown to the end of a search."""
    algorithm = algorithm_for(draw(modes), draw(shapes))
    return grow(algorithm, draw(budgets), lambda: draw(fates))


@calm
@given(st.data(), budgets)
def test_the_budget_is_never_exceeded(data: st.DataObject, budget: Budget) -> None:
    growth = data.draw(growths(budgets=st.just(budget)))
    assert budget.max_nodes is None or len(growth.tree.responses) <= budget.max_nodes


@calm
@given(growths(modes=refining))
def test_no_node_is_expanded_twice(growth: Growth) -> None:
    assert len(growth.expanded) == len(set(growth.expanded))


@calm
@given(growths(modes=refining))
def test_only_the_prompt_and_judged_nodes_are_expanded(growth: Growth) -> None:
    selected = [node for selection in growth.selections for node in selection]
    assert all(node.kind is NodeKind.PROMPT or node.judgment for node in selected)


@calm
@given(st.data(), st.sampled_from(Mode), shapes)
def test_no_node_is_deeper_than_asked(
    data: st.DataObject, mode: Mode, options: SearchOptions
) -> None:
    growth = grow(algorithm_for(mode, options), Budget(), lambda: data.draw(fates))
    deepest = 1 if mode in (Mode.GREEDY, Mode.BEST_OF_N) else options.depth
    assert all(node.depth <= deepest for node in growth.tree)


@calm
@given(st.data(), st.sampled_from(Mode), shapes)
def test_selecting_leaves_the_tree_as_it_is(
    data: st.DataObject, mode: Mode, options: SearchOptions
) -> None:
    algorithm = algorithm_for(mode, options)
    tree = grow(
        algorithm, Budget(max_nodes=data.draw(st.integers(0, 10))), lambda: judged(0, 1)
    ).tree
    before = list(tree)
    assert algorithm.select(tree, Budget()) == algorithm.select(tree, Budget())
    assert list(tree) == before


@pytest.mark.parametrize("mode", Mode)
def test_a_budget_of_no_nodes_selects_nothing(mode: Mode) -> None:
    assert algorithm_for(mode, SearchOptions()).select(Tree(), Budget(max_nodes=0)) == []


def test_every_mode_gets_the_options_it_uses() -> None:
    options = SearchOptions(n=4, branch=6, beam=7, depth=8)
    assert [algorithm_for(mode, options) for mode in Mode if mode is not Mode.GREEDY] == [
        BestOfN(4),
        Iterative(8),
        BreadthFirst(6, 7, 8),
        DepthFirst(6, 8),
    ]
    assert isinstance(algorithm_for(Mode.GREEDY, options), Greedy)


def test_the_first_accepted_node_ends_refining_searches_only() -> None:
    winning = [m for m in Mode if algorithm_for(m, SearchOptions()).first_accepted_wins]
    assert winning == [Mode.ITERATIVE, Mode.BFS, Mode.DFS]


@calm
@given(st.integers(0, 5), st.none() | st.integers(0, 8), st.integers(0, 5))
def test_within_keeps_the_first_that_fit(existing: int, max_nodes: int | None, wanted: int) -> None:
    tree = Tree()
    for _ in range(existing):
        tree.add(tree.reserve(), tree.root, "")
    nodes = tree.responses[:wanted]
    room = len(nodes) if max_nodes is None else max(0, max_nodes - existing)
    assert within(Budget(max_nodes=max_nodes), tree, nodes) == nodes[:room]
