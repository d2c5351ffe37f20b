"""The pages in a real browser on the real server, model and worker."""

import re
import shutil
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.integration.server import Server
from tests.integration.worker import ITERATION_SECONDS, TOPICS, Worker

SEARCH_MS = 120_000
SWAP_MS = 30_000

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser: the system's, else Playwright's own, which fails in words if missing."""
    async with async_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        opened = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose scripts may not fail."""
    errors: list[str] = []
    opened = await browser.new_page()
    opened.set_default_timeout(SEARCH_MS)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []


async def test_a_search_is_watched_and_two_modes_are_compared(page: Page, server: Server) -> None:
    await page.goto(server.url)
    await page.get_by_label("Instruction").fill("Name a river in Europe.")
    await page.get_by_label("How to search").select_option("bfs")
    await page.get_by_label("Compare with a second mode").check()
    await page.get_by_label("Second mode", exact=True).select_option("best_of_n")
    await page.get_by_text("Options", exact=True).click()
    for label, value in (
        ("Responses", "2"),
        ("Branch", "2"),
        ("Depth", "2"),
        ("Votes per judgment", "1"),
    ):
        await page.get_by_label(label).fill(value)
    await page.get_by_label("Length").fill("24")
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_role("tree")).to_have_count(2)
    links = page.get_by_role("link", name="Permanent link")
    await expect(links).to_have_count(2, timeout=SEARCH_MS)
    await expect(page.locator(".badge")).to_have_text([re.compile("Accepted|Not accepted")] * 2)

    lane = page.get_by_role("region", name="Breadth-first tree search")
    # Only the best one is sure to be judged: an accepted response ends its siblings' judgments.
    await lane.locator(".card.best").click()
    panel = lane.get_by_role("region", name="The selected node")
    await expect(panel.get_by_role("heading", level=3)).to_have_text(re.compile("Response|Rewrite"))
    await expect(panel.locator(".text").first).not_to_be_empty()
    await expect(panel.locator(".votes li")).to_have_count(1)

    await links.first.click()
    await expect(page.get_by_role("heading", level=2).first).to_have_text("Name a river in Europe.")
    await expect(page.locator(".card.best")).to_have_count(1)


async def test_a_tiny_iteration_is_followed_to_its_promotion_and_rolled_back(
    page: Page, server: Server, client: httpx.Client, worker: Worker
) -> None:
    before = promoted(client)
    # Others would come first.
    cancel_all(client)
    await page.goto(f"{server.url}/ui/iterations")
    await page.get_by_label("Size").select_option("micro")
    await page.get_by_label("Promote").select_option("always")
    prompts = "\n".join(f"Tell me about {topic}, please." for topic in TOPICS)
    await page.get_by_label("Your own prompts").fill(prompts)
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#head .badge")).to_have_text("waiting")
    worker.start()
    await expect(page.locator("#head .badge")).to_have_text(
        "finished", timeout=1000 * ITERATION_SECONDS
    )
    await expect(page.locator(".stages li.succeeded")).to_have_count(8)
    await expect(page.locator("#report .badge").first).to_be_visible()
    await expect(page.locator(".plot canvas").first).to_be_visible()
    after = promoted(client)
    role = next(name for name in ("actor", "refiner") if after[name] != before[name])

    await page.goto(f"{server.url}/ui/checkpoints")
    now = page.get_by_role("region", name=f"{role.capitalize()}: serves now")
    await expect(now.locator(".big")).to_have_text(f"{role} {after[role]}")
    servers = page.get_by_role("region", name="Servers")
    await expect(servers).to_contain_text("up to date", timeout=SWAP_MS)
    await now.get_by_role("button", name="Roll back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await expect(now.locator(".big")).to_have_text(f"{role} {before[role]}")
    await expect(servers).to_contain_text("up to date", timeout=SWAP_MS)
    assert promoted(client)[role] == before[role]


def promoted(client: httpx.Client) -> dict[str, int]:
    """The versions that are to serve."""
    versions: dict[str, int] = client.get("/admin/serving").json()["promoted"]
    return versions


def cancel_all(client: httpx.Client) -> None:
    """End what other tests have queued."""
    for queued in client.get("/admin/iterations", params={"limit": 100}).json()["iterations"]:
        client.post(f"/admin/iterations/{queued['id']}/cancel")
