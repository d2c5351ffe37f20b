"""The playground and the stored searches, in a real browser over a scripted engine."""

import asyncio
import re
import shlex

import pytest
from playwright.async_api import Page, Route, expect
from sqlalchemy import select

from app.api.schemas import GenerateIn
from app.db.session import Database
from app.db.tables import FeedbackRow
from app.engine.base import Call
from tests.helpers.scripts import FINE, SHORT, Part, judged_text, part_of, playing
from tests.helpers.speaking import SpeakingEngine
from tests.web.playing import HOSTILE, hostile_engine
from tests.web.serving import Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "one two three four five"
SHORTER = "one two three"
MANY = 500
WATCH_CARDS = """() => {
    window.touched = new Set();
    const note = ({ target }) => {
        const card = (target.closest ? target : target.parentElement).closest(".card");
        window.touched.add(card?.dataset.id ?? "the tree");
    };
    new MutationObserver((records) => records.forEach(note)).observe(
        document.querySelector("[role=tree]"),
        { subtree: true, childList: true, attributes: true, characterData: true },
    );
}"""
"""Notes which nodes of the tree are drawn again, in `window.touched`."""


async def improving(call: Call) -> str:
    """A response that is too long, and rewrites that are accepted."""
    match part_of(call):
        case Part.RESPONSE:
            return LONG
        case Part.REWRITE:
            return SHORTER
        case _:
            return FINE if judged_text(call) == SHORTER else f"{SHORT}: five words"


def improving_engine() -> SpeakingEngine:
    return SpeakingEngine(improving)


async def ask(page: Page, url: str, mode: str = "iterative") -> None:
    await page.goto(url)
    await page.get_by_label("Instruction").fill("Count to three.")
    await page.get_by_label("How to search").select_option(mode)
    await page.get_by_role("button", name="Search", exact=True).click()


