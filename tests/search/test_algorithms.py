"""What holds for every algorithm, on random trees, judgments, failures and shapes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget, Mode, SearchOptions
from app.domain.tree import Node, NodeKind, Tree
from app.search.algorithms import ALGORITHMS, Greedy
from tests.helpers.growing import Growth, fates, grow
from tests.helpers.judgments import judged
from tests.helpers.properties import calm
from tests.helpers.scripts import Part, always, parts, playing
from tests.helpers.searching import request_for, search

shapes = st.builds(
    SearchOptions,
    n=st.integers(1, 6),
    branch=st.integers(1, 3),
    beam=st.integers(1, 3),
    depth=st.integers(1, 3),
)
refining = st.sampled_from([Mode.ITERATIVE, Mode.BFS, Mode.DFS])


@st.composite
def growths(draw: st.DrawFn, modes: st.SearchStrategy[Mode]) -> Growth:
    """A tree grown to the end of a search."""
    return grow(ALGORITHMS[draw(modes)](draw(shapes)), lambda: draw(fates))


@calm
@given(growths(refining))
def test_no_node_is_expanded_twice(growth: Growth) -> None:
    assert len(growth.expanded) == len(set(growth.expanded))


@calm
@given(growths(refining))
def test_only_the_prompt_and_judged_nodes_are_expanded(growth: Growth) -> None:
    selected = [node for selection in growth.selections for node in selection]
    assert all(node.kind is NodeKind.PROMPT or node.judgment for node in selected)


@calm
@given(st.data(), st.sampled_from(Mode), shapes)
def test_no_node_exceeds_the_depth(data: st.DataObject, mode: Mode, options: SearchOptions) -> None:
    growth = grow(ALGORITHMS[mode](options), lambda: data.draw(fates))
    deepest = options.depth if ALGORITHMS[mode].refines else 1
    assert all(node.depth <= deepest for node in growth.tree)


@calm
@given(st.sampled_from(Mode), shapes)
def test_selecting_leaves_the_tree_as_it_is(mode: Mode, options: SearchOptions) -> None:
    algorithm = ALGORITHMS[mode](options)
    tree = grow(algorithm, lambda: judged(0, 1)).tree
    before = list(tree)
    assert algorithm.select(tree, Budget()) == algorithm.select(tree, Budget())
    assert list(tree) == before


def test_every_mode_has_an_algorithm() -> None:
    assert set(ALGORITHMS) == set(Mode)
    assert all(algorithm.mode is mode for mode, algorithm in ALGORITHMS.items())


@pytest.fixture
def twice() -> Iterator[None]:
    """In place of greedy, a mode of which only its class is written."""

    class Twice(Greedy):
        compares_values = True
        always_judged = True

        def select(self, tree: Tree, budget: Budget) -> list[Node]:
            return [] if tree.responses else [tree.root] * 2

    yield
    ALGORITHMS[Mode.GREEDY] = Greedy


@pytest.mark.usefixtures("twice")
async def test_a_new_mode_takes_one_class() -> None:
    engine = playing(decide=always)
    found = await search(engine, request_for(Mode.GREEDY, SearchOptions(early_stop=False)))
    assert parts(engine.started) == {Part.RESPONSE: 2, Part.CRITIQUE: 2 * 5}
    assert found.best == found.tree[1]
