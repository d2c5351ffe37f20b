"""`GET /searches`: what was searched before."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator

from app.api.deps import ServicesDep
from app.api.render import detail_out, summary_out
from app.api.schemas import SearchDetailOut, SearchPageOut, storable_text
from app.db.searches import SearchFilter, SearchRepository
from app.domain.search import Mode, StopReason
from app.errors import NotFound

router = APIRouter(tags=["searches"])

Ulid = r"^[0-9A-HJKMNP-TV-Z]{26}$"


Version = Annotated[int | None, Query(ge=0, lt=10**9, description="Of this version only.")]


def search_filter(
    mode: Annotated[Mode | None, Query(description="Of this mode only.")] = None,
    accepted: Annotated[
        bool | None, Query(description="With an accepted answer, or with a rejected one.")
    ] = None,
    stop_reason: Annotated[StopReason | None, Query(description="Ended so.")] = None,
    actor: Version = None,
    refiner: Version = None,
    text: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Occurs in the prompt or in the answer. It is looked for in a part of the"
            " searches at a time: see `next_cursor`.",
        ),
        AfterValidator(lambda text: text if text is None else storable_text(text)),
    ] = None,
) -> SearchFilter:
    """Which searches the query asks for."""
    return SearchFilter(mode, accepted, stop_reason, actor, refiner, text)


@router.get("/searches")
async def list_searches(
    services: ServicesDep,
    wanted: Annotated[SearchFilter, Depends(search_filter)],
    limit: Annotated[int, Query(ge=1, le=200, description="Searches per page.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern=Ulid, description="`next_cursor` of the page before.")
    ] = None,
) -> SearchPageOut:
    """Finished searches, newest first, without their trees; filters narrow them down together.

    With a text, or with several filters, a page looks at 5,000 searches at most. So it may hold
    fewer than `limit`, or none, although there are more: `next_cursor` is null when there are not.
    """
    async with services.database.session() as session:
        page, next_cursor = await SearchRepository(session).page(limit, cursor, wanted)
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
