"""`spar reproduce ablations`: what is queued, from which versions, and how it is gone on with."""

from pathlib import Path
from typing import Any

import pytest

from app.cli.admin import Admin
from app.cli.reproduce.ablations import Plan, _play, _prompts
from app.domain.checkpoint import Versions
from app.errors import ConfigurationError
from app.evaluation.reproduce.ablations import Variant
from app.evaluation.reproduce.journal import Journal
from tests.cli.admin import ITERATION, ended
from tests.cli.replay import Server

QUEUE = "POST /admin/iterations"
SHOW = f"GET /admin/iterations/{ITERATION}"
PLAN = Plan("micro", 2, ("data.prompts=12",), Versions())
TRAINED = [{"role": "actor", "version": 4, "status": "promoted"}]


def ready(server: Server, actor: int) -> None:
    """A server that serves this actor, and whose iterations end at once with another one."""
    done = ended(checkpoints=TRAINED)
    server.events = [("iteration", done)]
    serving = {"promoted": {"actor": actor, "refiner": 0}, "servers": []}
    server.routes = {
        QUEUE: done,
        SHOW: done,
        "GET /admin/serving": serving,
        "POST /admin/checkpoints/actor/0/promote": {"actor": 0, "refiner": 0},
        "POST /admin/checkpoints/actor/4/promote": {"actor": 4, "refiner": 0},
    }


def queued(server: Server) -> list[Any]:
    return [body for body in server.asked if body and "overrides" in body]


def test_a_variant_starts_from_the_versions_of_the_beginning(
    server: Server, tmp_path: Path
) -> None:
    ready(server, actor=3)
    journal = Journal(tmp_path, "ablations", {})
    variant = Variant("no tree search", 2, {"mode": "greedy"})
    with Admin(server.url) as admin:
        end = _play(admin, journal, PLAN, variant, seed=5)
    assert end == Versions(actor=4)
    assert server.calls[:3] == [
        "GET /admin/serving",
        "POST /admin/checkpoints/actor/0/promote",
        QUEUE,
    ]
    asked = queued(server)
    assert [one["promote"] for one in asked] == ["always", "always"]
    assert asked[0]["overrides"] == {"data": {"prompts": 12, "mode": "greedy"}, "seed": 5}


def test_an_iteration_that_was_queued_is_followed_and_not_queued_again(
    server: Server, tmp_path: Path
) -> None:
    ready(server, actor=0)
    journal = Journal(tmp_path, "ablations", {})
    journal.add("whole/0", {"iteration": ITERATION})
    with Admin(server.url) as admin:
        _play(admin, journal, PLAN, Variant("whole", 2, {}), seed=0)
    assert len(queued(server)) == 1
    assert set(journal.rows) == {"whole/0", "whole/1"}


@pytest.mark.parametrize(
    ("preset", "override", "message"),
    [("huge", "seed=1", "no preset 'huge'"), ("micro", "data.colour=1", "colour")],
)
def test_options_that_there_are_not_are_said(preset: str, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _prompts(Plan(preset, 1, (override,), Versions()))
