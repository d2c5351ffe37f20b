"""FollowBench: reading, rules, judged rows, levels."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constraints.checker import Checker
from app.errors import ConfigurationError
from app.evaluation.base import Item, RowOutcome
from app.evaluation.followbench import FollowBench, judged, satisfied
from tests.helpers.properties import calm

SUITE = FollowBench()
ROW: dict[str, Any] = {
    "example_id": 1,
    "category": "mixed",
    "source": "text_editing",
    "level": 1,
    "instruction": "Swap the words: one two",
    "target": "two one",
}
FREE = ROW | {"category": "style", "source": "koala", "target": ""}
SUMMARIES = ("cnn_dailymail", "xsum", "samsum", "gigaword", "arxiv")
RULED = {
    "cnn_dailymail": "Potter is rich now. The actor buys no cars. The films have made money.",
    "xsum": "A man is recovering after an operation.",
    "samsum": "They talk about doing stuff on time.",
    "gigaword": "six people die in attack on southern island",
    "arxiv": "We edit facts by changing activations in the middle layers.",
}


def read(folder: Path, rows: object) -> list[Item]:
    """The items of a file with this JSON in it."""
    file = folder / "rows.json"
    file.write_text(json.dumps(rows))
    return SUITE.read(file)


def test_published_rows_are_read_without_level_0(tmp_path: Path) -> None:
    (item,) = read(tmp_path, [ROW | {"level": 0, "instruction": ""}, ROW | {"answer": "more"}])
    assert (item.key, item.group) == ("mixed-1-1", "mixed")
    assert item.prompt.instruction == ROW["instruction"]
    assert item.extra["judged"] is False


@pytest.mark.parametrize("target", ["", "[", "PER", "5", "['PER', 5]"])
def test_a_target_that_its_rule_cannot_read_is_named(tmp_path: Path, target: str) -> None:
    choice = ROW | {"source": "CONLL2003"}
    (item,) = read(tmp_path, [choice | {"target": "['PER', 'person']"}])
    assert not item.extra["judged"]
    with pytest.raises(ConfigurationError, match=r"row 2: .* is not a list of texts"):
        read(tmp_path, [ROW, choice | {"example_id": 2, "target": target}])


def test_rows_no_rule_can_score_are_for_the_judge(tmp_path: Path) -> None:
    (item,) = read(tmp_path, [FREE])
    assert item.extra["judged"] is True


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="row 2: level"):
        read(tmp_path, [ROW, ROW | {"level": 6}])
    with pytest.raises(ConfigurationError, match='row 2: the key "mixed-1-1"'):
        read(tmp_path, [ROW, ROW])


@pytest.mark.parametrize(
    ("source", "target", "right", "wrong"),
    [
        ("text_editing", "two one", " two one\n", "Sure: two one"),
        ("E2E", "name[Inn], food[pie]", "name[Inn], food[pie]", "food[pie], name[Inn]"),
        ("WIKIEVENTS", "a died\nb died", "b died", "b died\nc died"),
        ("CONLL2003", "['Bonn', 'Rome']", "Rome", "Paris"),
        ("BBH_logical", "(C)", "Not (A), so it is (C).", "Not (C), so it is (A)."),
        ("BBH_time", "12/29/1937", "That is 12/29/1937.", "12/29/1937, no: 12/30/1937"),
        ("self_made_space", "20th floor", "He is on the 20th floor.", "He is on floor 20."),
        ("gsm_8k", "$14", "She earns $4 and $10, so $14.", "She earns $14, not $4"),
    ],
)
@pytest.mark.parametrize("level", [1, 5])
def test_answers_are_compared_with_the_target(
    source: str, target: str, right: str, wrong: str, level: int
) -> None:
    assert satisfied("content", source, level, target, right) is True
    assert satisfied("content", source, level, target, wrong) is False
    assert satisfied("content", source, level, target, "") is False


@pytest.mark.parametrize(
    ("target", "answer", "right"),
    [
        ("{instruction}\nBOT: {answer}", "BOT: anything (at all)", True),
        ("{instruction}\nBOT: {answer}", "anything", False),
        ("{instruction}\n{{'AI': '{answer}'}}", "{'AI': 'sports'}", True),
        ("{instruction}\n{{'AI': '{answer}'}}", "'AI': 'sports'", False),
        ("{instruction}\nA: {answer}.", "A: yes.", True),
        ("{instruction}\nA: {answer}.", "A: yes!", False),
        ("{instruction}\nA: {answer}", "A: one\nline more", False),
    ],
)
def test_the_form_of_the_examples_has_to_be_kept(target: str, answer: str, right: bool) -> None:
    assert satisfied("example", "ag_news", 3, target, answer) is right


@pytest.mark.parametrize("source", SUMMARIES)
def test_summaries_that_do_everything_pass_every_level(source: str) -> None:
    assert [satisfied("mixed", source, level, "", RULED[source]) for level in range(1, 6)] == [
        True
    ] * 5


@pytest.mark.parametrize(
    ("source", "answer", "passed"),
    [
        ("cnn_dailymail", "Potter is rich. The actor is not. The films made money.", 4),
        ("cnn_dailymail", "Potter is rich. The lavish actor is not. The films have done it.", 3),
        ("cnn_dailymail", "He is rich. The actor is not. The films have done it.", 2),
        ("cnn_dailymail", "A" + " a" * 14 + ". B. C.", 1),
        ("cnn_dailymail", "One. Two.", 0),
        ("xsum", "A man is recovering at home.", 4),
        ("xsum", "A man recovers after an operation.", 3),
        ("xsum", "A man from Newton Stewart is recovering after an operation.", 2),
        ("xsum", "A man is recovering" + " well" * 20, 1),
        ("samsum", "They talk, and about doing stuff.", 4),
        ("samsum", "They stop Procrastinating on stuff.", 3),
        ("samsum", "They talk about doing things.", 2),
        ("gigaword", "six people die in attack on the bus", 3),
        ("gigaword", "Six people die in attack on southern island", 2),
        ("gigaword", "six people die in attack on southern island.", 1),
        ("gigaword", "six people die", 0),
        ("arxiv", "We edit transformer activations.", 4),
        ("arxiv", "We edit models.", 3),
        ("arxiv", "This is about activations.", 2),
    ],
)
def test_summaries_pass_up_to_the_level_they_fail(source: str, answer: str, passed: int) -> None:
    outcomes = [satisfied("mixed", source, level, "", answer) for level in range(1, 6)]
    assert outcomes == [level <= passed for level in range(1, 6)]


@calm
@given(st.sampled_from(SUMMARIES), st.text(max_size=60), st.integers(1, 4))
def test_level_includes_requirements_of_lower_levels(source: str, answer: str, level: int) -> None:
    if satisfied("mixed", source, level + 1, "", answer):
        assert satisfied("mixed", source, level, "", answer)


@calm
@given(st.sampled_from(["koala", "", "COGNAC", "E2E", "xsum"]), st.text(), st.text())
def test_every_row_is_scored_by_rule_or_judge(source: str, target: str, answer: str) -> None:
    found = satisfied("content", source, 1, target, answer)
    assert (found is None) == judged("content", source)


async def score(item: Item, checker: Checker, **outcome: Any) -> dict[str, float]:
    found = await SUITE.score(item, RowOutcome(**outcome), checker)
    assert all(units == 1 for _, units in found.values())
    return {name: value for name, (value, _) in found.items()}


async def test_a_rule_counts_whole_in_both_rates(tmp_path: Path, checker: Checker) -> None:
    (item,) = read(tmp_path, [ROW])
    assert await score(item, checker, response="two one", accepted=False) == {
        f"{name}{subset}": 1.0
        for name in ("ssr", "hsr")
        for subset in ("", "/level 1", "/rule", "/mixed")
    }


async def test_a_judgment_counts_by_its_votes_and_by_its_verdict(
    tmp_path: Path, checker: Checker
) -> None:
    (item,) = read(tmp_path, [FREE | {"level": 4}])
    found = await score(item, checker, response="Hello.", accepted=True, value=0.6)
    assert (found["ssr"], found["hsr"]) == (0.6, 1.0)
    assert (found["ssr/judged"], found["ssr/level 4"], found["hsr/style"]) == (0.6, 0.6, 1.0)
    found = await score(item, checker, response="Hello.", accepted=False)
    assert (found["ssr"], found["hsr"]) == (0.0, 0.0)


async def test_no_answer_is_a_failure_and_no_judgment_is_no_score(
    tmp_path: Path, checker: Checker
) -> None:
    (item,) = read(tmp_path, [FREE])
    assert (await score(item, checker, response="", accepted=True))["ssr"] == 0.0
    assert (await score(item, checker))["hsr"] == 0.0
    assert await score(item, checker, response="Hello.") == {}


async def test_levels_and_ways_of_scoring_are_reported_apart(
    tmp_path: Path, checker: Checker
) -> None:
    levels = (1, 2, 3, 4, 5)
    rows = [row | {"level": level} for row in (ROW, FREE) for level in levels]
    items = read(tmp_path, rows)
    scores = [
        await SUITE.score(
            item,
            RowOutcome(response="two one", accepted=row["level"] < 3, value=0.8),
            checker,
        )
        for item, row in zip(items, rows, strict=True)
    ]
    metrics = {metric.name: metric for metric in SUITE.metrics(items, scores)}
    assert list(metrics)[:2] == ["ssr", "hsr"]
    assert [round(metrics[f"ssr/level {level}"].value, 6) for level in levels] == [0.9] * 5
    assert [metrics[f"hsr/level {level}"].value for level in levels] == [1, 1, 0.5, 0.5, 0.5]
    assert metrics["ssr/rule"].value == 1.0
    assert metrics["ssr/judged"].value == pytest.approx(0.8)
    assert metrics["hsr/judged"].value == pytest.approx(0.4)
    assert (metrics["ssr"].n, metrics["ssr/level 1"].n) == (10, 2)


async def test_floors_are_of_the_rows_a_rule_can_score(tmp_path: Path, checker: Checker) -> None:
    echoed = ROW | {
        "example_id": 2,
        "source": "self_made_space",
        "instruction": "20th floor, is it?",
    }
    items = read(tmp_path, [ROW, FREE, echoed | {"target": "20th floor"}])
    floors = {
        name: {metric.name: (metric.value, metric.n) for metric in metrics}
        for name, metrics in (await SUITE.floors(items, checker)).items()
    }
    assert {name: floor["ssr"] for name, floor in floors.items()} == {
        "empty": (0.0, 2),
        "constant": (0.0, 2),
        "echo": (0.5, 2),
    }
    assert all("ssr/judged" not in floor for floor in floors.values())
