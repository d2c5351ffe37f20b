"""The command line as a process on a terminal."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys

from tests.cli.replay import Server, answer, node

HOSTILE = "soft\x1b]0;owned\x07 rain\x9b2J [bold]x[/nope]"
COMMAND = [sys.executable, "-m", "app.cli", "generate", "hi"]
TERMINAL = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(server: Server, *arguments: str, until: str) -> tuple[int, str]:
    """Run on a terminal; the server ends when `until` was shown. Exit code, everything written."""
    server.may_end.clear()
    ours, theirs = pty.openpty()
    command = [*COMMAND, *arguments, "--url", server.url]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=TERMINAL)
    os.close(theirs)
    written = b""
    # Linux reports the closing of the other end as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            written += chunk
            if until.encode() in written:
                server.may_end.set()
    os.close(ours)
    return process.wait(), written.decode()


def test_the_tree_grows_live_and_stays_at_the_end(server: Server) -> None:
    judged = node(1, text=HOSTILE, value=0.8, critique="Good.")
    server.events = [
        ("node", node(1, text=HOSTILE)),
        ("judged", judged),
        ("accepted", {"id": 1}),
        ("final", answer(response=HOSTILE)),
    ]
    code, written = on_a_terminal(server, "--tree", until="best value 0.80")
    assert code == 0
    assert "\x1b]0;" not in written
    assert "\x9b" not in written
    shown = ESCAPES.sub("", written)
    assert "1 node, 1 judged, best value 0.80" in shown
    assert [line.rstrip() for line in shown.splitlines()[-4:]] == [
        "└── response 1  0.80 ✓  7 tokens  soft]0;owned rain2J [bold]x[/nope]",
        "",
        "soft]0;owned rain2J [bold]x[/nope]",
        "accepted, value 0.80; stopped: accepted; 3 nodes, 12 votes, 1,234 tokens, 8.2 s; "
        "search 01HZSEARCH",
    ]


def test_progress_is_removed_before_a_greedy_answer_streams(server: Server) -> None:
    server.events = [("delta", {"text": "Rain "}), ("delta", {"text": "falls."})]
    server.events.append(("final", answer(response="Rain falls.")))
    code, written = on_a_terminal(server, "--mode", "greedy", until="falls.")
    assert code == 0
    assert "Rain falls." in written
    # The cursor comes back only when the progress display is gone.
    assert written.index("\x1b[?25h") < written.index("Rain falls.")


def test_interrupting_closes_the_connection(server: Server) -> None:
    server.events, server.ending = [("delta", {"text": "Rain "})], "hang"
    command = [*COMMAND, "--mode", "greedy", "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"Rain "
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert server.client_gone.wait(10)
    assert b"Traceback" not in errors
