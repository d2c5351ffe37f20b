"""A queue over the real server, with words instead of a model."""

import asyncio
import socket
import sys
from contextlib import closing
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import Settings
from app.errors import ConfigurationError
from benchmarks.measure import Context
from benchmarks.queued import (
    AT_ONCE,
    PARTS,
    Growth,
    Memory,
    Queued,
    Reply,
    Sample,
    rows_of,
    server_at,
    steady_rates,
)


def ends_of(waves: list[float], at_once: int, spread: float = 0.0) -> list[float]:
    """The ends of `at_once` searches per wave, which lasts so long; the wave's last part is them.

    spread: the share of the wave over which its searches end.
    """
    return [
        moment - seconds * spread * (at_once - 1 - number) / at_once
        for moment, seconds in zip(accumulate(waves), waves, strict=True)
        for number in range(at_once)
    ]


@given(
    at_once=st.integers(1, 20),
    waves=st.integers(4, 80),
    seconds=st.floats(0.1, 100),
    spread=st.floats(0, 1),
)
def test_equal_waves_have_equal_rates(
    at_once: int, waves: int, seconds: float, spread: float
) -> None:
    rates = steady_rates(ends_of([seconds] * waves, at_once, spread), at_once)
    assert len(rates) >= 2
    assert rates == pytest.approx([at_once / seconds] * len(rates))


def test_slower_last_part_has_a_lower_rate() -> None:
    rates = steady_rates(ends_of([1.0] * 30 + [2.0] * 30, 16), 16)
    assert rates[0] == pytest.approx(16)
    assert rates[-1] == pytest.approx(8)


def test_filling_and_draining_are_left_out() -> None:
    rates = steady_rates(ends_of([50.0] + [1.0] * 60 + [50.0], 16), 16)
    assert len(rates) == PARTS
    assert rates == pytest.approx([16.0] * PARTS)


def test_part_count_is_independent_of_reply_order() -> None:
    ends = [float(number) for number in range(1000)]
    assert steady_rates(ends[::-1], 16) == [1.0] * 10


def test_too_few_searches_are_refused() -> None:
    steady_rates([float(number) for number in range(64)], 16)
    with pytest.raises(ConfigurationError, match="at least 64"):
        steady_rates([float(number) for number in range(63)], 16)


CHILD = "import sys; held = bytearray(64 * 2**20); print('here', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], stdin=subprocess.PIPE)
sys.stdin.read()
child.communicate()
"""


async def test_child_memory_is_separate_from_server_memory() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, "--port", str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert parent.stdout is not None
        await parent.stdout.readline()
        server = server_at(f"http://127.0.0.1:{port}")
        assert server.pid == parent.pid
        answered = [0]
        memory = Memory(server, lambda: answered[0])
        async with memory.watched():
            answered[0] = 5
        first, last = memory.samples
    finally:
        await parent.communicate(b"")
    assert (first.answered, last.answered) == (0, 5)
    assert first.engine > 64
    assert 0 < first.server < 64


def test_unknown_server_process_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no process"):
        server_at("http://127.0.0.1:1")


def test_growth_is_measured_from_the_first_sample_with_enough_answers() -> None:
    sizes = [(0, 100.0), (60, 180.0), (130, 200.0), (700, 230.0), (1000, 210.0)]
    samples = [Sample(answered, size, 1.0) for answered, size in sizes]
    growth = Growth.of(samples, 100, lambda sample: sample.server)
    assert growth == Growth(start=100, early=200, most=230, end=210)
    assert growth.ratio == 1.15


SERVER = ("-m", "tests.helpers.rivals")
SEARCHES = 4 * AT_ONCE
SAMPLES = [Sample(0, 100.0, 500.0), Sample(SEARCHES, 120.0, 510.0)]


def context() -> Context:
    """One that remembers how far the bar has moved."""
    settings = Settings(_env_file=None)
    return Context(settings, "no-model", 1, False, [], lambda _: None)


@pytest.mark.slow
async def test_queue_is_drained_and_measured() -> None:
    rows = await Queued(SEARCHES, SERVER).run(context())
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)
    assert by_name["completed"].spread.median == SEARCHES
    assert by_name["not completed"].verdict == "met"
    assert len(by_name["rates of all parts / their median"].detail["per_second"]) == 2
    assert by_name["memory of server, before"].spread.median > 10


async def test_too_few_searches_are_refused_before_the_server_starts() -> None:
    with pytest.raises(ConfigurationError, match="at least 64"):
        await Queued(SEARCHES - 1, SERVER).run(context())


def test_failed_searches_are_reported_and_excluded() -> None:
    done = [Reply(200, float(number), float(number)) for number in range(SEARCHES)]
    rows = rows_of([*done, Reply(429, 1000.0, 0.1), Reply(0, 2000.0, 0.1)], SAMPLES)
    by_name = {row.name: row for row in rows}
    assert by_name["not completed"].verdict == "missed"
    assert by_name["not completed"].spread.median == 2
    assert by_name["rate of the last part / of the first"].spread.median == 1.0
    growth = by_name[f"memory of server, most / after {(SEARCHES + 2) // 2} answers"]
    assert growth.spread.median == 1.0
    assert growth.detail["mib"] == [[0, 100.0], [SEARCHES, 120.0]]
