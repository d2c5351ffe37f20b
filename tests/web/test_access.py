"""Accessibility: axe, the keyboard, both colour schemes, narrow screens."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.played import measure, play
from tests.web.serving import Serve, Site
from tests.web.test_playground import ask, improving_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


async def every_page(page: Page, served: Site) -> list[str]:
    """Addresses of every page, each with something on it."""
    await ask(page, served.url)
    link = page.get_by_role("link", name="Permanent link")
    search = await link.get_attribute("href")
    iteration = await play(served)
    await measure(served, 0.3, 0.5)
    rest = ("/ui/searches", "/ui/iterations", "/ui/checkpoints", "/ui/overview", "/docs")
    return ["/", f"{search}", f"/ui/iterations/{iteration}", *rest]


async def settled(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished))")


async def serious(page: Page) -> list[str]:
    """Violations that axe rates serious or critical."""
    await page.evaluate(AXE)
    found = await page.evaluate(f"() => axe.run(document, {json.dumps(RULES)})")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, serve: Serve, scheme: str) -> None:
    # The pages' policy allows only the server's own files, which axe is not.
    context = await browser.new_context(bypass_csp=True, color_scheme=scheme, viewport=DESK)  # type: ignore[arg-type]
    found = {}
    async with context, serve(improving_engine()) as served:
        page = await context.new_page()
        for path in await every_page(page, served):
            await settled(page, f"{served.url}{path}")
            if path.startswith("/ui/searches/"):
                await page.get_by_role("treeitem").last.click()
            found[path] = await serious(page)
    assert {path: trouble for path, trouble in found.items() if trouble} == {}


async def test_no_page_scrolls_sideways_on_a_phone(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        paths = await every_page(page, served)
        await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        for path in paths:
            await settled(page, f"{served.url}{path}")
            wide = await page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= PHONE["width"], path


async def test_a_rollback_works_by_keyboard(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await play(served)
        await page.goto(f"{served.url}/ui/checkpoints")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        button = page.get_by_role("button", name="Roll back").first
        await button.wait_for()
        await page.keyboard.press("Tab")
        await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        # A second Enter must not confirm by accident.
        await expect(page.get_by_role("button", name="Do nothing")).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".big").first).to_have_text("actor 0")
