"""The stages of an iteration, printed by a separate process on a terminal."""

import contextlib
import os
import pty
import subprocess
import sys

from tests.cli.admin import ITERATION, REPORT, ended, iteration, stage, step
from tests.cli.replay import Server
from tests.cli.test_terminal import ESCAPES, TERMINAL

COMMAND = [sys.executable, "-m", "app.cli", "iterations", "follow", ITERATION]
RESPONDED = stage("respond", "succeeded", 96, 96, responses=96)


def on_a_terminal(server: Server, *, until: str) -> tuple[int, str]:
    """Follow on a terminal; the server ends when `until` was shown.

    Exit code, and everything written, without its colours.
    """
    server.may_end.clear()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--url", server.url], stdout=theirs, stderr=theirs, env=TERMINAL
    )
    os.close(theirs)
    written = b""
    # Linux reports the closing of the other end as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            written += chunk
            if until in ESCAPES.sub("", written.decode(errors="replace")):
                server.may_end.set()
    os.close(ours)
    return process.wait(), ESCAPES.sub("", written.decode())


def test_bars_stay_and_training_is_seen_live(server: Server) -> None:
    training = iteration(RESPONDED, stage("train", "running", 3, 12), stage="train")
    end = ended(report=REPORT)
    server.events = [
        ("iteration", training),
        ("step", step(3, margin=0.021, accuracy=0.75)),
        ("iteration", end),
    ]
    server.routes = {f"GET /admin/iterations/{ITERATION}": end}
    code, written = on_a_terminal(server, until="actor step 3/12, loss 0.690, margin 0.021, acc")
    assert code == 0
    lines = [" ".join(line.split()) for line in written.splitlines()]
    bars = [line for line in lines if line.startswith("respond ━")]
    assert bars[-1].endswith("24/24 31 s")
    assert [line.split()[0] for line in lines if "━" in line][-8:] == [
        one["name"] for one in end["stages"]
    ]
    assert lines[-1].endswith("succeeded after 8 min 5 s")
    assert "actor: promoted (better: strict accuracy)" in lines