async def test_a_search_is_shown_live_and_its_nodes_can_be_opened(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await ask(page, served.url)
        lane = page.get_by_role("region", name="Iterative refinement")
        await expect(lane.locator(".badge")).to_have_text("Accepted")
        await expect(lane.locator(".answer")).to_have_text(SHORTER)
        nodes = lane.get_by_role("treeitem")
        await expect(nodes).to_have_count(3)
        name = re.compile("Response 1 0.00 ✗ not accepted one two three four five")
        await expect(nodes.nth(1)).to_have_accessible_name(name)
        await nodes.nth(2).click()
        panel = lane.get_by_role("region", name="The selected node")
        await expect(panel.get_by_role("heading", level=3)).to_have_text("Refinement 2")
        await expect(panel.locator("del")).to_have_text(" four five")
        await expect(panel.locator(".votes li")).to_have_count(3)


async def test_the_tree_is_walked_with_the_keyboard(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await ask(page, served.url)
        await expect(page.locator(".badge")).to_have_text("Accepted")
        focused = page.locator("[role=treeitem]:focus")
        await page.locator("[role=treeitem][tabindex='0']").focus()
        for key, title in (
            ("ArrowRight", "Response 1"),
            ("ArrowRight", "Refinement 2"),
            ("ArrowRight", "Refinement 2"),
            ("ArrowLeft", "Response 1"),
            ("Home", "Instruction"),
            ("End", "Refinement 2"),
        ):
            await page.keyboard.press(key)
            await expect(focused.locator(".title")).to_have_text(title)
        await expect(page.locator("[role=treeitem][tabindex='0']")).to_have_count(1)
        await page.keyboard.press("Enter")
        await expect(page.locator(".panel h3")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(focused.locator(".title")).to_have_text("Refinement 2")


async def test_stop_cancels_the_search_in_the_engine(page: Page, serve: Serve) -> None:
    async def forever(_: int) -> str:
        await asyncio.Event().wait()
        return ""

    engine = playing(respond=forever)
    async with serve(engine) as served:
        await ask(page, served.url, mode="best_of_n")
        await expect(page.locator(".badge")).to_have_text("Searching")
        await page.locator("#stop").click()
        await expect(page.locator(".badge")).to_have_text("Stopped")
        await served.until(lambda: engine.running == 0)
        assert len(engine.aborted) == 5


async def test_two_modes_run_side_by_side(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(served.url)
        await page.get_by_label("Instruction").fill("Count to three.")
        await page.get_by_label("Compare with a second mode").check()
        await page.get_by_label("Second mode", exact=True).select_option("greedy")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator(".badge")).to_have_text(["Accepted", "Not judged"])
        assert await page.get_by_role("tree").count() == 2


async def test_model_text_is_text_everywhere(page: Page, serve: Serve) -> None:
    async with serve(hostile_engine()) as served:
        await ask(page, served.url, mode="dfs")
        await expect(page.locator(".badge")).to_have_text("Not accepted")
        await page.get_by_role("treeitem").nth(2).click()
        await expect(page.locator(".answer")).to_have_text(HOSTILE, use_inner_text=False)
        await page.goto(f"{served.url}/ui/searches")
        await page.get_by_role("link", name="Count to three.").click()
        await page.get_by_role("treeitem").nth(2).click()
        await page.locator(".votes summary").first.click()
        await expect(page.locator(".answer")).to_have_text(HOSTILE)
        assert await page.title() != "owned"
        assert await page.locator("img, main script, [onload], [onerror]").count() == 0


async def test_a_tree_of_500_nodes_is_drawn_again_only_where_it_changed(
    page: Page, serve: Serve
) -> None:
    async with serve(improving_engine()) as served:
        await ask(page, served.url)
        await page.route(re.compile(r"(?<!/ui)/searches/[0-9A-Z]{26}$"), answer_with_many_nodes)
        await page.get_by_role("link", name="Permanent link").click()
        nodes = page.get_by_role("treeitem")
        await expect(nodes).to_have_count(MANY)
        await nodes.nth(1).click()
        await page.evaluate(WATCH_CARDS)
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("[role=treeitem]:focus .title")).to_have_text("Refinement 2")
        assert sorted(await page.evaluate("() => [...window.touched]")) == ["1", "2"]


async def answer_with_many_nodes(route: Route) -> None:
    """The stored search, with rewrites of rewrites added to it."""
    search = await (await route.fetch()).json()
    last = search["tree"][-1]
    more = range(len(search["tree"]), MANY)
    search["tree"] += [last | {"id": n, "parent": n // 2, "depth": n.bit_length()} for n in more]
    await route.fulfill(json=search)


async def test_an_error_is_shown_with_its_message(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(served.url)
        await page.get_by_role("button", name="Search", exact=True).click()
        await expect(page.get_by_role("alert")).to_have_text("Write an instruction first.")
        await page.get_by_label("Instruction").fill("word " * 5000)
        await page.get_by_role("button", name="Search", exact=True).click()
        await expect(page.locator(".lane [role=alert]")).to_contain_text("context")


async def test_a_check_is_picked_with_its_arguments(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(served.url)
        await page.get_by_label("Instruction").fill("Count to three.")
        await page.get_by_label("Add a constraint").select_option("length_constraints:number_words")
        await page.get_by_label("Num words").fill("3")
        await page.get_by_label("Relation").select_option("at most")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator(".badge")).to_have_text("Accepted")
        await page.get_by_role("treeitem").nth(1).click()
        await expect(page.locator(".verdicts li")).to_contain_text("5 words, at most 3 allowed")


async def test_a_request_is_copied_as_a_command_that_says_the_same(
    page: Page, serve: Serve
) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(served.url)
        await page.get_by_label("Instruction").fill('It\'s "so":\nname $HOME.')
        await page.get_by_label("Add a constraint").select_option("punctuation:no_comma")
        await page.get_by_text("Options", exact=True).click()
        await page.get_by_label("Branch").fill("2")
        await page.get_by_label("Length").fill("40")
        await page.get_by_label("Stop at the first").uncheck()
        await page.get_by_text("Copy as a command").click()
        shown = page.locator("#snippet pre")
        curl = shlex.split((await shown.inner_text()).replace("\\\n", " "))
        body = GenerateIn.model_validate_json(curl[-1])
        assert body.prompt == 'It\'s "so":\nname $HOME.'
        assert (body.search.branch, body.search.early_stop) == (2, False)
        assert [one.id for one in body.constraints] == ["punctuation:no_comma"]

        await page.get_by_role("button", name="spar", exact=True).click()
        spar = shlex.split((await shown.inner_text()).replace("\\\n", " "))
        assert spar[:2] == ["spar", "generate"]
        assert spar[-2:] == ["--", body.prompt]
        assert {"--no-early-stop", "--branch", "--length", "punctuation:no_comma"} <= set(spar)

        await page.get_by_role("button", name="Python", exact=True).click()
        compile(await shown.inner_text(), "snippet", "exec")
        assert 'model="actor:bfs"' in await shown.inner_text()
        await page.get_by_role("button", name="Copy", exact=True).click()
        await expect(page.get_by_text("Copied")).to_be_visible()
        copied = await page.evaluate("() => navigator.clipboard.readText()")
        assert copied == await shown.inner_text()


async def test_searches_are_filtered_and_get_feedback(page: Page, serve: Serve) -> None:
    async with serve(improving_engine()) as served:
        await page.goto(f"{served.url}/ui/searches")
        await expect(page.get_by_role("heading", level=2)).to_contain_text("Nothing was searched")
        for mode in ("iterative", "greedy"):
            await ask(page, served.url, mode)
            await page.get_by_role("link", name="Permanent link").wait_for()
        await page.goto(f"{served.url}/ui/searches?mode=greedy")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("button", name="Clear").click()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.get_by_label("Text").fill("nothing has this")
        await expect(page.get_by_role("heading", level=2)).to_contain_text("Nothing fits")
        await page.get_by_label("Text").fill("FOUR FIVE")
        await page.locator("tbody a").click()
        await page.get_by_role("button", name="Good").click()
        await page.get_by_label("A better answer").fill("Three, two, one.")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".feedback [role=status]")).to_contain_text("Stored")
        assert await stored_feedback(served.services.database) == [("Three, two, one.", 1)]


async def stored_feedback(database: Database) -> list[tuple[str | None, int | None]]:
    async with database.session() as session:
        rows = await session.execute(select(FeedbackRow.better, FeedbackRow.rating))
        return [(better, rating) for better, rating in rows]
