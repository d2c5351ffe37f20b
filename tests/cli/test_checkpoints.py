"""Checkpoints, what is served, and feedback, through a real admin endpoint."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.checkpoints import CheckpointRepository, ServerRepository, ServerState
from app.db.iterations import IterationRepository, NewIteration
from app.db.prompts import BetterAnswer, FeedbackRepository
from app.db.searches import SearchRepository
from app.domain.checkpoint import CheckpointKind, Role, Versions
from app.domain.iteration import PRESETS
from tests.cli.endpoints import Endpoint
from tests.cli.replay import Run
from tests.db.building import search_id, searched

SEARCH = search_id(1)


async def train_actor(session: AsyncSession) -> None:
    """actor@1, ready to be served."""
    iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
    checkpoints = CheckpointRepository(session)
    version = await checkpoints.begin(
        Role.ACTOR, kind=CheckpointKind.LORA, model="base", parent=0, iteration_id=iteration
    )
    await checkpoints.complete(Role.ACTOR, version, "checkpoints/actor@1", "0" * 64)


def test_a_version_is_promoted_and_rolled_back(spar: Run, endpoint: Endpoint) -> None:
    endpoint.do(train_actor)
    promoted = spar("checkpoints", "promote", "actor@1", "--url", endpoint.url)
    assert promoted.stdout == "Promoted: actor@1, refiner@0\n"
    listed = spar("checkpoints", "--url", endpoint.url).stdout
    assert [line.split()[:3] for line in listed.splitlines()[3:-1]] == [
        ["actor@1", "yes", "promoted"],
        ["actor@0", "promoted", "base"],
        ["refiner@0", "yes", "promoted"],
    ]
    back = spar("checkpoints", "rollback", "actor", "--url", endpoint.url)
    assert back.stdout == "Promoted: actor@0, refiner@0\n"


def test_the_servers_error_is_printed(spar: Run, endpoint: Endpoint) -> None:
    unknown = spar("checkpoints", "promote", "refiner@7", "--url", endpoint.url)
    assert (unknown.exit_code, unknown.stderr) == (1, "error: there is no checkpoint refiner@7\n")
    first = spar("checkpoints", "rollback", "actor", "--url", endpoint.url)
    assert (first.exit_code, first.stderr) == (
        1,
        "error: there is no earlier version of the actor\n",
    )


@pytest.mark.parametrize("name", ["actor", "actor@x", "critic@1", "actor@-1"])
def test_an_invalid_version_name_is_a_usage_error(spar: Run, endpoint: Endpoint, name: str) -> None:
    assert spar("checkpoints", "promote", name, "--url", endpoint.url).exit_code == 2


async def break_actor(session: AsyncSession) -> None:
    await CheckpointRepository(session).record_error(Role.ACTOR, 0, "a file is\x1b[2J missing")


def test_the_error_of_a_version_is_printed_below(spar: Run, endpoint: Endpoint) -> None:
    endpoint.do(break_actor)
    listed = spar("checkpoints", "list", "--url", endpoint.url).stdout
    assert listed.endswith("actor@0: a file is[2J missing\n")


async def report_server(session: AsyncSession) -> None:
    now = datetime.now(UTC)
    broken = "actor@1: the file is\x1b[2J truncated"
    state = ServerState(SEARCH, "http://here:8000", Versions(0, 0), False, broken, now, now)
    await ServerRepository(session).report(state)


def test_serving_shows_every_server(spar: Run, endpoint: Endpoint) -> None:
    endpoint.do(report_server)
    shown = spar("serving", "--url", endpoint.url).stdout
    assert shown.startswith("Promoted: actor@0, refiner@0\n")
    assert "http://here:8000" in shown
    assert "actor@1: the file" in shown
    assert "\x1b" not in shown
    raw = json.loads(spar("serving", "--json", "--url", endpoint.url).stdout)
    assert raw["promoted"] == {"actor": 0, "refiner": 0}


async def add_search(session: AsyncSession) -> None:
    await SearchRepository(session).add(searched(SEARCH))


async def better_answers(session: AsyncSession) -> list[BetterAnswer]:
    return await FeedbackRepository(session).better_answers("any")


def test_a_better_answer_is_stored(spar: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.do(add_search)
    (tmp_path / "better.txt").write_text("Green.")
    arguments = ["--down", "--better-file", str(tmp_path / "better.txt"), "--url", endpoint.url]
    result = spar("feedback", SEARCH, *arguments)
    assert result.exit_code == 0, result.stderr
    [stored] = endpoint.do(better_answers)
    assert (stored.better, stored.feedback_id in result.stdout) == ("Green.", True)


def test_a_rating_is_stored(spar: Run, endpoint: Endpoint) -> None:
    endpoint.do(add_search)
    result = spar("feedback", SEARCH, "--up", "--json", "--url", endpoint.url)
    stored = json.loads(result.stdout)
    assert (stored["rating"], stored["better"]) == (1, None)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--up", "--down"], ["--better", "x", "--better-file", "y"], ["--better", " "]],
)
def test_empty_or_contradictory_feedback_is_a_usage_error(
    spar: Run, endpoint: Endpoint, arguments: list[str]
) -> None:
    assert spar("feedback", SEARCH, *arguments, "--url", endpoint.url).exit_code == 2


def test_feedback_on_an_unknown_search_is_an_error(spar: Run, endpoint: Endpoint) -> None:
    result = spar("feedback", SEARCH, "--up", "--url", endpoint.url)
    assert (result.exit_code, f"there is no search {SEARCH}" in result.stderr) == (1, True)
