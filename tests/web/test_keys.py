"""Pages of a server that requires keys."""

import pytest
from playwright.async_api import Page, expect

from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.domain.key import Key, KeyLimits, Scope
from app.keys.cache import digest_of, make_key
from tests.web.serving import Serve, Site
from tests.web.test_playground import improving_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUIRED = Settings(_env_file=None, keys="required")


async def new_key(served: Site, *scopes: Scope) -> str:
    made = make_key()
    key = Key(made.id, scopes[0], frozenset(scopes), digest_of(made.secret), KeyLimits())
    async with served.services.database.session() as session:
        assert await KeyRepository(session).add(key)
    return made.text


async def give(page: Page, key: str) -> None:
    dialog = page.get_by_role("dialog", name="This server requires a key")
    await dialog.get_by_label("Key").fill(key)
    await dialog.get_by_role("button", name="Use this key").click()


async def test_a_key_is_requested_kept_in_the_tab_and_removed(page: Page, serve: Serve) -> None:
    async with serve(improving_engine(), REQUIRED) as served:
        await page.goto(f"{served.url}/ui/overview")
        await give(page, "spar_wrong")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("The previous key was not accepted")
        await give(page, await new_key(served, Scope.ADMIN))
        await expect(page.get_by_role("status")).to_contain_text("All systems work")
        await page.goto(f"{served.url}/ui/iterations")
        await expect(page.get_by_role("heading", name="No iterations yet")).to_be_visible()
        assert await page.context.cookies() == []
        assert await page.evaluate("() => localStorage.length") == 0
        await page.get_by_role("button", name="Remove the key").click()
        await expect(dialog).to_be_visible()
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("alert")).to_contain_text("send a key")


async def test_a_key_for_searches_is_not_enough_for_admin_pages(page: Page, serve: Serve) -> None:
    async with serve(improving_engine(), REQUIRED) as served:
        await page.goto(f"{served.url}/ui/checkpoints")
        await give(page, await new_key(served, Scope.GENERATE))
        await expect(page.get_by_role("alert")).to_contain_text("requires: admin")
        await page.goto(served.url)
        await page.get_by_label("Instruction").fill("Count to three.")
        await page.get_by_role("button", name="Search", exact=True).click()
        await expect(page.locator(".badge")).to_have_text("Accepted")
