"""Pages in a real browser, over a scripted engine."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from app.db.upgrade import upgrade

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision; for copying, not for use."""
    path = tmp_path_factory.mktemp("pages") / "migrated.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser: the system's, else Playwright's own."""
    async with async_playwright() as playwright:
        executable = CHROMIUM or shutil.which(playwright.chromium.executable_path)
        if executable is None:
            pytest.fail(
                "these tests need Chromium: run `python3 scripts/setup.py --dev`, or install it"
                " (Debian: apt-get install chromium; else .venv/bin/playwright install chromium)",
                pytrace=False,
            )
        # The sandbox does not work for root in a container; only our own pages are opened.
        opened = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that may report no error of its own: neither a script's nor a policy's."""
    errors: list[str] = []
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = await context.new_page()
    opened.set_default_timeout(20_000)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console",
        lambda said: (
            errors.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )
    yield opened
    assert errors == []
