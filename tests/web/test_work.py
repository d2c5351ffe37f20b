"""Iterations, checkpoints and the overview, in a real browser over a scripted engine."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from app.domain.checkpoint import Role
from app.domain.iteration import Policy, Status
from tests.helpers.iterating import Trainer
from tests.web.played import measure, play, play_out, until_served
from tests.web.playing import HOSTILE
from tests.web.serving import Serve
from tests.web.test_playground import ask, improving_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_iteration_is_started_and_followed_to_its_promotion(
    page: Page, serve: Serve
) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(f"{served.url}/ui/iterations")
        await expect(page.get_by_role("heading", name="No iterations yet")).to_be_visible()
        await page.get_by_label("Promote").select_option("always")
        await page.get_by_label("Your own prompts").fill("Name a tea.\nName a river.")
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_url(re.compile("/ui/iterations/[0-9A-Z]{26}$"))
        await expect(page.locator("#head .badge")).to_have_text("waiting")
        await expect(page.locator(".stages li")).to_have_count(8)

        await play_out(served, page.url.rpartition("/")[2])
        await expect(page.locator("#head .badge")).to_have_text("finished")
        await expect(page.locator(".stages li.succeeded")).to_have_count(8)
        await expect(page.locator("#report .badge")).to_have_text(["promoted", "promoted"])
        await expect(page.locator("#report svg").first).to_be_visible()
        loss = page.get_by_role("img", name=re.compile("Actor: loss. loss from 1.00 to 0.500"))
        await expect(loss.locator("canvas")).to_be_visible()
        pair = page.locator(".sample")
        await expect(pair.locator("ins, del").first).to_be_visible()
        await page.get_by_role("button", name="Next sample").click()
        await expect(page.locator("#data [role=status]")).to_have_text(re.compile("^2 of "))
        await page.get_by_role("button", name="Side by side").click()
        await expect(pair.get_by_role("heading", name="Rejected")).to_be_visible()
        await page.get_by_role("button", name="Refiner").click()
        await expect(pair).to_contain_text(re.compile("Repair|Judgment"))


async def test_an_iteration_is_cancelled_and_resumed(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        iteration = await served.player.queue()
        await page.goto(f"{served.url}/ui/iterations/{iteration}")
        await page.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Do nothing").click()
        assert (await served.player.iteration(iteration)).status is Status.QUEUED
        await page.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Cancel it").click()
        await expect(page.locator("#head .badge")).to_have_text("cancelled")
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator("#head .badge")).to_have_text("waiting")
        await page.goto(f"{served.url}/ui/iterations")
        await expect(page.locator("tbody tr")).to_contain_text("waiting")


async def test_training_is_shown_while_it_runs(page: Page, serve: Serve) -> None:
    class Patient(Trainer):
        """Continues when `go_on` is set."""

        def __init__(self) -> None:
            super().__init__()
            self.go_on = asyncio.Event()

        async def __call__(self, config, on_progress, **more):  # type: ignore[no-untyped-def]
            await super().__call__(config, on_progress, **more)
            await self.go_on.wait()

    async with serve(improving_engine()) as served:
        trainer = served.player.trainer = Patient()
        iteration = await served.player.queue()
        await page.goto(f"{served.url}/ui/iterations/{iteration}")
        running = asyncio.create_task(play_out(served, iteration))
        training = page.locator(".stages li", has=page.get_by_text("Train", exact=True))
        await expect(training.locator(".badge")).to_have_text("running")
        await expect(page.locator(".plot canvas").first).to_be_visible()
        trainer.go_on.set()
        await running
        await expect(page.locator("#head .badge")).to_have_text("finished")


async def test_a_version_is_rolled_back_and_promoted_again(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await play(served)
        await measure(served, 0.3, 0.5)
        await until_served(served, Role.ACTOR, 1)
        await page.goto(f"{served.url}/ui/checkpoints")
        now = page.get_by_role("region", name="Actor: serves now")
        await expect(now.locator(".big")).to_have_text("actor 1")
        await expect(page.get_by_role("region", name="Servers")).to_contain_text("up to date")
        await now.get_by_role("button", name="Roll back").click()
        dialog = page.get_by_role("dialog", name="Roll the actor back to version 0?")
        await expect(dialog).to_contain_text("Searches that run now finish on actor 1")
        await dialog.get_by_role("button", name="Roll back").click()
        await expect(now.locator(".big")).to_have_text("actor 0")
        await until_served(served, Role.ACTOR, 0)
        assert served.services.registry.versions.refiner == 1

        await page.get_by_role("button", name="Promote actor 1").click()
        await page.get_by_role("dialog").get_by_role("button", name="Promote").click()
        await expect(now.locator(".big")).to_have_text("actor 1")
        await until_served(served, Role.ACTOR, 1)
        await expect(page.locator(".history li")).to_have_count(3)
        await page.get_by_label("What to show").select_option("ifeval, greedy: prompts")
        chart = page.get_by_role("img", name=re.compile("prompts from 30.0 % to 50.0 %"))
        await expect(chart.locator("canvas")).to_be_visible()


async def test_promoting_a_rejected_version_shows_a_warning(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await play(served, promote=Policy.NEVER)
        await page.goto(f"{served.url}/ui/checkpoints")
        await page.get_by_role("button", name="Promote actor 1").click()
        await expect(page.get_by_role("dialog")).to_contain_text("The gate rejected this version")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert served.services.registry.versions.actor == 0


async def test_the_overview_shows_the_servers_state(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(f"{served.url}/ui/overview")
        await expect(page.get_by_role("status")).to_contain_text("All systems work")
        await expect(page.get_by_text("no judged search in 24 hours")).to_be_visible()
        await ask(page, served.url)
        await page.get_by_role("link", name="Permanent link").wait_for()
        await play(served)
        await page.goto(f"{served.url}/ui/overview")
        counted = re.compile(r"[1-9]\d* %.*[1-9]\d* of [1-9]\d* searches in 24 hours")
        await expect(page.locator(".tile", has_text="Accepted")).to_contain_text(counted)
        await expect(page.locator(".tile", has_text="Last swap")).to_contain_text("actor 1")
        await expect(page.locator(".tile", has_text="Newest iteration")).to_contain_text("finished")


async def test_a_stored_search_is_run_again_with_its_options(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(served.url)
        await page.get_by_label("Instruction").fill("Count to three.")
        await page.get_by_label("How to search").select_option("dfs")
        await page.get_by_label("Add a constraint").select_option("punctuation:no_comma")
        await page.get_by_text("Options", exact=True).click()
        await page.get_by_label("Branch").fill("2")
        await page.get_by_role("button", name="Search", exact=True).click()
        await page.get_by_role("link", name="Permanent link").click()
        await expect(page.locator(".card.best .title")).to_have_text(re.compile("Refinement"))
        await page.get_by_role("link", name="Run it again").click()
        await expect(page.get_by_label("Instruction")).to_have_value("Count to three.")
        await expect(page.get_by_label("How to search")).to_have_value("dfs")
        await expect(page.locator(".constraint")).to_contain_text("punctuation:no_comma")
        await page.get_by_text("Options", exact=True).click()
        await expect(page.get_by_label("Branch")).to_have_value("2")
        await page.get_by_role("button", name="Search", exact=True).click()
        await expect(page.locator(".badge")).to_have_text("Accepted")


async def test_hostile_training_data_is_text(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        iteration = await play(served)
        answer = {"samples": [hostile_pair()], "next_cursor": None}
        await page.route("**/samples?*", lambda route: route.fulfill(json=answer))
        await page.goto(f"{served.url}/ui/iterations/{iteration}")
        await page.get_by_role("button", name="Side by side").click()
        await expect(page.locator(".sides .text").last).to_have_text(HOSTILE)
        assert await page.locator("img, main script, [onload], [onerror]").count() == 0


def hostile_pair() -> dict[str, object]:
    said = [{"role": "assistant", "content": HOSTILE}]
    return {
        "position": 0,
        "role": "actor",
        "kind": "preference",
        "content": {"prompt": said, "chosen": said, "rejected": said},
        "checkpoint": {"actor": 0, "refiner": 0},
        "search_id": None,
        "node_id": None,
    }
