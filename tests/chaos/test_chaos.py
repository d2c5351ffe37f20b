"""A short fault injection run; `python -m tests.chaos` is the long one.

The processes, the database, the disk and the signals are real. The scripted engine starts at
once, so a killed server is ready again within seconds; the run on the real engine omits faults that
restart it, which takes most of a minute.
"""

from pathlib import Path

import pytest

from tests.chaos.report import Report
from tests.chaos.run import Plan, run_chaos
from tests.chaos.scenario import Kind

SEED = 5
QUICK_ON_A_REAL_ENGINE = (
    Kind.SERVER_FREEZE,
    Kind.ENGINE_FREEZE,
    Kind.WORKER_KILL,
    Kind.WORKER_FREEZE,
    Kind.DATABASE_LOCK,
    Kind.SWAP,
)


def check(report: Report, plan: Plan) -> None:
    """Assert that nothing was lost, no invariant violated, and every supported fault injected."""
    assert report.violations == [], report.as_text()
    figures = report.as_json()
    assert figures["lost"] == 0
    possible = set(plan.kinds) - set(report.uncovered)
    tried = {fault.kind for fault in (*report.injected, *report.missed)}
    assert tried == possible, report.as_text()
    assert len(report.injected) > len(report.missed), report.as_text()
    assert figures["ends"]["answered"] > figures["ends"]["clean error"], report.as_text()
    assert figures["searches_stored"] > 0
    evidence = report.evidence
    assert evidence.serving is not None, "the server said what it serves"
    assert evidence.memory != [], "some server lived long enough to be measured"
    if plan.iterate:
        assert evidence.iterations != [], report.as_text()
    if plan.scripted:
        assert evidence.adapters, "the engine said what it holds"


@pytest.mark.slow
@pytest.mark.parametrize("on_postgresql", [False, True], ids=["sqlite", "postgresql"])
async def test_nothing_is_lost_under_faults(tmp_path: Path, on_postgresql: bool) -> None:
    plan = Plan(SEED, 20, on_postgresql=on_postgresql, clients=4, pause=1.2)
    report = await run_chaos(tmp_path, plan)
    check(report, plan)


@pytest.mark.engine
async def test_nothing_is_lost_on_the_real_engine(tmp_path: Path) -> None:
    plan = Plan(SEED, 20, scripted=False, kinds=QUICK_ON_A_REAL_ENGINE, clients=3, iterate=False)
    report = await run_chaos(tmp_path, plan)
    check(report, plan)
