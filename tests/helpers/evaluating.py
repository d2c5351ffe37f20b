"""A server to evaluate: the real routes over a scripted engine, and rows to evaluate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.api import generate, system
from app.api.deps import Services
from app.checkpoints.registry import Registry
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.domain.search import Mode
from app.engine.base import AdapterEngine
from tests.helpers.serving import endpoint

NO_COMMAS: dict[str, Any] = {
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{}],
}


def evaluated_server(engine: AdapterEngine, database_url: str) -> FastAPI:
    """The routes that an evaluation uses; searches are stored in the database at the URL."""
    app = endpoint(engine)
    app.include_router(generate.router)
    app.include_router(system.router)
    database = Database(database_url)
    registry = Registry(database, Path(), engine, "base")
    registry.activate(Versions())
    services: Services = app.state.services
    services.recorder, services.registry = Recorder(database), registry
    return app


def ifeval_file(folder: Path, prompts: Sequence[str]) -> Path:
    """A file of IFEval rows, each of which forbids commas."""
    file = folder / "ifeval.jsonl"
    rows = [{"key": at, "prompt": prompt, **NO_COMMAS} for at, prompt in enumerate(prompts)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def plan_of(mode: Mode | None = Mode.GREEDY, **fields: Any) -> EvaluationPlan:
    """A plan of one vote per judgment, unless overridden by the fields."""
    search = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1, "accept_threshold": 0.5}
    values: dict[str, Any] = {
        "suite": "ifeval",
        "source": "/data/ifeval.jsonl",
        "digest": "d" * 64,
        "mode": mode,
        "options": {
            "search": search | {"early_stop": True},
            "budget": {},
            "sampling": {"max_tokens": 50},
        },
        "versions": Versions(),
        "model": "base",
        "seed": 1,
    }
    return EvaluationPlan(**(values | fields))


def row_of(key: str, position: int = 0, **fields: Any) -> EvaluatedRow:
    """A row answered correctly, unless overridden by the fields."""
    values: dict[str, Any] = {
        "group": "",
        "outcome": {"response": "Blue.", "prompt_tokens": 3, "completion_tokens": 2},
        "score": {"prompts": (1.0, 1)},
    }
    return EvaluatedRow(key, position, **(values | fields))
