import json
from pathlib import Path
from typing import Any

from fastapi import Response

from tests.cli.replay import Run, Server, answer

JUDGMENT: dict[str, Any] = {
    "accepted": False,
    "value": 0.5,
    "votes": [
        {"verdict": True, "probability": 0.75, "critique": "It names rain."},
        {"verdict": False, "probability": 0.25, "critique": "[red]Too long.[/x]\x1b[2J"},
    ],
    "critique": "- 132 words, at most 100 allowed",
    "constraints": [
        {
            "id": "length_constraints:number_words",
            "kwargs": {"num_words": 100},
            "satisfied": False,
            "message": "132 words, at most 100 allowed",
        }
    ],
    "checkpoint": {"actor": 0, "refiner": 0},
    "usage": answer()["usage"],
}


def judgment() -> Response:
    return Response(json.dumps(JUDGMENT), media_type="application/json")


def test_a_judgment_shows_votes_and_constraints(spar: Run, server: Server) -> None:
    server.response = judgment()
    result = spar("judge", "hi", "--response", "x", "--url", server.url)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[0] == "not accepted, value 0.50"
    assert "1 yes 0.75 It names rain." in lines
    assert "2 no 0.25 [red]Too long.[/x][2J" in lines
    assert "length_constraints:number_words no 132 words, at most 100 allowed" in lines


def test_a_judgment_by_quick_verdict_shows_it(spar: Run, server: Server) -> None:
    quick = {**JUDGMENT, "value": 0.03, "votes": [], "quick_verdict": 0.03}
    server.response = Response(json.dumps(quick), media_type="application/json")
    result = spar("judge", "hi", "--response", "x", "--url", server.url)
    assert result.stdout.splitlines()[1] == "P(yes) at quick verdict: 0.03"


def test_json_is_the_servers_object_and_nothing_else(spar: Run, server: Server) -> None:
    server.response = judgment()
    result = spar("judge", "hi", "--response", "x", "--json", "--url", server.url)
    assert json.loads(result.stdout) == JUDGMENT
    assert result.stderr == ""


def test_every_option_reaches_its_field(spar: Run, server: Server, tmp_path: Path) -> None:
    server.response = judgment()
    file = tmp_path / "response.txt"
    file.write_bytes("Réponse\r\nlonge".encode())
    options = [
        "--votes",
        "3",
        "--accept-threshold",
        "0.6",
        "--quick-verdict",
        "--seed",
        "5",
        "--constraint",
        "a:b",
    ]
    spar("judge", "hi", "--response-file", str(file), *options, "--url", server.url)
    assert server.asked == [
        {
            "prompt": "hi",
            "response": "Réponse\r\nlonge",
            "constraints": [{"id": "a:b", "kwargs": {}}],
            "search": {"votes": 3, "accept_threshold": 0.6, "quick_verdict": True},
            "seed": 5,
        }
    ]


def test_an_empty_response_can_be_judged(spar: Run, server: Server) -> None:
    server.response = judgment()
    assert spar("judge", "hi", "--response", "", "--url", server.url).exit_code == 0
    assert server.asked[0]["response"] == ""
