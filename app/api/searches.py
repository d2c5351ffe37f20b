"""`GET /searches`: what was searched before."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.deps import ServicesDep
from app.api.render import detail_out, summary_out
from app.api.schemas import SearchDetailOut, SearchPageOut
from app.db.searches import SearchRepository
from app.errors import NotFound

router = APIRouter(tags=["searches"])

Ulid = r"^[0-9A-HJKMNP-TV-Z]{26}$"


@router.get("/searches")
async def list_searches(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Searches per page.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern=Ulid, description="`next_cursor` of the page before.")
    ] = None,
) -> SearchPageOut:
    """Finished searches, newest first, without their trees."""
    async with services.database.session() as session:
        page, next_cursor = await SearchRepository(session).page(limit, cursor)
    return SearchPageOut(searches=[summary_out(item) for item in page], next_cursor=next_cursor)


@router.get("/searches/{search_id}")
async def get_search(
    search_id: Annotated[str, Path(pattern=Ulid)], services: ServicesDep
) -> SearchDetailOut:
    """One finished search with its whole tree."""
    await services.recorder.wait_for(search_id)
    async with services.database.session() as session:
        stored = await SearchRepository(session).get(search_id)
    if stored is None:
        raise NotFound(f"there is no search {search_id}")
    return detail_out(stored)
