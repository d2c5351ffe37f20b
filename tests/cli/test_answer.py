import json
import socket
from pathlib import Path

import pytest
from fastapi import Response

from app.serving.server_file import announced
from tests.cli.replay import Run, Server, answer, node

JUDGED = {"value": 0.8, "accepted": True, "critique": "Good."}
SEARCH = [
    ("start", {"id": "01HZSEARCH", "mode": "bfs", "checkpoint": {"actor": 0, "refiner": 0}}),
    ("node", node(1)),
    ("judged", node(1, value=0.4, critique="No.")),
    ("node", node(2, parent=1, text="Rain falls softly.")),
    ("judged", node(2, parent=1, text="Rain falls softly.") | JUDGED),
    ("accepted", {"id": 2}),
    ("something_new", {"later": "version"}),
    ("final", answer()),
]
GREEDY = [
    ("delta", {"text": "Rain "}),
    ("delta", {"text": "falls.\x1b[2J"}),
    ("final", answer(mode="greedy", response="Rain falls.\x1b[2J", accepted=None, value=None)),
]
SUMMARY = "accepted, value 0.80; stopped: accepted; 3 nodes, 12 votes, 1,234 tokens, 8.2 s; search"


def test_the_answer_alone_is_on_standard_output(spar: Run, server: Server) -> None:
    server.events = SEARCH
    result = spar("generate", "hi", "--url", server.url)
    assert result.exit_code == 0
    assert result.stdout == "Rain falls softly.\n"
    assert result.stderr == f"{SUMMARY} 01HZSEARCH\n"


def test_the_tree_is_drawn_above_the_answer(spar: Run, server: Server) -> None:
    server.events = SEARCH
    result = spar("generate", "hi", "--tree", "--url", server.url)
    assert result.stdout.splitlines() == [
        "prompt  hi",
        "└── response 1  0.40 ✗  7 tokens  Text of node 1.",
        "    └── refinement 2  0.80 ✓  7 tokens  Rain falls softly.",
        "",
        "Rain falls softly.",
    ]


def test_the_tree_of_the_final_answer_is_the_one_that_counts(spar: Run, server: Server) -> None:
    server.events = [*SEARCH[:-1], ("final", answer(tree=[node(9)]))]
    assert "response 9" in spar("generate", "hi", "--tree", "--url", server.url).stdout


def test_an_answer_that_is_not_accepted_is_still_an_answer(spar: Run, server: Server) -> None:
    server.events = [("final", answer(accepted=False, stop_reason="exhausted"))]
    result = spar("generate", "hi", "--url", server.url)
    assert result.exit_code == 0
    assert result.stderr.startswith("not accepted, value 0.80; stopped: exhausted")


def test_a_greedy_answer_has_no_control_characters(spar: Run, server: Server) -> None:
    server.events = GREEDY
    result = spar("generate", "hi", "--mode", "greedy", "--url", server.url)
    assert result.stdout == "Rain falls.[2J\n"
    assert result.stderr.startswith("not judged; ")


@pytest.mark.parametrize("events", [SEARCH, GREEDY])
def test_json_is_the_servers_object_and_nothing_else(
    spar: Run, server: Server, events: list[tuple[str, dict[str, object]]]
) -> None:
    server.events = events
    result = spar("generate", "hi", "--json", "--url", server.url)
    assert json.loads(result.stdout) == events[-1][1]
    assert result.stderr == ""
    assert "\x1b" not in result.stdout


def test_without_streaming_the_same_answer_comes_in_one_piece(spar: Run, server: Server) -> None:
    final = answer(tree=[node(1)])
    server.response = Response(json.dumps(final), media_type="application/json")
    result = spar("generate", "hi", "--no-stream", "--tree", "--url", server.url)
    assert result.stdout.splitlines()[-1] == "Rain falls softly."
    assert "response 1" in result.stdout
    assert server.asked[0]["stream"] is False
    assert server.asked[0]["include_tree"] is True


