"""Removes the texts of a search, for installations that store only its shape and its numbers."""

from dataclasses import replace
from typing import Literal

from app.domain.judgment import ConstraintResult, Judgment
from app.domain.prompt import Constraint, Message, Prompt
from app.domain.tree import Node, Tree
from app.search.base import SearchResult

Store = Literal["full", "redacted", "none"]
"""What is kept of a search: everything, everything but its texts, or nothing."""

NOT_KEPT = "[not kept]"
"""Replaces every text."""


def redacted(result: SearchResult) -> SearchResult:
    """A copy with the search's tree and numbers, without its texts.

    Removed are messages, responses, critiques, arguments and messages of constraints, and stop
    strings.
    """
    request = replace(
        result.request,
        prompt=_prompt(result.request.prompt),
        sampling=replace(result.request.sampling, stop=()),
        root=_node(result.request.root),
    )
    tree = _tree(result.tree)
    best = None if result.best is None else tree[result.best.id]
    return replace(result, request=request, tree=tree, best=best)


def _prompt(prompt: Prompt) -> Prompt:
    constraints = tuple(Constraint(one.id) for one in prompt.constraints)
    return Prompt((Message("user", NOT_KEPT),), constraints)


def _tree(tree: Tree) -> Tree:
    copy = Tree(_node(tree.root))
    for node in tree.responses:
        assert node.parent is not None, "only the root has no parent"
        copy.add(
            node.id,
            copy[node.parent],
            _text(node.text),
            partial=node.partial,
            completion_tokens=node.completion_tokens,
            created_ms=node.created_ms,
        )
        if node.judgment is not None:
            copy.judge(node.id, _judgment(node.judgment))
    return copy


def _node(node: Node) -> Node:
    judgment = None if node.judgment is None else _judgment(node.judgment)
    return replace(node, text=_text(node.text), judgment=judgment)


def _judgment(judgment: Judgment) -> Judgment:
    late = judgment.late_critique
    return replace(
        judgment,
        votes=tuple(replace(vote, critique=_text(vote.critique)) for vote in judgment.votes),
        constraints=tuple(
            ConstraintResult(one.id, {}, one.satisfied, _text(one.message))
            for one in judgment.constraints
        ),
        late_critique=None if late is None else _text(late),
    )


def _text(text: str) -> str:
    return NOT_KEPT if text else ""
