"""Both sides of `staged` do the same work on the real endpoints, with words instead of a model."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.config.settings import Settings
from app.domain.iteration import Stage
from benchmarks import staged
from benchmarks.measure import Context, Spread
from benchmarks.rivals.metered import MeteredServer
from benchmarks.rivals.server import Tally
from benchmarks.staged import (
    OURS,
    REFERENCE,
    STAGES,
    Load,
    Played,
    Staged,
    Stages,
    Worker,
    play_staged,
    rows_of,
    worker_at,
)
from tests.helpers.rivals import MeteredWords, benchmark_server

SERVER = ("-m", "tests.helpers.rivals")
SETTINGS = Settings(_env_file=None)
PROMPTS, RESPONSES, REWRITES, VOTES = 3, 2, 3 + 3, 3
LOAD = Load.of(PROMPTS, quick=True)


@pytest.fixture
def engine() -> MeteredWords:
    """Accepts everything, if it were asked: forced work does not depend on it."""
    words = MeteredWords()
    words.accepts = True
    return words


@pytest.fixture
async def server(engine: MeteredWords, tmp_path: Path) -> AsyncIterator[MeteredServer]:
    """The benchmark's endpoints over that engine, in this process."""
    async with (
        benchmark_server(engine, tmp_path) as url,
        httpx.AsyncClient(base_url=url, timeout=None) as http,
    ):
        yield MeteredServer(url, tmp_path, http)


@pytest.fixture
async def worker(server: MeteredServer) -> AsyncIterator[Worker]:
    """The worker's part in this process."""
    async with worker_at(server, SETTINGS, "no-model", LOAD.critique_tokens) as started:
        yield started


def stages() -> Stages:
    """Times that no test reads."""
    return Stages(lambda _: None)


def test_a_load_counts_every_text() -> None:
    response, critique = 12, 6
    texts = PROMPTS * (RESPONSES + REWRITES)
    assert LOAD.tokens == texts * (response + VOTES * critique)
    assert LOAD.stage_tokens[Stage.RESPOND] == PROMPTS * RESPONSES * response
    assert len(set(LOAD.prompts)) == PROMPTS


async def test_the_worker_does_the_work_of_the_load(
    server: MeteredServer, worker: Worker, engine: MeteredWords
) -> None:
    await server.begin(forced=True)
    timed = stages()
    await worker.play(LOAD, timed)
    votes = PROMPTS * (RESPONSES + REWRITES) * VOTES
    assert worker.engine.verdicts == votes
    assert (await server.tally()).completion_tokens - votes == LOAD.tokens
    assert tuple(timed.seconds) == STAGES
    assert engine.peak > VOTES


async def test_the_worker_does_it_again_from_the_start(
    server: MeteredServer, worker: Worker
) -> None:
    for _ in range(2):
        await server.begin(forced=True)
        verdicts = worker.engine.verdicts
        await worker.play(LOAD, stages())
        done = (await server.tally()).completion_tokens - (worker.engine.verdicts - verdicts)
        assert done == LOAD.tokens


async def test_the_reference_does_the_same_in_batches_and_trees_one_call_at_a_time(
    server: MeteredServer, engine: MeteredWords
) -> None:
    peaks: list[int] = []

    def begin(_: Stage) -> None:
        peaks.append(engine.peak)
        engine.peak = 0

    timed = Stages(begin)
    await server.begin(forced=True)
    await play_staged(server.http, LOAD, timed)
    _, respond, judge = peaks
    assert (await server.tally()).completion_tokens == LOAD.tokens
    assert tuple(timed.seconds) == STAGES
    # Those of several prompts at a time; all of them meet only where none ends early.
    assert respond > RESPONSES
    assert judge > VOTES
    assert engine.peak == VOTES


@pytest.mark.slow
async def test_both_sides_are_compared_on_a_server_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staged, "QUIET_SECONDS", 0)  # it only affects the measured values
    context = Context(SETTINGS, "no-model", 1, True, [], lambda _: None)
    section = Staged(PROMPTS, SERVER)
    rows = {row.name: row for row in await section.run(context)}
    assert rows["tokens, worker / staged"].spread == Spread(1, 1, 1)
    assert rows["prompts per hour, worker / staged"].spread.median > 0
    assert len(rows) == 2 + 2 * len(STAGES)


@pytest.mark.slow
async def test_unequal_work_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "QUIET_SECONDS", 0)

    async def lazy(*_: object) -> None:
        """Does nothing."""

    monkeypatch.setattr(staged, "play_staged", lazy)
    context = Context(SETTINGS, "no-model", 1, True, [], lambda _: None)
    with pytest.raises(RuntimeError, match="was not that of the other side"):
        await Staged(1, SERVER).run(context)


def test_prompts_per_hour_are_the_inverse_of_the_time_in_each_round() -> None:
    def played(*seconds: float) -> Played:
        return Played(dict(zip(STAGES, seconds, strict=True)), 100, Tally())

    runs = {
        OURS: [played(1, 2, 7), played(2, 2, 6)],
        REFERENCE: [played(1, 1, 28), played(1, 1, 38)],
    }
    rows = {row.name: row for row in rows_of(runs, 24)}
    total = rows["prompts per hour, worker / staged"]
    assert total.spread == Spread(3.5, 3, 4)
    assert total.verdict == "met"
    assert rows["refine, staged"].spread == Spread(33, 28, 38)
