"""Searches and judgments as terminal tables and trees. Control characters are removed."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from app.api.schemas import (
    ConstraintOut,
    GenerateOut,
    NodeOut,
    SearchDetailOut,
    SearchSummaryOut,
    VoteOut,
)
from app.cli.console import clean, count, first_words

_ACCEPTED, _REJECTED, _UNJUDGED = ("✓", "green"), ("✗", "red"), ("…", "dim")


def is_judged(node: NodeOut) -> bool:
    """Whether a node has been judged."""
    return node.critique is not None or node.value is not None or node.accepted


def draw_tree(prompt: str, nodes: Iterable[NodeOut]) -> Tree:
    """The tree of a search, one line per node; the prompt is its root."""
    root = Tree(_line(Text.assemble(("prompt  ", "bold"), first_words(prompt))), guide_style="dim")
    branches: dict[int | None, Tree] = {}
    for node in sorted(nodes, key=lambda node: node.id):
        if node.parent is not None:
            branches[node.id] = branches.get(node.parent, root).add(draw_node(node))
    return root


def draw_node(node: NodeOut) -> Text:
    """One line: kind and number, value, whether accepted, length, first words."""
    mark, style = _mark(node.accepted) if is_judged(node) else _UNJUDGED
    cut = " (cut off)" if node.partial else ""
    return _line(
        Text.assemble(
            (f"{node.kind.value} {node.id}", "bold"),
            "  ",
            (f"{_value(node.value)} {mark}".lstrip(), style),
            (f"  {count(node.completion_tokens, 'token')}{cut}  ", "dim"),
            first_words(node.text),
        )
    )


def draw_votes(votes: Iterable[VoteOut]) -> Table:
    """Every vote with its probability and its critique."""
    table = new_table("Vote", "Verdict", "P(yes)", "Critique")
    for number, vote in enumerate(votes, start=1):
        verdict = Text("yes", "green") if vote.verdict else Text("no", "red")
        critique = Text(clean(vote.critique).strip())
        table.add_row(Text(str(number)), verdict, Text(f"{vote.probability:.2f}"), critique)
    return table


def draw_constraints(constraints: Iterable[ConstraintOut]) -> Table:
    """The results of the constraints."""
    table = new_table("Constraint", "Met", "Found")
    for result in constraints:
        met = Text("yes", "green") if result.satisfied else Text("no", "red")
        table.add_row(Text(clean(result.id)), met, Text(clean(result.message)))
    return table


def draw_searches(searches: Iterable[SearchSummaryOut]) -> Table:
    """Stored searches, one line each."""
    table = new_table("Search", "Mode", "Value", "Nodes", "Seconds", "Prompt")
    # On a narrow terminal the prompt is cut, never the id.
    table.expand = True
    table.columns[-1].ratio = 1
    for search in searches:
        mark, style = _UNJUDGED if search.accepted is None else _mark(search.accepted)
        table.add_row(
            Text(clean(search.id), no_wrap=True),
            Text(search.mode.value, no_wrap=True),
            Text(f"{_value(search.value)} {mark}".lstrip(), style, no_wrap=True),
            Text(str(search.usage.nodes)),
            Text(f"{search.timing_ms / 1000:.1f}"),
            Text(first_words(search.prompt), no_wrap=True, overflow="ellipsis"),
        )
    return table


def verdict(accepted: bool | None, value: float | None) -> Text:
    """`accepted, value 0.80`; `not judged` without a judgment."""
    if accepted is None:
        return Text("not judged", "dim")
    text = Text("accepted", "green") if accepted else Text("not accepted", "red")
    return text if value is None else text.append(f", value {value:.2f}")


def draw_summary(answer: GenerateOut | SearchDetailOut) -> Text:
    """The stop reason, the usage, and the constraints that are not met."""
    usage = answer.usage
    ending = [
        f"; stopped: {answer.stop_reason.value}",
        f"; {count(usage.nodes, 'node')}, {count(usage.votes, 'vote')}, "
        f"{count(usage.completion_tokens, 'token')}, {answer.timing_ms / 1000:.1f} s",
        f"; search {clean(answer.id)}",
    ]
    text = Text.assemble(verdict(answer.accepted, answer.value), ("".join(ending), "dim"))
    for result in answer.constraints:
        if not result.satisfied:
            text.append(f"\nnot met: {clean(result.message)}", "yellow")
    return text


def _mark(accepted: bool) -> tuple[str, str]:
    return _ACCEPTED if accepted else _REJECTED


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _line(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def new_table(*columns: str) -> Table:
    """An empty table in the style that all commands use."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
