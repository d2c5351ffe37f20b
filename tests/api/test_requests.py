"""The operator's limits for one request."""

import pytest

from app.api.deps import Services
from app.api.requests import search_request
from app.api.schemas import GenerateIn
from app.config.settings import Settings
from app.errors import InvalidRequest
from tests.helpers.scripts import never, playing
from tests.helpers.serving import endpoint

LIMITS = Settings(max_nodes=8, max_seconds=20)


async def budget(**wanted: int) -> tuple[int | None, int | None]:
    """Nodes and milliseconds that a request with this budget gets."""
    services: Services = endpoint(playing(decide=never)).state.services
    services.settings = LIMITS
    body = GenerateIn.model_validate({"prompt": "Name a river.", "budget": wanted})
    found = (await search_request(body, services)).budget
    return found.max_nodes, found.deadline_ms


async def test_the_limits_are_the_defaults() -> None:
    assert await budget() == (8, 20_000)


async def test_a_request_may_lower_the_limits() -> None:
    assert await budget(max_nodes=2, deadline_ms=50) == (2, 50)


@pytest.mark.parametrize(("field", "most"), [("max_nodes", 8), ("deadline_ms", 20_000)])
async def test_no_request_may_exceed_the_limits(field: str, most: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{field}` may be at most {most} on this server"):
        await budget(**{field: most + 1})
