"""`POST /feedback`: what a person says of a search's answer."""

from fastapi import APIRouter

from app.api.admin.schemas import FeedbackIn, FeedbackOut
from app.api.deps import ServicesDep
from app.db.prompts import Feedback, FeedbackRepository
from app.errors import InvalidRequest, NotFound

router = APIRouter(tags=["searches"])


@router.post("/feedback", status_code=201)
async def give_feedback(body: FeedbackIn, services: ServicesDep) -> FeedbackOut:
    """Rate an answer, or give a better one, from which the next iteration's actor learns."""
    if services.settings.store != "full" and (body.better or body.comment):
        raise InvalidRequest(
            "this server keeps no texts: send a rating alone",
            field="better" if body.better else "comment",
        )
    await services.recorder.wait_for(body.search_id)
    async with services.database.session() as session:
        feedback_id = await FeedbackRepository(session).add(Feedback(**body.model_dump()))
    if feedback_id is None:
        raise NotFound(f"there is no search {body.search_id}", field="search_id")
    return FeedbackOut(id=feedback_id, **body.model_dump())
