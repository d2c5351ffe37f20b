"""A server at ten times its capacity."""

from pathlib import Path

import pytest

from app.config.settings import Settings
from benchmarks.overload import Overloaded, Reply, overload
from tests.chaos.scripted_engine import Pace
from tests.chaos.system import SETTINGS, system

SLOW = Pace(call_seconds=0.5, at_once=4)


@pytest.mark.slow
async def test_an_overloaded_server_rejects_answers_in_time_and_recovers(tmp_path: Path) -> None:
    async with system(tmp_path, workers=0, pace=SLOW) as made:
        settings = Settings(
            _env_file=None,
            max_running=int(SETTINGS["max_running"]),
            max_waiting=int(SETTINGS["max_waiting"]),
        )
        found = await overload(made.url, settings, 4, warm_seconds=3)
        assert made.server.crashes == []
        assert made.server.starts == 1
    verdicts = {row.name: row.verdict for row in found.rows() if row.target}
    assert set(verdicts.values()) == {"met"}, found.rows()
    assert found.admitted
    assert len(found.refused) > len(found.admitted), "most of it is more than it can do"


def test_violations_miss_their_target() -> None:
    replies = [Reply(200, 9.0), Reply(429, 0.1), Reply(0, 1.0), Reply(500, 1.0)]
    found = Overloaded(8, 80, replies, bound=8.0, recovery=None, restarts=1)
    verdicts = {row.name: row.verdict for row in found.rows() if row.target}
    assert set(verdicts.values()) == {"missed"}
    assert found.failed == {0: 1, 500: 1}
