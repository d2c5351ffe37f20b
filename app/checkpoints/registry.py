"""The record of checkpoints, and which of them serve."""

from app.db.checkpoints import CheckpointRepository
from app.db.session import Database
from app.domain.checkpoint import Versions


async def open_registry(database: Database, model: str) -> Versions:
    """Record the base model as version 0 of both roles, and return the versions to serve."""
    async with database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.ensure_base_checkpoints(model)
        return (await checkpoints.serving()).versions
