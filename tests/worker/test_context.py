"""A stage stores each item as it is done, and resumes with the rest."""

import asyncio
import json

import pytest
from hypothesis import given
from pydantic import TypeAdapter

from app.domain.iteration import Stage, Status
from app.domain.judgment import Judgment
from app.domain.prompt import Constraint, Message, Prompt
from app.errors import LeaseLost
from tests.helpers.iterating import OPTIONS, World
from tests.helpers.judgments import judgments
from tests.helpers.properties import calm
from worker.context import ItemResult, StageRun

PROMPT = Prompt(
    (Message("system", "Be brief."), Message("user", "Name a color.")),
    (Constraint("length_constraints:number_words", {"num_words": 3}),),
)


def through_json(value: object, kind: type) -> object:
    adapter = TypeAdapter[object](kind)
    return adapter.validate_python(json.loads(json.dumps(adapter.dump_python(value, mode="json"))))


@calm
@given(judgments)
def test_judgment_round_trips(judgment: Judgment) -> None:
    assert through_json(judgment, Judgment) == judgment


def test_prompt_round_trips() -> None:
    assert through_json(PROMPT, Prompt) == PROMPT


KEYS = [str(number) for number in range(9)]
IN_FLIGHT = OPTIONS.data.in_flight


class Broken(Exception):
    """What an item fails with."""


class Doing:
    """Does items and remembers which, and how many at most at once."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.running = self.most = 0

    async def __call__(self, key: str) -> ItemResult:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.done.append(key)
        return f"result {key}", None


async def stored(stage: StageRun) -> set[str]:
    return set(await stage.items())


async def test_results_are_in_the_order_of_the_keys_and_stored(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)
    results = await stage.each(KEYS, Doing())
    assert list(results.items()) == [(key, f"result {key}") for key in KEYS]
    assert await stage.items() == results
    respond = (await world.iteration(stage.context.id)).stages[1]
    assert (respond.done, respond.total) == (len(KEYS), len(KEYS))


async def test_items_in_flight_are_bounded(world: World) -> None:
    doing = Doing()
    await (await world.stage(Stage.RESPOND)).each(KEYS, doing)
    assert doing.most == IN_FLIGHT


async def test_only_missing_items_are_computed(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)
    await stage.each(KEYS[:4], Doing())
    doing = Doing()
    results = await stage.each(KEYS, doing)
    assert sorted(doing.done) == KEYS[4:]
    assert list(results) == KEYS


async def test_first_error_cancels_and_keeps_stored_items(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)

    async def do(key: str) -> ItemResult:
        if key != "8":
            return key, None
        while len(await stored(stage)) < 8:
            pass
        raise Broken

    with pytest.raises(Broken):
        await stage.each(KEYS, do)
    assert await stored(stage) == set(KEYS[:8])
    doing = Doing()
    await stage.each(KEYS, doing)
    assert doing.done == ["8"]


async def test_an_error_cancels_the_items_in_flight(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)
    cancelled = []

    async def do(key: str) -> ItemResult:
        if key == "1":
            raise Broken
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(key)
            raise
        raise AssertionError

    with pytest.raises(Broken):
        await stage.each(KEYS, do)
    assert len(cancelled) in range(1, IN_FLIGHT)
    assert await stored(stage) == set()


async def test_further_writes_share_the_items_transaction(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)

    async def do(key: str) -> ItemResult:
        async def also(session: object) -> None:
            raise Broken

        return key, also

    with pytest.raises(Broken):
        await stage.each(["0"], do)
    assert await stored(stage) == set()


async def test_lost_lease_stores_nothing(world: World) -> None:
    stage = await world.stage(Stage.RESPOND)
    await world.lease()  # Another worker holds it now.
    with pytest.raises(LeaseLost):
        await stage.each(KEYS, Doing())
    assert await stored(stage) == set()


async def test_stage_is_finished_only_without_error(world: World) -> None:
    work = await world.work(await world.queue())

    async def status() -> Status:
        return (await world.iteration(work.id)).stages[0].status

    async def fail() -> None:
        async with work.stage(Stage.PROMPTS):
            assert await status() is Status.RUNNING
            raise Broken

    with pytest.raises(Broken):
        await fail()
    assert await status() is Status.RUNNING
    async with work.stage(Stage.PROMPTS) as stage:
        stage.metrics["counted"] = 3
    done = (await world.iteration(work.id)).stages[0]
    assert (done.status, done.metrics) == (Status.SUCCEEDED, {"counted": 3})
