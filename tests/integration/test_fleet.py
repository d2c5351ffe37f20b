"""A server over two real `vllm serve` processes, one of which is killed in mid-search."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.domain.checkpoint import Role
from app.domain.prompt import Message
from app.domain.sampling import Sampling
from app.engine.base import Call
from app.engine.fleet.fleet import Fleet, FleetConfig
from app.errors import CheckpointRefused
from tests.helpers.tiny_model import RANK, make_tiny_adapter, make_tiny_model
from tests.integration.server import free_port, start_server, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

START_SECONDS = 240
SEARCHES = 8
GREEDY = Sampling(0.0, 1.0, 12)
QUESTION = (Message("user", "Name three rivers."),)


@dataclass
class Engine:
    """One `vllm serve`, with all its processes in a group of their own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def is_well(self) -> bool:
        """Whether it answers; fails with the log's end when it has ended."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        return False

    def kill(self) -> None:
        """End it at once, whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def served(self) -> list[str]:
        """The names it serves."""
        return [model["id"] for model in httpx.get(f"{self.url}/v1/models").json()["data"]]


def start_engine(model: Path, folder: Path, port: int) -> Engine:
    """Start one on this port; it is ready when `is_well`."""
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model),
        "--port", str(port),
        "--host", "127.0.0.1", "--served-model-name", "tiny", "--enforce-eager",
        "--max-model-len", "1024", "--max-num-batched-tokens", "2048",
        "--no-enable-chunked-prefill", "--kv-cache-memory-bytes", str(2**27),
        "--block-size", "32", "--scheduling-policy", "priority",
        "--enable-lora", "--max-loras", "2", "--max-lora-rank", str(RANK),
    ]  # fmt: skip
    environment = os.environ | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "TORCHDYNAMO_DISABLE": "1"}
    log = folder / f"engine-{port}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    return Engine(process, f"http://127.0.0.1:{port}", log)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def engines(model: Path, tmp_path: Path) -> Iterator[list[Engine]]:
    """Two that are ready. A test may replace them; all are ended."""
    found = [start_engine(model, tmp_path, free_port()) for _ in range(2)]
    try:
        for engine in found:
            wait_until(engine.is_well, START_SECONDS)
        yield found
    finally:
        for engine in found:
            engine.kill()


@asynccontextmanager
async def fleet_over(engines: list[Engine]) -> AsyncIterator[Fleet]:
    urls = [engine.url for engine in engines]
    fleet = Fleet(FleetConfig(dict.fromkeys(Role, urls), 1024, RANK))
    try:
        await fleet.start()
        await all_up(fleet)
        yield fleet
    finally:
        await fleet.close()


async def test_a_real_server_can_all_that_is_needed_and_adapters_come_and_go(
    engines: list[Engine], model: Path, tmp_path: Path
) -> None:
    adapter = make_tiny_adapter(model, tmp_path / "adapter")
    base, adapted = (Call(QUESTION, name, GREEDY, priority=3) for name in ("actor@0", "actor@1"))
    async with fleet_over(engines) as fleet:
        assert [list(member.abilities.missing()) for member in fleet.members] == [[], []]
        opened = Call((*QUESTION, Message("assistant", "Verdict:")), "refiner@0", GREEDY)
        assert set(await fleet.score(opened, (" yes", " no"))) == {" yes", " no"}
        assert await fleet.count_tokens(QUESTION) == len(await fleet.tokenize(QUESTION))
        before = (await fleet.complete(base)).text
        await fleet.load_adapter("actor@1", adapter)
        assert [engine.served() for engine in engines] == [["tiny", "actor@1"]] * 2
        assert (await fleet.complete(adapted)).text != before
        assert (await fleet.complete(base)).text == before
        with pytest.raises(CheckpointRefused):
            await fleet.load_adapter("actor@2", tmp_path / "nothing")
        await back_with_its_adapter(fleet, engines, model, tmp_path)
        await fleet.unload_adapter("actor@1")
        assert [engine.served() for engine in engines] == [["tiny"]] * 2


async def all_up(fleet: Fleet) -> None:
    """Wait until every engine is used."""
    used = fleet.members
    await asyncio.to_thread(wait_until, lambda: all(one.up for one in used), START_SECONDS)


async def back_with_its_adapter(
    fleet: Fleet, engines: list[Engine], model: Path, folder: Path
) -> None:
    """Kill an engine, start another in its place, and see it equipped."""
    engines[0].kill()
    first = fleet.members[0]
    await asyncio.to_thread(wait_until, lambda: not first.up, START_SECONDS)
    engines[0] = start_engine(model, folder, int(engines[0].url.rpartition(":")[2]))
    await all_up(fleet)
    assert engines[0].served() == ["tiny", "actor@1"]


async def test_no_search_is_lost_when_an_engine_is_killed(
    engines: list[Engine], model: Path, tmp_path: Path
) -> None:
    server = start_server(
        tmp_path,
        engines=",".join(engine.url for engine in engines),
        model=str(model),
        context_tokens="1024",
        max_tokens="32",
        worker="false",
    )
    try:
        server.wait_ready()
        async with httpx.AsyncClient(base_url=server.url, timeout=300) as client:
            searches = [
                asyncio.create_task(
                    client.post("/generate", json={"prompt": f"Name {number}.", "mode": "bfs"})
                )
                for number in range(SEARCHES)
            ]
            await asyncio.sleep(1.0)
            engines[0].kill()
            answers = await asyncio.gather(*searches)
        assert [answer.status_code for answer in answers] == [200] * SEARCHES
        assert server.is_ready()
    finally:
        server.stop()
