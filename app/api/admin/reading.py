"""Reading an iteration with what belongs to it."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.api.admin.render import iteration_out
from app.api.admin.schemas import IterationOut
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, StoredIteration
from app.errors import NotFound


async def find_iteration(session: AsyncSession, iteration_id: str) -> StoredIteration:
    """The iteration of that id. Raises `NotFound`."""
    stored = await IterationRepository(session).get(iteration_id)
    if stored is None:
        raise NotFound(f"there is no iteration {iteration_id}")
    return stored


async def whole_iteration(session: AsyncSession, stored: StoredIteration) -> IterationOut:
    """The iteration with the checkpoints it made."""
    return iteration_out(stored, await CheckpointRepository(session).of_iteration(stored.id))
