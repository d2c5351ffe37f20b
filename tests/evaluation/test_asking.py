"""What is asked about a row, of the real routes over a scripted engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.db.upgrade import upgrade
from app.domain.checkpoint import Versions
from app.domain.evaluation import EvaluationPlan
from app.domain.prompt import Constraint, Message, Prompt
from app.domain.search import Mode
from app.engine.base import Call
from app.evaluation.asking import Asker
from app.evaluation.base import Item, RowOutcome, Task
from app.evaluation.http import Patience, RowRefused, RunRefused, Server
from tests.helpers.evaluating import evaluated_server, plan_of
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import FINE, SHORT, judged_text, playing, verdict_of_critique
from tests.helpers.serving import served

PAIR = ("Lisbon.", "A city of Portugal.")


@asynccontextmanager
async def asking(
    engine: ScriptedEngine, plan: EvaluationPlan, database_url: str
) -> AsyncIterator[Asker]:
    app: FastAPI = evaluated_server(engine, database_url)
    async with served(app) as url:
        server = Server(url, at_once=4, patience=Patience(1.0, 0.01))
        yield Asker(server, plan)
        await server.close()
        await app.state.services.recorder.close(60)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database for searches."""
    folder: Path = tmp_path_factory.mktemp("database")
    upgrade(url := f"sqlite+aiosqlite:///{folder}/test.db")
    return url


async def accepts(text: str, number: int) -> bool:
    return text == "response 2"


def question(**fields: object) -> Item:
    return Item("7", Prompt.from_text("Name a color."), **fields)  # type: ignore[arg-type]


async def ask(
    engine: ScriptedEngine, plan: EvaluationPlan, item: Item, url: str, task: Task = Task.ANSWER
) -> RowOutcome:
    async with asking(engine, plan, url) as asker:
        return await asker.ask(item, task)


async def test_a_greedy_answer_is_not_judged(migrated: str) -> None:
    engine = playing()
    outcome = await ask(engine, plan_of(), question(), migrated)
    assert (outcome.response, outcome.accepted, outcome.value) == ("response 1", None, None)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 2)
    assert outcome.seconds > 0
    (call,) = engine.started
    assert (call.model, call.sampling.temperature, call.sampling.max_tokens) == ("actor@0", 0.0, 50)


async def test_an_answer_is_searched_for_with_the_plans_options(migrated: str) -> None:
    engine = playing(decide=accepts)
    outcome = await ask(engine, plan_of(Mode.BEST_OF_N), question(), migrated)
    assert (outcome.response, outcome.accepted, outcome.value) == ("response 2", True, 1.0)
    assert outcome.search_id is not None
    assert outcome.completion_tokens > 4


async def test_requests_have_background_priority(migrated: str) -> None:
    engine = playing()
    await ask(engine, plan_of(Mode.BEST_OF_N), question(), migrated)
    assert {call.priority > 0 for call in engine.started} == {True}


async def test_the_same_seed_gives_the_same_draws_and_another_others(migrated: str) -> None:
    async def seeds(seed: int, key: str = "7") -> set[int | None]:
        engine = playing()
        item = Item(key, Prompt.from_text("Name a color."))
        await ask(engine, plan_of(Mode.BEST_OF_N, seed=seed), item, migrated)
        return {call.sampling.seed for call in engine.started}

    first = await seeds(1)
    assert None not in first
    assert await seeds(1) == first
    assert not await seeds(2) & first
    assert not await seeds(1, key="8") & first


async def test_constraints_are_sent_only_when_the_plan_says_so(migrated: str) -> None:
    prompt = Prompt.from_text("Name a color.", (Constraint("punctuation:no_comma"),))
    checked = {"id": "punctuation:no_comma", "kwargs": {}}
    for with_constraints in (False, True):
        plan = plan_of(with_constraints=with_constraints)
        async with asking(playing(), plan, migrated) as asker:
            body = asker.answer_body(Item("7", prompt))
        assert body.get("constraints") == ([checked] if with_constraints else None)


async def test_an_answer_no_program_can_score_is_judged_by_the_refiner(migrated: str) -> None:
    async def decide(text: str, number: int) -> bool:
        return text == "response 1"

    item = question(extra={"judged": True})
    outcome = await ask(playing(decide=decide), plan_of(), item, migrated)
    assert (outcome.response, outcome.accepted, outcome.value) == ("response 1", True, 1.0)
    assert outcome.completion_tokens > 2


def preferring(reply: str) -> ScriptedEngine:
    """Accepts the first of the pair; replies to comparisons with a given text."""

    async def script(call: Call) -> str:
        judged = judged_text(call)
        if judged is None:
            return reply
        return FINE if judged == PAIR[0] else SHORT

    return ScriptedEngine(script, verdict_of_critique)


async def test_a_pair_is_judged_one_by_one_and_compared_in_both_orders(migrated: str) -> None:
    item = Item("1", Prompt.from_text("Name a city."), pair=PAIR, better=0)
    engine = preferring("The first is a city. Better: 1")
    outcome = await ask(engine, plan_of(None), item, migrated, Task.PREFER)
    assert outcome.verdicts is not None
    assert outcome.verdicts.values == (1.0, 0.0)
    assert outcome.verdicts.accepted == (True, False)
    # Always choosing the first prefers a different response in each order.
    assert outcome.verdicts.preferred == (0, 1)
    shown = [call.messages[0].content for call in engine.started if judged_text(call) is None]
    orders = {text.index(PAIR[0]) < text.index(PAIR[1]) for text in shown}
    assert orders == {True, False}
    assert outcome.completion_tokens > 0


async def test_unparsable_comparison_has_no_preference(migrated: str) -> None:
    item = Item("1", Prompt.from_text("Name a city."), pair=PAIR, better=0)
    outcome = await ask(preferring("Both."), plan_of(None), item, migrated, Task.PREFER)
    assert outcome.verdicts is not None
    assert outcome.verdicts.preferred == (None, None)


async def test_too_long_prompt_fails_only_its_row(migrated: str) -> None:
    item = Item("1", Prompt((Message("user", "word " * 5000),)))
    with pytest.raises(RowRefused):
        await ask(playing(), plan_of(), item, migrated)


async def test_unknown_version_fails_the_run(migrated: str) -> None:
    with pytest.raises(RunRefused, match="99"):
        await ask(playing(), plan_of(versions=Versions(actor=99)), question(), migrated)
