"""Iterations and evaluations as a server of some age has them, made up."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.evaluations import EvaluationRepository, NewEvaluation
from app.db.iterations import IterationRepository, NewIteration
from app.db.tables import (
    CheckpointRow,
    EvaluatedItemRow,
    IterationRow,
    PromotionRow,
    SampleRow,
    TrainingStepRow,
)
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role, Versions
from app.domain.evaluation import EvaluationPlan
from app.domain.iteration import PRESETS, SampleKind, Status

SAMPLES, STEPS = 100, 50
"""Of each role's training in an iteration."""
EVALUATED = 541
"""Rows of an evaluation: as many as IFEval has."""
_TEXT = "Tell me of the river, in ten words, and of the stone beside it. " * 8


async def fill_iterations(session: AsyncSession, count: int) -> list[str]:
    """So many finished iterations, each of which trained and promoted both roles; their ids."""
    repository = IterationRepository(session)
    new = NewIteration("micro", PRESETS["micro"])
    ids = [await repository.add(new) for _ in range(count)]
    await session.execute(sa.update(IterationRow).values(status=Status.SUCCEEDED))
    last = await session.scalar(sa.select(sa.func.max(CheckpointRow.version))) or 0
    for version, iteration in enumerate(ids, start=last + 1):
        for role in Role:
            await session.execute(insert(CheckpointRow), [_checkpoint(iteration, role, version)])
            await session.execute(insert(SampleRow), _samples(iteration, role, version - 1))
            await session.execute(insert(TrainingStepRow), _steps(iteration, role))
        await session.execute(insert(PromotionRow), [_promotion(iteration, version)])
    return ids


async def fill_evaluations(session: AsyncSession, count: int) -> list[str]:
    """So many evaluations with all their rows; their ids."""
    plan = EvaluationPlan(
        suite="ifeval",
        source="ifeval.jsonl",
        digest="0" * 64,
        mode=None,
        options={},
        versions=Versions(0, 0),
        model="model",
        seed=0,
        limit=None,
        with_constraints=False,
    )
    new = NewEvaluation(plan=plan, total=EVALUATED, name=None, program="spar", command="spar eval")
    repository = EvaluationRepository(session)
    ids = [await repository.add(new) for _ in range(count)]
    for evaluation in ids:
        await session.execute(insert(EvaluatedItemRow), _evaluated(evaluation))
        await repository.finish(evaluation, {"accuracy": 0.5})
    return ids


def _checkpoint(iteration: str, role: Role, version: int) -> dict[str, Any]:
    return {
        "role": role,
        "version": version,
        "status": CheckpointStatus.PROMOTED,
        "kind": CheckpointKind.LORA,
        "model": "model",
        "path": f"checkpoints/{role}/{version}",
        "digest": "0" * 64,
        "parent": version - 1,
        "iteration_id": iteration,
        "evaluation": {"candidate": 0.5, "incumbent": 0.4},
        "error": None,
        "created_at": datetime.now(UTC),
    }


def _samples(iteration: str, role: Role, version: int) -> list[dict[str, Any]]:
    turn = [{"role": "assistant", "content": _TEXT}]
    of = {"iteration_id": iteration, "role": role, "search_id": str(ULID()), "node_id": 1}
    made = {
        "kind": SampleKind.PREFERENCE,
        "content": {"prompt": turn, "chosen": turn, "rejected": turn},
        "actor_version": version,
        "refiner_version": version,
    }
    return [{**of, **made, "position": position} for position in range(SAMPLES)]


def _steps(iteration: str, role: Role) -> list[dict[str, Any]]:
    metrics = {"loss": random.Random(iteration).random(), "rewards/margins": 0.1, "epoch": 0.5}
    of = {"iteration_id": iteration, "role": role, "metrics": metrics}
    return [{**of, "step": step} for step in range(1, STEPS + 1)]


def _promotion(iteration: str, version: int) -> dict[str, Any]:
    return {
        "created_at": datetime.now(UTC),
        "actor_version": version,
        "refiner_version": version,
        "cause": PromotionCause.ITERATION,
        "iteration_id": iteration,
    }


def _evaluated(evaluation: str) -> Sequence[dict[str, Any]]:
    made = {
        "evaluation_id": evaluation,
        "group": "all",
        "outcome": {"response": _TEXT},
        "score": {"strict": [1.0, 1]},
        "error": None,
        "created_at": datetime.now(UTC),
    }
    return [{**made, "key": str(at), "position": at} for at in range(EVALUATED)]
