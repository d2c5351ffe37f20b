"""A whole contest: the real server and the contenders, each in a separate process."""

from pathlib import Path

import psutil
import pytest

from app.config.settings import Settings
from benchmarks.measure import Context
from benchmarks.rivals.contenders import OUR_BEST, SEQUENTIAL, Contender, long_questions
from benchmarks.rivals.contest import RESPONSE_TOKENS, opened

SERVER = ("-m", "tests.helpers.rivals")


@pytest.mark.slow
async def test_contest_measures_and_stops_all_processes(tmp_path: Path) -> None:
    context = Context(
        Settings(_env_file=None),
        "no-model",
        rounds=1,
        quick=True,
        at_once=[],
        say=lambda _: None,
    )
    contenders = [OUR_BEST, SEQUENTIAL]
    # Other tests keep processes for the whole run, such as PostgreSQL.
    before = set(psutil.Process().children(recursive=True))

    async with opened(context, contenders, SERVER) as contest:
        run = await contest.forced(OUR_BEST, long_questions(2), 2)
        free = await contest.free(SEQUENTIAL, long_questions(1), 1)
        raw = await contest.raw(3)
        lazy = Contender("/generate", OUR_BEST.module, OUR_BEST.options, responses=99)
        with pytest.raises(RuntimeError, match="was not that of the others"):
            await contest.forced(lazy, long_questions(1), 1)
        processes = set(psutil.Process().children(recursive=True)) - before

    work = OUR_BEST.tokens(RESPONSE_TOKENS // 4, 16)
    assert run.tally.completion_tokens == 2 * work
    assert len(run.answers) == 2
    assert 0 < run.seconds_per_answer <= run.seconds
    assert free.tally.verdicts == 0
    assert raw.tally.completion_tokens == 3 * RESPONSE_TOKENS // 4
    assert len(processes) >= 3
    assert not [process for process in processes if runs(process)]


def runs(process: psutil.Process) -> bool:
    """Whether a process does something still; one that only waits to be reaped does not."""
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
