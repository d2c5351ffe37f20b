"""Trees evaluated as if their search had ended earlier."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Mode
from app.evaluation.base import Metric
from experiments.context import Row
from experiments.trees import (
    CHECKERS,
    OWN,
    Node,
    Tree,
    accuracy,
    accuracy_plots,
    accuracy_tables,
    given_rejected,
    mode_table,
    trees_of,
)


def node(id: int, value: float = 0.0, *, accepted: bool = False, passed: bool = False) -> Node:
    return Node(id, accepted, value, 1.0, passed)


nodes = st.builds(
    Node,
    id=st.integers(1, 20),
    accepted=st.booleans(),
    value=st.floats(0, 1),
    satisfied=st.floats(0, 1),
    passed=st.booleans(),
)
trees = st.lists(nodes, max_size=8, unique_by=lambda one: one.id).map(
    lambda nodes: Tree(tuple(sorted(nodes, key=lambda one: one.id)), 10)
)
SOME = Tree((node(1, 0.2, passed=True), node(3, 0.6, accepted=True), node(4, 0.9)), 30)


@given(trees, st.integers(0, 20), st.integers(0, 20))
def test_more_generations_never_give_a_worse_answer(tree: Tree, fewer: int, more: int) -> None:
    early, late = tree.best(min(fewer, more)), tree.best(max(fewer, more))
    if early is not None:
        assert late is not None
        assert late.rank >= early.rank


@given(trees)
def test_all_generations_give_the_final_answer(tree: Tree) -> None:
    assert tree.best(20) == tree.best()


@given(trees)
def test_a_tree_is_read_back_from_its_values(tree: Tree) -> None:
    assert Tree.from_values(json.loads(json.dumps(tree.to_values()))) == tree


@pytest.mark.parametrize(
    ("generations", "own", "outside"), [(0, 0, 0), (1, 0, 1), (2, 0, 1), (3, 1, 0), (9, 1, 0)]
)
def test_each_judge_is_asked_about_the_answer_so_far(
    generations: int, own: float, outside: float
) -> None:
    found = [accuracy([SOME], judge, generations) for judge in (OWN, CHECKERS)]
    assert [one.value if one else None for one in found] == [own, outside]


def test_a_given_response_is_no_generation_and_may_be_the_answer() -> None:
    tree = Tree((node(0, 0.5), node(1, 0.2)), 5)
    assert tree.generations == 1
    assert tree.best() == node(0, 0.5)


def test_only_items_with_a_tree_of_every_mode_are_compared() -> None:
    rows: list[Row] = [{"bfs": SOME.to_values(), "dfs": SOME.to_values()}, {"given": 0}]
    trees = trees_of(rows, (Mode.BFS, Mode.DFS))
    assert trees == {Mode.BFS: [SOME], Mode.DFS: [SOME]}


def test_an_item_that_one_mode_accepted_at_once_is_left_out_of_all() -> None:
    fine = Tree((node(0, accepted=True),), 1)
    poor = Tree((node(0), node(1)), 1)
    trees = {Mode.BFS: [fine, poor, poor], Mode.DFS: [poor, poor, fine]}
    assert given_rejected(trees) == {Mode.BFS: [poor], Mode.DFS: [poor]}


def test_modes_are_compared_on_the_same_items() -> None:
    right, wrong = Tree((node(1, passed=True),), 4), Tree((node(1), node(2)), 8)
    trees = {Mode.GREEDY: [wrong] * 8, Mode.BFS: [right] * 8}
    first, second = mode_table("modes", trees, Mode.GREEDY).rows
    assert first["p against greedy (checkers)"] is None
    assert second["p against greedy (checkers)"] == pytest.approx(2 / 2**8)
    assert (first["generations"], first["tokens"]) == (2.0, 8.0)
    shown = second["right by the checkers"]
    assert isinstance(shown, Metric)
    assert (shown.value, shown.n) == (1.0, 8)


def test_without_trees_there_are_tables_without_figures() -> None:
    trees = trees_of([], (Mode.BFS,))
    (row,) = mode_table("modes", trees, Mode.BFS).rows
    assert (row["items"], row["right by the checkers"]) == (0, None)
    assert accuracy_plots("scaling", trees, 2)[0].lines[0].points == []


def test_there_is_a_table_and_a_plot_for_each_judge() -> None:
    trees = {Mode.BFS: [SOME]}
    own, outside = accuracy_tables(trees, 4)
    assert [row["generations"] for row in own.rows] == [1, 2, 3, 4]
    plots = accuracy_plots("scaling", trees, 4)
    assert [plot.name for plot in plots] == ["scaling-own", "scaling-checkers"]
    assert [point.y for point in plots[1].lines[0].points] == [1, 1, 0, 0]
    assert outside.title == "Right by the checkers"
