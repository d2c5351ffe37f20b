"""A queue over the real server, with words instead of a model."""

import pytest

from app.config.settings import Settings
from app.errors import ConfigurationError
from benchmarks.context import Context
from benchmarks.memory import Sample
from benchmarks.queued import AT_ONCE, TOKENS, Queued, Reply, rows_of

SERVER = ("-m", "tests.helpers.rivals")
SEARCHES = 4 * AT_ONCE
SAMPLES = [Sample(0, 100.0, 500.0), Sample(SEARCHES, 120.0, 510.0)]


def context_of(advanced: list[float]) -> Context:
    """One that remembers how far the bar has moved."""
    settings = Settings(_env_file=None)
    return Context(settings, "no-model", 1, False, [], lambda _, tokens: advanced.append(tokens))


@pytest.mark.slow
async def test_a_queue_is_answered_to_its_end_and_measured() -> None:
    advanced: list[float] = []
    rows = await Queued(SEARCHES, SERVER).run(context_of(advanced))
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)
    assert by_name["completed"].spread.median == SEARCHES
    assert by_name["not completed"].verdict == "met"
    assert len(by_name["rates of all parts / their median"].detail["per_second"]) == 2
    assert by_name["memory of server, before"].spread.median > 10
    assert sum(advanced) == SEARCHES * TOKENS


async def test_too_few_searches_are_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match="at least 64"):
        await Queued(SEARCHES - 1, SERVER).run(context_of([]))


def test_searches_that_failed_are_told_and_left_out() -> None:
    done = [Reply(200, float(number), float(number)) for number in range(SEARCHES)]
    rows = rows_of([*done, Reply(429, 1000.0, 0.1), Reply(0, 2000.0, 0.1)], SAMPLES)
    by_name = {row.name: row for row in rows}
    assert by_name["not completed"].verdict == "missed"
    assert by_name["not completed"].spread.median == 2
    assert by_name["rate of the last part / of the first"].spread.median == 1.0
    growth = by_name[f"memory of server, most / after {(SEARCHES + 2) // 2} answers"]
    assert growth.spread.median == 1.0
    assert growth.detail["mib"] == [[0, 100.0], [SEARCHES, 120.0]]
