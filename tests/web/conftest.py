"""Pages in a real browser, over a scripted engine; one browser serves all tests."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.engine.base import AdapterEngine
from tests.web.serving import DEFAULTS, Serve, Site, site

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def serve(migrated_file: Path, tmp_path: Path, checker: Checker) -> Serve:
    """Serves the test's own site; its files are in the test's folder."""

    def serve(
        engine: AdapterEngine, settings: Settings = DEFAULTS
    ) -> AbstractAsyncContextManager[Site]:
        return site(engine, migrated_file, tmp_path, checker, settings)

    return serve


@pytest_asyncio.fixture(scope="session", loop_scope="session")
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


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page; the test fails if it reports a script error or a policy violation."""
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
    await context.close()
    assert errors == []
