"""The driver reports which phase of which node runs, and for how long."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.domain.search import Mode
from app.errors import EngineError
from app.search.base import Phase, ignore_event
from app.search.run import run_search
from tests.helpers.scripts import always, playing
from tests.helpers.searching import request_for, roles


class Log:
    """Writes down what begins and ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def phase(self, phase: Phase, node_id: int) -> Iterator[None]:
        """For `run_search`."""
        self.lines.append(f"{phase} {node_id}")
        try:
            yield
        finally:
            self.lines.append(f"/{phase} {node_id}")


async def test_a_node_s_phases_lie_within_it() -> None:
    log = Log()
    request = request_for(Mode.ITERATIVE, max_tokens=10)
    calls = 0

    async def decide(text: str, number: int) -> bool:
        nonlocal calls
        calls += 1
        return calls == 2

    await run_search(request, roles(playing(decide=decide)), ignore_event, log.phase)
    assert log.lines == [
        *("node 1", "respond 1", "/respond 1", "judge 1", "/judge 1", "/node 1"),
        *("node 2", "refine 2", "/refine 2", "judge 2", "/judge 2", "/node 2"),
    ]


async def test_equal_responses_are_judged_under_the_first() -> None:
    log = Log()

    async def same(_: int) -> str:
        await asyncio.sleep(0)
        return "the same"

    engine = playing(respond=same, decide=always)
    await run_search(request_for(Mode.BEST_OF_N), roles(engine), ignore_event, log.phase)
    assert sum(line.startswith("judge") for line in log.lines) == 1


async def test_every_phase_ends_when_a_search_fails() -> None:
    log = Log()

    async def fail(_: int) -> str:
        raise EngineError("broken")

    with pytest.raises(EngineError):
        await run_search(
            request_for(Mode.BFS), roles(playing(respond=fail)), ignore_event, log.phase
        )
    begun = sorted(line for line in log.lines if not line.startswith("/"))
    assert begun
    assert begun == sorted(line[1:] for line in log.lines if line.startswith("/"))
