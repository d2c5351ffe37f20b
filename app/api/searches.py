"""`GET /searches`: stored searches. `POST /feedback`: ratings and corrections of their answers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator

from app.api.admin.schemas import FeedbackIn, FeedbackOut, UlidText
from app.api.deps import ServicesDep
from app.api.render import detail_out, summary_out
from app.api.schemas import SearchDetailOut, SearchPageOut, storable_text
from app.db.prompts import Feedback, FeedbackRepository
from app.db.searches import SearchFilter, SearchRepository
from app.domain.search import Mode, StopReason
from app.errors import InvalidRequest, NotFound

router = APIRouter(tags=["searches"])

Version = Annotated[int | None, Query(ge=0, lt=10**9, description="Only this version.")]


def search_filter(
    mode: Annotated[Mode | None, Query(description="Only this mode.")] = None,
    accepted: Annotated[
        bool | None, Query(description="Only accepted (true) or rejected (false) answers.")
    ] = None,
    stop_reason: Annotated[StopReason | None, Query(description="Only this reason.")] = None,
    actor: Version = None,
    refiner: Version = None,
    text: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Substring of the prompt or the answer. Each page covers a part of the"
            " searches: see `next_cursor`.",
        ),
        AfterValidator(lambda text: text if text is None else storable_text(text)),
    ] = None,
) -> SearchFilter:
    """The filters of a query."""
    return SearchFilter(mode, accepted, stop_reason, actor, refiner, text)


@router.get("/searches")
async def list_searches(
    services: ServicesDep,
    wanted: Annotated[SearchFilter, Depends(search_filter)],
    limit: Annotated[int, Query(ge=1, le=200, description="Searches per page.")] = 20,
    cursor: Annotated[
        UlidText | None, Query(description="`next_cursor` of the previous page.")
    ] = None,
) -> SearchPageOut:
    """Finished searches, newest first, without their trees; all filters must match.

    With a text or several filters a page scans at most 5,000 searches. It may then have fewer
    than `limit` although more match: `next_cursor` is null at the end.
    """
    async with services.database.session() as session:
        page, next_cursor = await SearchRepository(session).page(limit, cursor, wanted)
    return SearchPageOut(searches=[summary_out(item) for item in page], next_cursor=next_cursor)


@router.get("/searches/{search_id}")
async def get_search(
    search_id: Annotated[UlidText, Path()], services: ServicesDep
) -> SearchDetailOut:
    """One finished search with its whole tree."""
    await services.recorder.wait_for(search_id)
    async with services.database.session() as session:
        stored = await SearchRepository(session).get(search_id)
    if stored is None:
        raise NotFound(f"there is no search {search_id}")
    return detail_out(stored)


@router.post("/feedback", status_code=201)
async def give_feedback(body: FeedbackIn, services: ServicesDep) -> FeedbackOut:
    """Rate an answer, or give a better one; the next iteration's actor is trained on both."""
    if services.settings.store != "full" and (body.better or body.comment):
        raise InvalidRequest(
            "this server stores no texts: send a rating alone",
            field="better" if body.better else "comment",
        )
    await services.recorder.wait_for(body.search_id)
    async with services.database.session() as session:
        feedback_id = await FeedbackRepository(session).add(Feedback(**body.model_dump()))
    if feedback_id is None:
        raise NotFound(f"there is no search {body.search_id}", field="search_id")
    return FeedbackOut(id=feedback_id, **body.model_dump())
