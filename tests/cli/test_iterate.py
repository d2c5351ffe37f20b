"""`spar iterate` and `spar iterations`, against what a server sends."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.admin import ITERATION, REPORT, ended, iteration, stage, step
from tests.cli.replay import Run, Server, problem_of

QUEUE = "POST /admin/iterations"
SHOW = f"GET /admin/iterations/{ITERATION}"
RESPONDED = stage("respond", "succeeded", 96, 96, responses=96, mean_length=41.26)
RUN = [
    ("iteration", iteration(status="queued")),
    ("iteration", iteration(stage("respond", "running", 12, 96), stage="respond")),
    ("something_new", {"later": "version"}),
    ("iteration", iteration(RESPONDED, stage("train", "running", 0, 12), stage="train")),
    ("step", step(1, margin=0.021, accuracy=0.75)),
]
SUCCEEDED = ended(
    checkpoints=[{"role": "actor", "version": 1, "status": "promoted"}], report=REPORT
)


def play(server: Server, *events: tuple[str, Any], end: dict[str, Any]) -> None:
    """Have the server queue an iteration, send these events, and end it so."""
    server.events = [*events, ("iteration", end)]
    server.routes = {QUEUE: iteration(status="queued"), SHOW: end}


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_options_reach_the_server(spar: Run, server: Server) -> None:
    play(server, end=SUCCEEDED)
    options = ["--preset", "micro", "--promote", "never", "--seed", "3"]
    values = [
        "--set",
        "data.prompts=12",
        "--set",
        "data.accept_threshold=0.6",
        "--set",
        "actor.kind=full",
    ]
    spar("iterate", *options, *values, "--detach", "--url", server.url)
    assert server.asked == [
        {
            "preset": "micro",
            "promote": "never",
            "kind": "self_play",
            "overrides": {
                "data": {"prompts": 12, "accept_threshold": 0.6},
                "actor": {"kind": "full"},
                "seed": 3,
            },
        }
    ]


def test_detached_it_names_the_command_to_follow(spar: Run, server: Server) -> None:
    play(server, end=SUCCEEDED)
    result = spar("iterate", "--detach", "--url", server.url)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"Iteration {ITERATION} is queued.",
        f"Follow it: spar iterations follow {ITERATION}",
    ]
    assert server.calls == [QUEUE]


def test_every_stage_is_a_line_and_the_report_a_table(spar: Run, server: Server) -> None:
    play(server, *RUN, end=SUCCEEDED)
    result = spar("iterate", "--url", server.url)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[:2] == [
        f"iteration {ITERATION} (tiny), queued",
        "respond  succeeded  96/96  31 s  responses 96, mean length 41.3",
    ]
    assert len(lines) == 1 + 8, "one line for each stage that has ended"
    shown = squeezed(result.stdout)
    assert "actor strict accuracy 0.250 0.375 +0.125 +0.115 to +0.135 32" in shown
    assert "judged 0.500 0.450 -0.050 -0.060 to -0.040 32" in shown
    assert "actor: promoted (better: strict accuracy)" in shown
    assert "refiner: not promoted (nothing was trained)" in shown
    assert shown[-1] == f"iteration {ITERATION} (tiny) succeeded after 8 min 5 s; actor@1 promoted"


def test_json_is_the_iteration_as_it_ended_and_nothing_else(spar: Run, server: Server) -> None:
    play(server, *RUN, end=SUCCEEDED)
    result = spar("iterate", "--json", "--url", server.url)
    assert json.loads(result.stdout) == SUCCEEDED
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended("failed", error="out of memory\x1b[2J in training"), "out of memory[2J in training"),
        (ended("cancelled"), "cancelled after"),
    ],
)
def test_what_does_not_succeed_is_an_error_with_its_reason(
    spar: Run, server: Server, end: dict[str, Any], words: str
) -> None:
    play(server, *RUN, end=end)
    result = spar("iterate", "--url", server.url)
    assert result.exit_code == 1
    assert words in result.output
    assert "\x1b" not in result.output


def test_a_report_of_another_form_is_shown_as_json(spar: Run, server: Server) -> None:
    play(server, end=ended(report={"figures": [1, 2]}))
    assert '"figures": [' in spar("iterate", "--url", server.url).stdout


def test_a_refusal_shows_the_servers_message_and_field(spar: Run, server: Server) -> None:
    server.routes[QUEUE] = problem_of(422, message="there is no preset 'x'", field="preset")
    result = spar("iterate", "--preset", "x", "--url", server.url)
    assert (result.exit_code, result.stderr) == (
        1,
        "error: there is no preset 'x' (field `preset`)\n",
    )


def test_a_lost_connection_is_reopened(
    spar: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.iterations.RECONNECT_SECONDS", 0)
    server.events, server.later = [("iteration", iteration())], [("iteration", SUCCEEDED)]
    server.routes, follow = {SHOW: SUCCEEDED}, f"{SHOW}/events"
    result = spar("iterations", "follow", ITERATION, "--url", server.url)
    assert result.exit_code == 0, result.output
    assert server.calls == [follow, follow, SHOW]


def test_a_failed_first_connection_is_an_error_at_once(spar: Run, server: Server) -> None:
    result = spar("iterations", "follow", ITERATION, "--url", server.url)
    assert result.exit_code == 1
    assert "the server ended its events early" in result.stderr


def test_an_interrupt_leaves_it_running_and_names_the_next_commands(server: Server) -> None:
    server.events, server.ending = [("iteration", iteration(RESPONDED))], "hang"
    command = [sys.executable, "-m", "app.cli", "iterations", "follow", ITERATION]
    with subprocess.Popen(
        [*command, "--url", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        while b"respond" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert f"spar iterations follow {ITERATION}".encode() in errors
    assert f"spar iterations cancel {ITERATION}".encode() in errors
    assert b"Traceback" not in errors
    assert not any("cancel" in call for call in server.calls)


@pytest.mark.parametrize("command", [["iterations"], ["iterations", "list"]])
def test_iterations_are_listed(spar: Run, server: Server, command: list[str]) -> None:
    page = {"iterations": [SUCCEEDED, iteration(stage="judge")], "next_cursor": None}
    server.routes["GET /admin/iterations"] = page
    result = spar(*command, "--url", server.url)
    lines = squeezed(result.stdout)
    assert f"{ITERATION} succeeded promote 01 Jan 00:00 actor@1" in lines
    assert f"{ITERATION} running judge 01 Jan 00:00" in lines
    assert json.loads(spar(*command, "--json", "--url", server.url).stdout) == page


def test_an_iteration_is_shown(spar: Run, server: Server) -> None:
    server.routes[SHOW] = SUCCEEDED
    shown = squeezed(spar("iterations", "show", ITERATION, "--url", server.url).stdout)
    assert "respond succeeded 24/24 31 s" in shown
    assert "actor: promoted (better: strict accuracy)" in shown


def test_cancelling_and_resuming(spar: Run, server: Server) -> None:
    path = f"POST /admin/iterations/{ITERATION}"
    server.routes = {
        f"{path}/cancel": iteration(cancel_requested=True),
        f"{path}/resume": iteration(status="queued"),
    }
    cancelled = spar("iterations", "cancel", ITERATION, "--url", server.url)
    assert cancelled.stdout.startswith(f"Iteration {ITERATION} is running, and ends as soon as")
    resumed = spar("iterations", "resume", ITERATION, "--url", server.url)
    assert resumed.stdout == (
        f"Iteration {ITERATION} is queued.\nFollow it: spar iterations follow {ITERATION}\n"
    )
    assert cancelled.stdout.endswith(f"\nResume it: spar iterations resume {ITERATION}\n")
    as_json = spar("iterations", "cancel", ITERATION, "--json", "--url", server.url)
    assert json.loads(as_json.stdout) == server.routes[f"{path}/cancel"]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ([], {}),
        (["seed=1", "data.prompts=2"], {"seed": 1, "data": {"prompts": 2}}),
        (['roles=["actor"]'], {"roles": ["actor"]}),
        (["actor.kind=full", "note=a=b"], {"actor": {"kind": "full"}, "note": "a=b"}),
        (["data.accept_threshold=NaN"], {"data": {"accept_threshold": "NaN"}}),
        (["seed=1", "seed=2"], {"seed": 2}),
    ],
)
def test_overrides_are_nested_json(texts: list[str], values: dict[str, Any]) -> None:
    from app.cli.iterations import parse_overrides

    assert parse_overrides(texts) == values


@pytest.mark.parametrize("text", ["seed", "=1", "data..x=1", ".=1"])
def test_an_override_without_name_or_value_is_a_usage_error(
    spar: Run, server: Server, text: str
) -> None:
    result = spar("iterate", "--set", text, "--url", server.url)
    assert result.exit_code == 2
    assert "--set" in result.stderr


def test_a_value_and_a_group_cannot_have_one_name(spar: Run, server: Server) -> None:
    result = spar("iterate", "--set", "data=1", "--set", "data.prompts=1", "--url", server.url)
    assert result.exit_code == 2
