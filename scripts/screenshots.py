"""Screenshots of every page: `python scripts/screenshots.py http://127.0.0.1:8000 [--to FOLDER]`.

Takes them in Chromium from a running server: of the newest search and the newest iteration, or of
the empty states. With `--search` a search is run on the playground first.
"""

import argparse
import asyncio
import json
import shutil
from pathlib import Path
from urllib.request import urlopen

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[1]
VIEW = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
SEARCH_MS = 180_000
PROMPT = "Write a slogan for a tea shop, in at most eight words."


async def main() -> None:
    """Take all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the server's address")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--search", action="store_true", help="search on the playground first")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        await take_all(browser, given.url.rstrip("/"), given.to, search=given.search)
        await browser.close()


async def take_all(browser: Browser, url: str, folder: Path, *, search: bool) -> None:
    """Every page in light mode; one page in dark mode, one at phone size."""
    page = await browser.new_page(viewport=VIEW, color_scheme="light")  # type: ignore[arg-type]
    if search:
        await search_on(page, url)
        await shoot(page, folder / "playground.png")
    pages = pages_of(url, with_playground=not search)
    for name, path in pages.items():
        await page.goto(f"{url}{path}")
        await settle(page)
        if name == "search":
            await page.get_by_role("treeitem").last.click()
        await shoot(page, folder / f"{name}.png")
    for name, options in (
        ("playground-dark", {"viewport": VIEW, "color_scheme": "dark"}),
        ("iteration-phone", {"viewport": PHONE, "color_scheme": "light"}),
    ):
        other = await browser.new_page(**options)  # type: ignore[arg-type]
        path = pages.get(name.partition("-")[0], "/")
        await other.goto(f"{url}{path}")
        await settle(other)
        await shoot(other, folder / f"{name}.png")


def pages_of(url: str, *, with_playground: bool) -> dict[str, str]:
    """Paths by screenshot name; detail pages without data are omitted."""
    pages = {"playground": "/"} if with_playground else {}
    pages |= {name: f"/ui/{name}" for name in ("searches", "iterations", "checkpoints", "overview")}
    for name, listed, path in (
        ("search", "searches", "/searches?limit=1"),
        ("iteration", "iterations", "/admin/iterations?limit=1"),
    ):
        with urlopen(f"{url}{path}", timeout=30) as answer:
            found = json.load(answer)[listed]
        if found:
            pages[name] = f"/ui/{listed}/{found[0]['id']}"
    return pages | {"api": "/docs"}


async def search_on(page: Page, url: str) -> None:
    """Run a search on the playground and wait for its result."""
    await page.goto(url)
    await page.get_by_label("Instruction").fill(PROMPT)
    await page.get_by_label("Add a constraint").select_option("length_constraints:number_words")
    await page.get_by_label("Num words").fill("8")
    await page.get_by_label("Relation").select_option("at most")
    await page.get_by_role("button", name="Search", exact=True).click()
    await page.get_by_role("link", name="Permanent link").wait_for(timeout=SEARCH_MS)
    await page.get_by_role("treeitem").last.click()


async def settle(page: Page) -> None:
    """Wait until a page has loaded its data."""
    await page.wait_for_selector("[aria-busy=true]", state="detached")
    await page.wait_for_timeout(500)


async def shoot(page: Page, file: Path) -> None:
    """Take a screenshot of the viewport."""
    picture = await page.screenshot(path=file, animations="disabled")
    print(f"{file} ({len(picture) // 1000} kB)")


if __name__ == "__main__":
    asyncio.run(main())
