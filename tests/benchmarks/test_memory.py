"""The memory of a server and its children, and how it grows."""

import asyncio
import socket
import sys
from contextlib import closing

import pytest

from benchmarks.memory import Growth, Memory, Sample, server_at

CHILD = "import sys; held = bytearray(64 * 2**20); print('here', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], stdin=subprocess.PIPE)
sys.stdin.read()
child.communicate()
"""


async def test_what_a_server_started_is_told_apart_from_it() -> None:
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


def test_a_server_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no process"):
        server_at("http://127.0.0.1:1")


def test_growth_is_measured_from_the_first_sample_with_enough_answers() -> None:
    sizes = [(0, 100.0), (60, 180.0), (130, 200.0), (700, 230.0), (1000, 210.0)]
    samples = [Sample(answered, size, 1.0) for answered, size in sizes]
    growth = Growth.of(samples, 100, lambda sample: sample.server)
    assert growth == Growth(start=100, early=200, most=230, end=210)
    assert growth.ratio == 1.15
