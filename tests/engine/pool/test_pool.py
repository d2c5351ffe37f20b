"""A pool of real HTTP servers that behave as vLLM's: calls, failures, adapters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.domain.checkpoint import Role
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Delta, prefix_affinity
from app.engine.pool.health import Pauses
from app.engine.pool.pool import EnginePool, EnginePoolConfig
from app.errors import CheckpointRefused, ConfigurationError, EngineError, EngineUnavailable
from tests.helpers.serving import served
from tests.helpers.swapping import until
from tests.helpers.vllm_like import VllmLike

SECONDS_UNTIL_STUCK = 20
QUICK = Pauses(up=0.05, first=0.02, longest=0.1)
ADAPTER = Path("/data/checkpoints/actor@3")
OPTIONS = (" yes", " no")


def call(model: str = "actor@0", text: str = "Name three rivers.", **fields: Any) -> Call:
    return Call((Message("user", text),), model, Sampling(0.7, 0.9, 8), **fields)


@asynccontextmanager
async def fleet_of(
    actors: Sequence[VllmLike], refiners: Sequence[VllmLike] | None = None
) -> AsyncIterator[EnginePool]:
    """A started pool over these servers, which serve both roles unless refiners are named."""
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS_UNTIL_STUCK):
        urls: dict[int, str] = {}
        for server in (*actors, *(refiners or ())):
            urls[id(server)] = await stack.enter_async_context(served(server.app))
        parts = {Role.ACTOR: actors, Role.REFINER: actors if refiners is None else refiners}
        config = EnginePoolConfig(
            servers={role: [urls[id(one)] for one in part] for role, part in parts.items()},
            context_tokens=4096,
            adapter_rank=16,
            call_seconds=10,
            pauses=QUICK,
        )
        pool = EnginePool(config)
        try:
            await pool.start()
            await until(lambda: all(one.up or one.trouble for one in pool.replicas))
            yield pool
        finally:
            await pool.close()
            for server in (*actors, *(refiners or ())):
                server.released.set()


def up(pool: EnginePool) -> int:
    """Number of servers that are up."""
    return sum(replica.up for replica in pool.replicas)


async def test_base_model_calls_use_the_servers_model_name() -> None:
    server = VllmLike("my-model")
    deltas: list[Delta] = []
    async with fleet_of([server]) as pool:
        completion = await pool.complete(call(priority=5), deltas.append)
        assert pool.unfinished == 0
    assert completion.text == "my-model"
    [made] = server.real_calls
    assert (made["model"], made["priority"]) == ("my-model", 5)
    assert deltas == [Delta(prompt_tokens=3), Delta("my-model", 1)]


async def test_calls_are_routed_to_the_servers_of_their_role() -> None:
    actor, refiner = VllmLike("actor-model"), VllmLike("refiner-model")
    async with fleet_of([actor], [refiner]) as pool:
        assert (await pool.complete(call("refiner@0"))).text == "refiner-model"
        assert (await pool.complete(call("actor@0"))).text == "actor-model"
        await pool.load_adapter("actor@3", ADAPTER)
        assert (actor.adapters, refiner.adapters) == ({"actor@3": str(ADAPTER)}, {})


async def test_a_search_stays_on_one_server_and_searches_are_spread() -> None:
    servers = [VllmLike(), VllmLike()]
    async with fleet_of(servers) as pool:
        for number in range(20):
            with prefix_affinity([Message("user", f"prompt {number}")]):
                for part in range(3):
                    await pool.complete(call(text=f"{part} of {number}"))
    by_server = [
        {made["messages"][0]["content"].split()[-1] for made in server.real_calls}
        for server in servers
    ]
    assert by_server[0].isdisjoint(by_server[1])
    assert all(by_server)


async def test_failed_calls_are_retried_elsewhere_and_mark_the_server_down() -> None:
    bad, good = VllmLike(), VllmLike()
    async with fleet_of([bad, good]) as pool:
        bad.failing = 500
        for number in range(20):
            await pool.complete(call(text=str(number)))
            await asyncio.sleep(0)
    assert len(good.real_calls) == 20
    assert len(bad.real_calls) < 15


async def test_a_busy_server_stays_up() -> None:
    busy, free = VllmLike(), VllmLike()
    async with fleet_of([busy, free]) as pool:
        busy.failing = 503
        for number in range(20):
            await pool.complete(call(text=str(number)))
        assert up(pool) == 2
        free.failing = 429
        with pytest.raises(EngineUnavailable):
            await pool.complete(call())
        assert up(pool) == 2


async def test_a_rejected_call_is_not_retried() -> None:
    servers = [VllmLike(), VllmLike()]
    async with fleet_of(servers) as pool:
        for server in servers:
            server.failing = 400
        with pytest.raises(EngineError, match="it failed"):
            await pool.complete(call())
        assert up(pool) == 2
    assert sum(len(server.real_calls) for server in servers) == 1


async def test_a_call_is_tried_on_a_limited_number_of_servers() -> None:
    servers = [VllmLike() for _ in range(5)]
    async with fleet_of(servers) as pool:
        for server in servers:
            server.failing = 500
        with pytest.raises(EngineError, match="it failed"):
            await pool.complete(call())
    assert sum(len(server.real_calls) for server in servers) == 3


async def test_calls_on_a_hung_server_are_retried_elsewhere() -> None:
    servers = [VllmLike(), VllmLike()]
    async with fleet_of(servers) as pool:
        for server in servers:
            server.holding = True
        running = asyncio.create_task(pool.complete(call()))
        await until(lambda: any(server.real_calls for server in servers))
        [hung] = [server for server in servers if server.real_calls]
        [other] = [server for server in servers if server is not hung]
        other.holding = False
        hung.unwell = True
        assert (await running).text == "base-model"
        assert len(other.real_calls) == 1
        await until(lambda: up(pool) == 1)


async def test_a_shown_call_is_streamed() -> None:
    deltas: list[Delta] = []
    async with fleet_of([VllmLike()]) as pool:
        completion = await pool.complete(call(shown=True), deltas.append)
    assert completion.text == "base-model"
    assert [delta.text for delta in deltas if delta.text] == list("base-model")
    assert completion.completion_tokens == sum(delta.completion_tokens for delta in deltas) == 40
    assert completion.prompt_tokens == sum(delta.prompt_tokens for delta in deltas) == 3


async def test_a_call_is_not_retried_once_text_was_reported() -> None:
    servers = [VllmLike(), VllmLike()]
    deltas: list[Delta] = []
    async with fleet_of(servers) as pool:
        for server in servers:
            server.breaking = True
        with pytest.raises(EngineUnavailable, match="broke off"):
            await pool.complete(call(shown=True), deltas.append)
    assert [delta.text for delta in deltas if delta.text] == ["b"]
    assert sum(len(server.real_calls) for server in servers) == 1


async def test_a_stream_that_fails_before_text_is_retried() -> None:
    bad, good = VllmLike(), VllmLike()
    async with fleet_of([bad, good]) as pool:
        bad.failing = 500
        for number in range(20):
            completion = await pool.complete(call(text=str(number), shown=True))
            assert completion.text == "base-model"
    assert bad.real_calls


async def test_start_waits_for_a_server() -> None:
    server = VllmLike()
    server.unwell = True
    waiting = asyncio.create_task(asyncio.sleep(0.1))
    waiting.add_done_callback(lambda _: setattr(server, "unwell", False))
    async with fleet_of([server]) as pool:
        assert waiting.done()
        assert pool.ready
        server.unwell = True
        await until(lambda: not pool.ready)
        with pytest.raises(EngineUnavailable, match="no server is up"):
            await pool.complete(call())
        server.unwell = False
        await until(lambda: pool.ready)
        assert pool.restarts == 1
        assert (await pool.complete(call())).text == "base-model"


async def test_cancelling_a_call_ends_it_on_the_server() -> None:
    server = VllmLike()
    async with fleet_of([server]) as pool:
        server.holding = True
        running = asyncio.create_task(pool.complete(call()))
        await until(lambda: bool(server.real_calls))
        assert pool.unfinished == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert pool.unfinished == 0
        assert up(pool) == 1


async def test_an_adapter_is_loaded_on_every_server() -> None:
    servers = [VllmLike() for _ in range(3)]
    async with fleet_of(servers) as pool:
        await pool.load_adapter("actor@3", ADAPTER)
        assert [server.adapters for server in servers] == [{"actor@3": str(ADAPTER)}] * 3
        assert (await pool.complete(call("actor@3"))).text == "actor@3"
        await pool.unload_adapter("actor@3")
        assert [server.adapters for server in servers] == [{}] * 3
        await pool.load_adapter("actor@3", ADAPTER)
    assert [server.adapters for server in servers] == [{}] * 3, "left behind at the end"


async def test_an_unloaded_adapter_serves_searches_in_progress() -> None:
    server = VllmLike()
    async with fleet_of([server]) as pool:
        await pool.load_adapter("actor@3", ADAPTER)
        await pool.unload_adapter("actor@3")
        assert (await pool.complete(call("actor@3"))).text == "actor@3"
        await until(lambda: server.adapters == {})


async def test_an_adapter_that_one_server_rejects_is_unloaded_from_all() -> None:
    servers = [VllmLike(), VllmLike()]
    servers[1].refused = {"actor@3"}
    async with fleet_of(servers) as pool:
        with pytest.raises(CheckpointRefused, match="size mismatch"):
            await pool.load_adapter("actor@3", ADAPTER)
        assert [server.adapters for server in servers] == [{}, {}]
        assert up(pool) == 2
        with pytest.raises(EngineError, match="does not serve actor@3"):
            await pool.complete(call("actor@3"))
        servers[1].refused = set()
        await pool.load_adapter("actor@3", Path("/elsewhere"))
        with pytest.raises(CheckpointRefused, match="/elsewhere"):
            await pool.load_adapter("actor@3", ADAPTER)


async def test_a_recovered_server_gets_missing_adapters_before_it_is_up() -> None:
    stable, away = VllmLike(), VllmLike()
    async with fleet_of([stable, away]) as pool:
        away.unwell = True
        await until(lambda: up(pool) == 1)
        await pool.load_adapter("actor@3", ADAPTER)
        assert away.loads == []
        away.holding = True
        away.unwell = False
        await until(lambda: bool(away.loads))
        assert up(pool) == 1, "up before it has its adapter"
        away.released.set()
        await until(lambda: up(pool) == 2)
        assert away.adapters == {"actor@3": str(ADAPTER)}


async def test_a_recovered_server_unloads_inactive_adapters() -> None:
    stable, away = VllmLike(), VllmLike()
    async with fleet_of([stable, away]) as pool:
        await pool.load_adapter("actor@3", ADAPTER)
        away.unwell = True
        await until(lambda: up(pool) == 1)
        await pool.unload_adapter("actor@3")
        assert away.adapters
        away.unwell = False
        await until(lambda: up(pool) == 2)
        assert away.adapters == {}


async def test_an_adapter_lost_in_a_restart_is_reloaded_for_a_call() -> None:
    server = VllmLike()
    async with fleet_of([server]) as pool:
        await pool.load_adapter("actor@3", ADAPTER)
        server.adapters.clear()
        assert (await pool.complete(call("actor@3"))).text == "actor@3"


async def test_an_adapter_loaded_by_another_client_is_accepted() -> None:
    server = VllmLike()
    server.adapters["actor@3"] = str(ADAPTER)
    async with fleet_of([server]) as pool:
        await pool.load_adapter("actor@3", ADAPTER)
        server.adapters["actor@4"] = "/of/somebody/else"
        with pytest.raises(CheckpointRefused, match="already been loaded"):
            await pool.load_adapter("actor@4", Path("/data/actor@4"))


async def test_loading_an_adapter_without_servers_raises() -> None:
    server = VllmLike()
    async with fleet_of([server]) as pool:
        server.unwell = True
        await until(lambda: up(pool) == 0)
        with pytest.raises(EngineUnavailable):
            await pool.load_adapter("actor@3", ADAPTER)


async def test_full_weights_are_rejected() -> None:
    async with fleet_of([VllmLike()]) as pool:
        with pytest.raises(CheckpointRefused, match="full weights"):
            await pool.load_weights("actor@2", ADAPTER)


async def test_scores_are_read_from_the_requested_tokens() -> None:
    server = VllmLike()
    opened = Call(
        (Message("user", "Good?"), Message("assistant", "Verdict:")),
        "refiner@0",
        Sampling(0.7, 0.9, 8),
    )
    async with fleet_of([server]) as pool:
        assert await pool.score(opened, OPTIONS) == {" yes": -1.1, " no": -1.2}
    assert server.real_calls[0]["continue_final_message"] is True


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (("wanted_logprobs",), {" yes": -0.5, " no": -1.5}),
        (("prefill", "wanted_logprobs", "tokenizer"), {" yes": -0.5, " no": -1.5}),
        (("prefill", "logprobs", "wanted_logprobs", "tokenizer"), {" yes": 0.0}),
    ],
)
async def test_a_server_without_vllm_extensions_is_supported(
    lacking: tuple[str, ...], said: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    server = VllmLike()
    for ability in (*lacking, "runtime_lora", "priorities"):
        setattr(server, ability, False)
    opened = Call(
        (Message("user", "Good?"), Message("assistant", "Verdict:")),
        "refiner@0",
        Sampling(0.7, 0.9, 8),
        priority=9,
    )
    async with fleet_of([server]) as pool:
        scores = await pool.score(opened, (" yes", " Yes", " no"))
        assert said.items() <= {**scores, " yes": max(scores[" yes"], scores[" Yes"])}.items()
        assert (await pool.complete(opened)).text == "base-model"
        assert await pool.count_tokens(opened.messages) > 0
        with pytest.raises(CheckpointRefused, match="cannot load actor@3"):
            await pool.load_adapter("actor@3", ADAPTER)
    told = caplog.text
    assert "has no adapters at runtime" in told
    assert "has no priorities" in told
    assert ("has no prefill" in told) is ("prefill" in lacking)
    assert ("has no /tokenize" in told) is ("tokenizer" in lacking)


async def test_the_context_length_is_the_minimum_of_the_servers() -> None:
    async with fleet_of([VllmLike()]) as pool:
        assert pool.context_tokens == 512


def test_an_invalid_url_is_rejected() -> None:
    config = EnginePoolConfig({role: ["nowhere"] for role in Role}, 4096, 16)
    with pytest.raises(ConfigurationError, match="nowhere is not an address"):
        EnginePool(config)
