"""What the rivals benchmark makes of its runs."""

from pathlib import Path

import pytest

from app.constraints.checker import Checker
from benchmarks.measure import Row, Spread
from benchmarks.rivals.children import REQUIREMENTS
from benchmarks.rivals.clients.protocol import Answer, Job, Question
from benchmarks.rivals.contenders import (
    FREE,
    ITS_HUB,
    OPTILLM,
    OUR_BEST,
    OUR_TREE,
    SEQUENTIAL,
    checkable_questions,
    long_questions,
)
from benchmarks.rivals.contest import Run
from benchmarks.rivals.sections import RAW, Judged, accepted_rows, count_accepted, forced_rows
from benchmarks.rivals.server import Tally


def run(seconds: float, tokens: int, *waits: float, verdicts: int = 0) -> Run:
    """A run whose prompts were found in the prefix cache by a quarter."""
    tally = Tally(1, tokens, verdicts, prompt_tokens=40, cached_tokens=10)
    return Run(seconds, [Answer("", wait) for wait in waits], tally)


def by_name(rows: list[Row]) -> dict[str, Row]:
    """Rows by their distinct names."""
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def test_contenders_are_compared_by_time_per_token_within_a_round() -> None:
    runs = {
        RAW: [run(1, 400), run(1, 500)],
        "ours": [run(2, 600, 1, 2, 5), run(4, 600, 4, 4, 4)],
        "theirs": [run(6, 600, 6), run(4, 300, 4)],
    }

    rows = by_name(forced_rows("ours", runs, 8, 3.0))

    compared = rows["time per token, theirs / ours"]
    assert compared.spread == Spread(median=2.5, low=2, high=3)
    assert compared.verdict == "missed"
    assert rows["latency, ours"].spread == Spread(median=3, low=2, high=4)
    assert rows["tokens/s, ours / raw engine"].spread.high == 300 / 400
    assert rows["cache hits, theirs"].spread.median == 0.25
    assert rows["tokens/s, raw engine"].spread.high == 500
    assert {row.at_once for row in rows.values()} == {8}


def test_an_accepted_answer_costs_all_tokens_of_its_run() -> None:
    runs = {
        "ours": [Judged(run(5, 90, 1, 1, 1, verdicts=10), accepted=2)],
        SEQUENTIAL.name: [Judged(run(30, 400, 1, 1, 1), accepted=0)],
    }

    rows = by_name(accepted_rows(runs, 8))

    assert rows["tokens per accepted answer, ours"].spread.median == 50
    assert rows["accepted answers, sequential"].spread.median == 0
    assert "tokens per accepted answer, sequential" not in rows
    assert rows["time, sequential / ours"].spread.median == 6
    assert rows["tokens, ours / sequential"].spread.median == 0.25


def test_without_the_sequential_search_nothing_is_compared_with_it() -> None:
    rows = accepted_rows({"ours": [Judged(run(5, 90, 1), accepted=1)]}, 8)
    assert [row.name for row in rows] == [
        "accepted answers, ours",
        "tokens per accepted answer, ours",
    ]


async def test_a_program_decides_what_is_accepted() -> None:
    questions = checkable_questions(16)
    no_comma = [q for q in questions if q.constraints[0]["id"] == "punctuation:no_comma"]
    checker = Checker(1, 5.0)
    await checker.start()
    try:
        answers = [Answer("Boats rest, gulls cry.", 1), Answer("Boats rest and gulls cry.", 1)]
        assert await count_accepted(checker, no_comma[:2], answers) == 1
    finally:
        await checker.close()


def test_compared_contenders_generate_equal_tokens() -> None:
    assert OUR_TREE.tokens(128, 64) == SEQUENTIAL.tokens(128, 64) == 6720
    assert OUR_BEST.tokens(128, 64) == ITS_HUB.tokens(128, 64) == OPTILLM.tokens(128, 64) == 1536


def test_contenders_of_a_section_have_distinct_names() -> None:
    assert len({contender.name for contender in FREE}) == len(FREE)


@pytest.mark.parametrize("peer", ["its-hub", "optillm"])
def test_peer_requirements_are_pinned_without_torch(peer: str) -> None:
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    packages = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert peer in packages
    assert "torch" not in packages
    assert Path(REQUIREMENTS).is_dir()


def test_job_round_trips_as_json() -> None:
    questions = [*long_questions(40), *checkable_questions(2)]
    job = Job("http://x", 2, False, 128, 64, questions, {"n": 8})
    assert Job.from_json(job.to_json()) == job
    assert questions[32] == questions[0]
    assert isinstance(questions[-1], Question)
