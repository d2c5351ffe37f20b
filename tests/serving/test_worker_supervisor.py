"""The supervised worker: restarted, and terminated with the server."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import accumulate, chain, repeat
from pathlib import Path

import psutil
import pytest

from app.config.settings import Settings
from app.serving import worker_supervisor
from app.serving.worker_supervisor import COMMAND, HEALTHY_SECONDS, keep_worker

SECONDS_UNTIL_STUCK = 60
NOTE = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n');"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses."""
    monkeypatch.setattr(worker_supervisor, "FIRST_PAUSE_SECONDS", 0.01)


@asynccontextmanager
async def kept(
    code: str,
    notes: Path,
    settings: Settings | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[None]:
    """A fake worker program."""
    command = (sys.executable, "-S", "-c", code, str(notes))
    keeping = asyncio.create_task(keep_worker(settings or Settings(), command, clock))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def noted(notes: Path, lines: int) -> list[int]:
    """The process ids written by the fake workers, once there are `lines`."""
    return [int(line) for line in (await text_of(notes, lines)).splitlines()]


async def text_of(notes: Path, lines: int = 1) -> str:
    """The fake workers' output, once it has `lines` lines."""

    def read() -> str:
        return notes.read_text() if notes.exists() else ""

    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while read().count("\n") < lines:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return read()


async def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    async with kept(NOTE + "sys.exit(1)", tmp_path / "notes"):
        processes = await noted(tmp_path / "notes", 3)
    assert len(set(processes)) == len(processes)


def clock_of(runs: Iterable[float]) -> Callable[[], float]:
    """A clock with these run times of the worker, then zero."""
    looks = chain.from_iterable((0.0, seconds) for seconds in chain(runs, repeat(0.0)))
    return accumulate(looks).__next__


async def test_the_backoff_grows_until_the_worker_has_run_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = clock_of([0.0, HEALTHY_SECONDS - 1, HEALTHY_SECONDS, 0.0])
    async with kept(NOTE + "sys.exit(1)", tmp_path / "notes", clock=clock):
        await noted(tmp_path / "notes", 5)
    codes_and_pauses = [
        record.args for record in caplog.records if record.name == "app.serving.worker_supervisor"
    ]
    assert codes_and_pauses[:4] == [(1, 0.01), (1, 0.02), (1, 0.01), (1, 0.02)]


async def test_the_worker_ends_with_the_server(tmp_path: Path) -> None:
    async with kept(NOTE + "time.sleep(3600)", tmp_path / "notes"):
        (process,) = await noted(tmp_path / "notes", 1)
        assert psutil.pid_exists(process)
    assert not psutil.pid_exists(process)


async def test_a_worker_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_supervisor, "GRACE_SECONDS", 0.1)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + NOTE
    async with kept(deaf + "time.sleep(3600)", tmp_path / "notes"):
        (process,) = await noted(tmp_path / "notes", 1)
    assert not psutil.pid_exists(process)


async def test_the_worker_has_the_settings_of_the_server(tmp_path: Path) -> None:
    code = (
        "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps(dict(os.environ)) + '\\n')"
    )
    settings = Settings(
        data=tmp_path, lease_seconds=7.5, adapter_targets=("o_proj",), record_prompts=True
    )
    async with kept(code + "; import time; time.sleep(3600)", tmp_path / "notes", settings):
        environment = json.loads(await text_of(tmp_path / "notes"))
    assert environment["SPAR_SERVER_PID"] == str(os.getpid())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("SPAR_"):
                patch.setenv(name, value)
        assert Settings(_env_file=None) == settings


async def test_the_real_worker_reports_why_it_cannot_start(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"SPAR_DATABASE_URL": "nonsense", "SPAR_DATA": str(tmp_path)},
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"error: The database URL cannot be used" in errors
