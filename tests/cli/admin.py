"""Responses of the admin endpoint, built by hand."""

from typing import Any

from app.domain.iteration import PRESETS
from tests.cli.replay import Json

ITERATION = "01HZ00000000000000ITERATED"
STAGES = ["prompts", "respond", "judge", "refine", "build", "train", "evaluate", "promote"]
TIMES = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:31Z"}


def stage(name: str, status: str = "queued", done: int = 0, total: int = 0, **metrics: Any) -> Json:
    """One stage; it took 31 seconds if it has ended."""
    times: Json = {"started_at": None, "finished_at": None}
    if status == "succeeded":
        times = TIMES
    return {
        "name": name,
        "status": status,
        "done": done,
        "total": total,
        "metrics": metrics,
    } | times


def iteration(*stages: Json, **fields: Any) -> Json:
    """An iteration; stages that are not given have not begun."""
    given = {one["name"]: one for one in stages}
    return {
        "id": ITERATION,
        "status": "running",
        "stage": None,
        "stages": [given.get(name, stage(name)) for name in STAGES],
        "kind": "self_play",
        "preset": "tiny",
        "promote": "gate",
        "options": PRESETS["tiny"].model_dump(mode="json"),
        "checkpoints": [],
        "report": None,
        "error": None,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
        "cancel_requested": False,
        **fields,
    }


def comparison(name: str, incumbent: float, candidate: float) -> Json:
    """One metric as the gate reports it."""
    difference = candidate - incumbent
    return {
        "name": name,
        "candidate": candidate,
        "incumbent": incumbent,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "gained": 0.9,
        "lost": 0.0,
        "p": 0.04,
        "n": 32,
    }


REPORT: Json = {
    "promoted": ["actor"],
    "reasons": {"actor": "better: strict accuracy", "refiner": "nothing was trained"},
    "reports": {
        "actor": {
            "role": "actor",
            "primary": comparison("strict accuracy", 0.25, 0.375),
            "others": [comparison("judged", 0.5, 0.45)],
            "n_prompts": 32,
        }
    },
}


def ended(status: str = "succeeded", **fields: Any) -> Json:
    """An iteration that has ended after eight minutes."""
    stages = [stage(name, "succeeded", 24, 24) for name in STAGES]
    times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:08:05Z"}
    return iteration(*stages, **{"status": status, "stage": "promote"} | times | fields)


def step(number: int, **metrics: Any) -> Json:
    """One training step of the actor."""
    return {"role": "actor", "step": number, "metrics": {"total_steps": 12, "loss": 0.69} | metrics}
