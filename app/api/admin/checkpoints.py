"""`/admin/checkpoints` and `/admin/serving`: what there is to serve, and what is served."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.admin.render import promotion_out, server_out, version_out
from app.api.admin.schemas import PromotionPageOut, ServingOut, VersionsOut
from app.api.deps import ServicesDep
from app.api.render import checkpoint_out
from app.api.schemas import CheckpointOut
from app.db.checkpoints import CheckpointRepository, ServerRepository, StoredCheckpoint
from app.domain.checkpoint import (
    CheckpointStatus,
    PromotionCause,
    Role,
    Versions,
    served_name,
)
from app.errors import Conflict, NotFound

router = APIRouter(prefix="/admin", tags=["checkpoints"])

SEEN_WITHIN = timedelta(seconds=30)


@router.get("/checkpoints")
async def list_checkpoints(services: ServicesDep) -> VersionsOut:
    """Every version of each role."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        serving = (await checkpoints.serving()).versions
        stored = await checkpoints.all()
    return VersionsOut(checkpoints=[version_out(one, serving) for one in stored])


@router.post("/checkpoints/{role}/{version}/promote")
async def promote_checkpoint(
    role: Role, version: Annotated[int, Path(ge=0, le=2**31 - 1)], services: ServicesDep
) -> CheckpointOut:
    """Have every server serve this version of one role. Gives what is to be served now."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.lock_serving()
        stored = await checkpoints.get(role, version)
        if stored is None:
            raise NotFound(f"there is no checkpoint {served_name(role, version)}")
        serving = (await checkpoints.serving()).versions
        _check_promotable(stored, serving)
        versions = serving.with_version(role, version)
        await checkpoints.promote(versions, PromotionCause.PROMOTE)
    return checkpoint_out(versions)


@router.post("/checkpoints/{role}/rollback")
async def roll_back(role: Role, services: ServicesDep) -> CheckpointOut:
    """Have every server serve what it served before for one role. Gives what is served now."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.lock_serving()
        version = await checkpoints.previous_version(role)
        if version is None:
            raise Conflict(f"nothing was served before the first {role}")
        versions = (await checkpoints.serving()).versions.with_version(role, version)
        await checkpoints.promote(versions, PromotionCause.ROLLBACK)
    return checkpoint_out(versions)


@router.get("/promotions")
async def list_promotions(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Promotions per page.")] = 20,
    cursor: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="`next_cursor` of the page before.")
    ] = None,
) -> PromotionPageOut:
    """What served when, newest first, and why that changed."""
    async with services.database.session() as session:
        found = await CheckpointRepository(session).history(limit + 1, cursor)
    page = [promotion_out(one) for one in found[:limit]]
    return PromotionPageOut(
        promotions=page, next_cursor=page[-1].id if len(found) > limit else None
    )


@router.get("/serving")
async def serving(services: ServicesDep) -> ServingOut:
    """What is promoted, and what each server seen in the last 30 seconds serves."""
    async with services.database.session() as session:
        promoted = (await CheckpointRepository(session).serving()).versions
        servers = await ServerRepository(session).seen_since(datetime.now(UTC) - SEEN_WITHIN)
    return ServingOut(
        promoted=checkpoint_out(promoted), servers=[server_out(state) for state in servers]
    )


def _check_promotable(stored: StoredCheckpoint, serving: Versions) -> None:
    name = served_name(stored.role, stored.version)
    if stored.status is CheckpointStatus.TRAINING:
        raise Conflict(f"the training of {name} is not complete")
    if serving.of(stored.role) == stored.version:
        raise Conflict(f"{name} serves already")
