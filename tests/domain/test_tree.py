import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.judgment import Judgment
from app.domain.tree import ROOT_ID, Node, NodeKind, Tree
from tests.helpers.judgments import judged, judgments
from tests.helpers.properties import calm


def node(node_id: int, judgment: Judgment | None = None) -> Node:
    return Node(node_id, ROOT_ID, 1, NodeKind.RESPONSE, "text", judgment)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (node(2, judged(3, 2)), node(1, judged(2, 3))),
        (node(2, judged(3, 2)), node(1, judged(5, failed=1))),
        (node(2, judged(0, 5, met=1)), node(1, judged(5, met=1, failed=1))),
        (node(2, judged(4, 1)), node(1, judged(3, 2))),
        (node(2, judged(1, 4)), node(1, judged(0, 5))),
        (node(1, judged(1, 4)), node(2, judged(1, 4))),
        (node(2, judged(0, 5, failed=3)), node(1)),
        (node(1), node(2)),
    ],
    ids=[
        "accepted before rejected",
        "accepted before a higher value that is not",
        "constraints met before the value",
        "higher value, both accepted",
        "higher value, both rejected",
        "ties to the earlier",
        "judged before unjudged",
        "the earlier of two unjudged",
    ],
)
def test_better_nodes_rank_higher(better: Node, worse: Node) -> None:
    assert better.rank > worse.rank


def test_the_tree_starts_with_the_prompt() -> None:
    tree = Tree()
    assert [each.kind for each in tree] == [NodeKind.PROMPT]
    assert tree.root == tree.newest == tree[ROOT_ID]
    assert tree.root.depth == 0
    assert tree.responses == []
    assert tree.best() is None


def test_children_of_the_prompt_are_responses_and_theirs_are_refinements() -> None:
    tree = Tree()
    response = tree.add(tree.reserve(), tree.root, "a", completion_tokens=3, created_ms=1.5)
    rewrite = tree.add(tree.reserve(), response, "b", partial=True)
    assert (response.kind, response.depth, response.parent) == (NodeKind.RESPONSE, 1, ROOT_ID)
    assert (rewrite.kind, rewrite.depth, rewrite.parent) == (NodeKind.REFINEMENT, 2, response.id)
    assert (response.completion_tokens, response.created_ms, response.partial) == (3, 1.5, False)
    assert rewrite.partial
    assert tree.children(tree.root) == [response]
    assert tree.children(response) == [rewrite]


@calm
@given(st.permutations(range(1, 6)))
def test_nodes_are_ordered_by_reservation_not_by_arrival(arrival: list[int]) -> None:
    tree = Tree()
    assert [tree.reserve() for _ in arrival] == sorted(arrival)
    for node_id in arrival:
        tree.add(node_id, tree.root, f"text {node_id}")
    assert [each.id for each in tree.responses] == sorted(arrival)
    assert [each.id for each in tree.children(tree.root)] == sorted(arrival)
    assert tree.newest.id == 5


def test_judging_replaces_the_node_and_leaves_the_rest() -> None:
    tree = Tree()
    plain = tree.add(tree.reserve(), tree.root, "a", completion_tokens=3)
    other = tree.add(tree.reserve(), tree.root, "b")
    assert not plain.accepted
    assert not plain.expandable
    done = tree.judge(plain.id, judged(1))
    assert tree[plain.id] == done
    assert done.accepted
    assert done.expandable
    assert (done.text, done.completion_tokens) == ("a", 3)
    assert tree[other.id] == other
    assert plain.judgment is None


def test_the_prompt_can_always_be_expanded() -> None:
    assert Tree().root.expandable


@calm
@given(st.lists(st.none() | judgments, min_size=1, max_size=8))
def test_the_best_node_is_one_that_no_other_outranks(given: list[Judgment | None]) -> None:
    tree = Tree()
    for judgment in given:
        added = tree.add(tree.reserve(), tree.root, "text")
        if judgment is not None:
            tree.judge(added.id, judgment)
    best = tree.best()
    assert best is not None
    assert all(best.rank >= other.rank for other in tree.responses)
    assert best.accepted is any(other.accepted for other in tree.responses)
    equals = [other for other in tree.responses if other.judgment == best.judgment]
    assert best == equals[0]
