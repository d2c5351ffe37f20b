import io
from typing import Any

from rich.console import Console, RenderableType

from app.api.schemas import ConstraintOut, GenerateOut, NodeOut, VoteOut
from app.cli.draw import draw_constraints, draw_summary, draw_tree, draw_votes
from tests.cli.replay import answer, node

HOSTILE = "[bold]x[/nope]\x1b[2J\x9b31m\r\nnext"


def rendered(drawing: RenderableType, width: int = 76, *, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, markup=False)
    console.print(drawing)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def nodes(*described: dict[str, Any]) -> list[NodeOut]:
    return [NodeOut.model_validate(one) for one in described]


def test_a_tree_as_plain_text() -> None:
    tree = nodes(
        node(0, parent=0, kind="prompt", text="") | {"parent": None},
        node(1, value=0.4, critique="No rain.", text="Sun on the hills."),
        node(2, partial=True, completion_tokens=1),
        node(3, parent=1, value=0.8, accepted=True, critique="Good.", text="Rain falls softly."),
        node(4, parent=1, completion_tokens=1200),
        node(5, critique="", accepted=True, text="Only checked by programs."),
    )
    assert rendered(draw_tree("Write a line\nabout rain.", tree)) == "\n".join(
        [
            "prompt  Write a line about rain.",
            "├── response 1  0.40 ✗  7 tokens  Sun on the hills.",
            "│   ├── refinement 3  0.80 ✓  7 tokens  Rain falls softly.",
            "│   └── refinement 4  …  1,200 tokens  Text of node 4.",
            "├── response 2  …  1 token (cut off)  Text of node 2.",
            "└── response 5  ✓  7 tokens  Only checked by programs.",
        ]
    )


def test_a_node_is_one_line_on_a_narrow_screen() -> None:
    tree = nodes(node(1, text="long " * 50), node(2, parent=1, text="雨" * 100))
    lines = rendered(draw_tree("prompt " * 20, tree), width=40).splitlines()
    assert len(lines) == 3
    assert all(line.endswith("…") for line in lines)


def test_a_node_whose_parent_is_not_known_yet_is_drawn() -> None:
    assert "refinement 7" in rendered(draw_tree("hi", nodes(node(7, parent=3))))


def test_control_characters_in_text_are_removed() -> None:
    tree = rendered(draw_tree(HOSTILE, nodes(node(1, text=HOSTILE))), terminal=False)
    assert tree.count("[bold]x[/nope][2J31m next") == 2
    vote = VoteOut(verdict=False, probability=0.25, critique=HOSTILE)
    assert "[bold]x[/nope][2J31m" in rendered(draw_votes([vote]))
    check = ConstraintOut(id=HOSTILE, kwargs={}, satisfied=False, message=HOSTILE)
    drawn = rendered(draw_constraints([check]), terminal=True)
    assert "\x1b[2J" not in drawn
    assert "\x9b" not in drawn


def test_a_summary_has_the_stop_reason_and_the_usage() -> None:
    assert rendered(draw_summary(GenerateOut.model_validate(answer())), width=200) == (
        "accepted, value 0.80; stopped: accepted; 3 nodes, 12 votes, 1,234 tokens, 8.2 s; "
        "search 01HZSEARCH"
    )


def test_a_summary_names_the_constraints_that_are_not_met() -> None:
    failed = {"id": "x", "kwargs": {}, "satisfied": False, "message": "132 words, at most 100"}
    final = answer(accepted=False, value=None, stop_reason="deadline", constraints=[failed])
    lines = rendered(draw_summary(GenerateOut.model_validate(final)), width=200).splitlines()
    assert lines[0].startswith("not accepted; stopped: deadline; ")
    assert lines[1:] == ["not met: 132 words, at most 100"]


def test_a_summary_of_an_unjudged_answer() -> None:
    final = answer(accepted=None, value=None, stop_reason="exhausted")
    assert rendered(draw_summary(GenerateOut.model_validate(final))).startswith("not judged; ")


def test_votes_and_constraints_as_tables() -> None:
    votes = [
        VoteOut(verdict=True, probability=0.91, critique="It rains."),
        VoteOut(verdict=False, probability=0.2, critique="Too long."),
    ]
    assert rendered(draw_votes(votes)).splitlines() == [
        "",
        " Vote   Verdict   P(yes)   Critique",
        " ───────────────────────────────────",
        " 1      yes       0.91     It rains.",
        " 2      no        0.20     Too long.",
    ]
    check = ConstraintOut(id="regex", kwargs={}, satisfied=True, message="found at 3")
    assert rendered(draw_constraints([check])).splitlines()[3] == (" regex        yes   found at 3")