@pytest.mark.parametrize("flag", ["--stream", "--no-stream"])
def test_a_refusal_shows_the_servers_message_and_field(
    spar: Run, server: Server, flag: str
) -> None:
    server.refuse(422, message="unknown constraint `x`", field="constraints.0.id")
    result = spar("generate", "hi", flag, "--url", server.url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "error: unknown constraint `x` (field `constraints.0.id`)\n"


def test_a_field_that_the_message_names_is_not_repeated(spar: Run, server: Server) -> None:
    server.refuse(422, message="`mode`: unknown", field="mode")
    assert spar("generate", "hi", "--url", server.url).stderr == "error: `mode`: unknown\n"


def test_a_full_server_names_the_time_to_retry(spar: Run, server: Server) -> None:
    server.refuse(429, headers={"retry-after": "7"}, message="too many requests")
    result = spar("generate", "hi", "--url", server.url)
    assert result.stderr == "error: too many requests; try again in 7 s\n"


def test_an_error_during_the_stream_is_shown(spar: Run, server: Server) -> None:
    problem = {"type": "x", "title": "Gone", "status": 503, "message": "the engine died"}
    server.events = [*GREEDY[:1], ("error", problem)]
    result = spar("generate", "hi", "--url", server.url)
    assert result.exit_code == 1
    assert result.stdout == "Rain \n"
    assert result.stderr == "error: the engine died\n"


@pytest.mark.parametrize("ending", ["close", "break"])
def test_a_connection_that_breaks_is_not_an_answer(spar: Run, server: Server, ending: str) -> None:
    server.events, server.ending = SEARCH[:3], ending
    result = spar("generate", "hi", "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the connection broke before the answer was complete")


@pytest.mark.parametrize("arguments", [["generate", "hi"], ["judge", "hi", "--response", "x"]])
def test_without_a_server_the_error_names_the_next_step(spar: Run, arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = spar(*arguments, "--url", url)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no server answers at {url}; start one with `make serve` or `spar serve`,"
        " or name another one with --url or SPAR_URL\n"
    )


@pytest.mark.parametrize(
    "response",
    [
        Response("<html>hello</html>", media_type="text/html"),
        Response("<html>no</html>", 404, media_type="text/html"),
        Response("[1, 2]", media_type="application/json"),
        Response("event: node\ndata: {}\n\n", media_type="text/event-stream"),
        Response("event: node\ndata: {\n\n", media_type="text/event-stream"),
        Response("event: final\ndata: {}\n\n", media_type="text/event-stream"),
    ],
)
@pytest.mark.parametrize("flag", ["--stream", "--no-stream"])
def test_another_program_at_the_address_is_detected(
    spar: Run, server: Server, response: Response, flag: str
) -> None:
    server.response = response
    result = spar("generate", "hi", flag, "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "check that a spar server" in result.stderr


def test_the_server_may_be_named_by_the_environment(
    spar: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.events = SEARCH
    monkeypatch.setenv("SPAR_URL", server.url + "/")
    assert spar("generate", "hi").exit_code == 0


def test_loopback_requests_bypass_the_proxy(
    spar: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.events = SEARCH
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert spar("generate", "hi", "--url", server.url).exit_code == 0


def test_the_running_server_of_the_data_folder_is_found(
    spar: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.events = SEARCH
    monkeypatch.setenv("SPAR_DATA", str(tmp_path))
    with announced(tmp_path, server.url):
        assert spar("generate", "hi").exit_code == 0


def test_a_configured_port_names_the_server(
    spar: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.events = SEARCH
    monkeypatch.setenv("SPAR_PORT", server.url.rpartition(":")[2])
    assert spar("generate", "hi").exit_code == 0
    monkeypatch.setenv("SPAR_URL", "http://127.0.0.1:9")
    assert spar("generate", "hi").exit_code == 1, "SPAR_URL comes first"
