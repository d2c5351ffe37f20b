"""The page of searches with a text filter, which scans a part of the searches per request."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.db.building import search_id
from tests.web.serving import Serve
from tests.web.test_playground import ask, improving_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = 20
"""How many parts the page scans in one load."""


async def test_a_text_filter_scans_older_searches_on_request(page: Page, serve: Serve) -> None:
    asked: list[str] = []

    async def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= PARTS + 1:
            cursor = search_id(len(asked))
            await route.fulfill(json={"searches": [], "next_cursor": cursor})
        else:
            await route.continue_(url=f"{served.url}/searches")

    async with serve(improving_engine()) as served:
        await ask(page, served.url, "greedy")
        await page.get_by_role("link", name="Permanent link").wait_for()
        await page.route(re.compile("//[^/]+/searches[?]"), answer)
        await page.goto(f"{served.url}/ui/searches?text=five")
        further = page.get_by_role("button", name="Search older searches")
        await expect(further).to_be_visible()
        assert len(asked) == PARTS
        assert f"cursor={search_id(PARTS - 1)}" in asked[-1]
        await further.click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert f"cursor={search_id(PARTS + 1)}" in asked[-1]
        assert await further.count() == 0
