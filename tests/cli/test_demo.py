"""`spar demo` against a server whose searched answers meet the constraints, unlike greedy ones."""

import json

import pytest
from fastapi.responses import JSONResponse

from app.cli.demo import INSTRUCTIONS
from app.constraints.catalogue import validate
from app.domain.prompt import Constraint
from tests.cli.replay import Json, Run, Server, answer

CHECK = {"id": "punctuation:no_comma", "kwargs": {}, "message": "a comma"}


def constraints(met: bool) -> list[Json]:
    return [CHECK | {"satisfied": True}, CHECK | {"satisfied": met}]


def items() -> list[Json]:
    return [json.loads(line) for line in INSTRUCTIONS.read_text().splitlines()]


def test_there_are_ten_instructions_whose_constraints_can_be_checked() -> None:
    kinds = set()
    for item in items():
        assert set(item) == {"title", "prompt", "constraints"}
        (given,) = item["constraints"]
        validate([Constraint(given["id"], given["kwargs"])])
        kinds.add(given["id"])
    assert len(kinds) == len(items()) == 10


def test_both_answers_of_every_instruction_are_compared(spar: Run, server: Server) -> None:
    server.response = JSONResponse(answer(constraints=constraints(met=False)))
    result = spar("demo", "--mode", "bfs", "--seed", "3", "--json", "--url", server.url)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert (shown["mode"], shown["seed"], len(shown["rows"])) == ("bfs", 3, 10)
    both = {"met": False, "tokens": 1234, "seconds": 8.23, "response": "Rain falls softly."}
    assert shown["rows"][0] == {"title": items()[0]["title"], "greedy": both, "search": both}
    assert [asked["mode"] for asked in server.asked] == ["greedy", "bfs"] * 10
    assert {asked["sampling"]["seed"] for asked in server.asked} == {3}
    assert server.asked[0]["constraints"] == server.asked[1]["constraints"]


def test_the_table_ends_with_totals(
    spar: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    server.response = JSONResponse(answer(constraints=constraints(met=True)))
    result = spar("demo", "--url", server.url)
    total = result.stdout.strip().splitlines()[-1].split()
    assert " ".join(total[-10:]) == "10 of 10 12,340 82.3 10 of 10 12,340 82.3"
    assert result.stderr.count("\n") == 10, "one line of progress for each instruction"


def test_greedy_is_not_compared_with_itself(spar: Run, server: Server) -> None:
    result = spar("demo", "--mode", "greedy", "--url", server.url)
    assert result.exit_code == 2
    assert server.asked == []


def test_without_a_server_it_names_the_command_that_starts_one(spar: Run) -> None:
    result = spar("demo", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "`make serve`" in result.stderr
