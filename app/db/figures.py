"""How many iterations and stages there are of each kind and status."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables import IterationRow, StageRow
from app.domain.iteration import Kind, Stage, Status


@dataclass(frozen=True, slots=True)
class IterationCounts:
    """Iterations by kind and status, and their stages by name and status; absent means none."""

    iterations: Mapping[tuple[Kind, Status], int]
    stages: Mapping[tuple[Stage, Status], int]


async def iteration_counts(session: AsyncSession) -> IterationCounts:
    """Count what the database holds, inside the caller's transaction."""
    iterations = await session.execute(
        select(IterationRow.kind, IterationRow.status, func.count()).group_by(
            IterationRow.kind, IterationRow.status
        )
    )
    stages = await session.execute(
        select(StageRow.name, StageRow.status, func.count()).group_by(
            StageRow.name, StageRow.status
        )
    )
    return IterationCounts(
        {(kind, status): count for kind, status, count in iterations},
        {(stage, status): count for stage, status, count in stages},
    )
