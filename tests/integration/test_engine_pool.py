"""Our server over two real `vllm serve` processes, one of which is killed in mid-search.

The engines start once: on two cores the two take a minute, nearly all of which are the imports
of the three processes that each of them is.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app import main
from app.checkpoints.manifest import fingerprint, seal
from app.config.settings import Settings
from app.db.session import Database
from app.doctor import Finding, Level, servers
from app.domain.checkpoint import CheckpointKind, Role
from app.engine.arguments import CORES, usable_cores
from app.engine.pool.pool import EnginePool
from tests.helpers.swapping import World, until
from tests.helpers.tiny_model import RANK, make_tiny_adapter, make_tiny_model
from tests.helpers.whole import NoChecks, client_of
from tests.integration.server import free_port, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

START_SECONDS = 240
CONTEXT_TOKENS = 1024
OWN, ADAPTER = "tiny", "actor@1"
SEARCHES = 8
SEARCH = {
    "mode": "best_of_n",
    "search": {"n": 4, "votes": 2, "early_stop": False},
    "sampling": {"max_tokens": 64},
}


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
        """End all of it at once, whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def served(self) -> list[str]:
        """The names it serves."""
        return [model["id"] for model in httpx.get(f"{self.url}/v1/models").json()["data"]]


def start_engine(model: Path, log: Path, core: int) -> Engine:
    """Start one on a core of its own; it is ready when `is_well`.

    By its module, since the command `vllm` does not start in the build for CPUs.
    """
    port = free_port()
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--model", str(model), "--served-model-name", OWN, "--enforce-eager"),
        *("--max-model-len", str(CONTEXT_TOKENS), "--max-num-seqs", "32", "--block-size", "32"),
        *("--kv-cache-memory-bytes", str(2**27), "--no-enable-chunked-prefill"),
        *("--max-num-batched-tokens", "2048", "--scheduling-policy", "priority"),
        *("--enable-lora", "--max-loras", "2", "--max-lora-rank", str(RANK)),
    ]
    environment = os.environ | {
        # Threads that share a core wait for each other, and spin while they do.
        CORES: str(core),
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    return Engine(process, f"http://127.0.0.1:{port}", log)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def engines(model: Path, tmp_path: Path) -> Iterator[Sequence[Engine]]:
    """Two that are ready."""
    cores = usable_cores()
    found: list[Engine] = []
    try:
        for number in range(2):
            log = tmp_path / f"engine-{number}.log"
            found.append(start_engine(model, log, cores[number % len(cores)]))
        for engine in found:
            wait_until(engine.is_well, START_SECONDS)
        yield found
    finally:
        for engine in found:
            engine.kill()


def doctored(settings: Settings, model: Path) -> list[Finding]:
    """What `spar doctor` says of the engines."""
    return list(servers.engines(settings.remote_engines, str(model), settings.engines_key))


async def add_adapter(url: str, data: Path, model: Path) -> None:
    """Record a version of the actor that the tiny model can serve."""
    database = Database(url)
    folder = make_tiny_adapter(model, data / "checkpoints" / "tiny")
    digest = seal(folder, Role.ACTOR, 1, CheckpointKind.LORA, fingerprint(model))
    world = World(database, data, model)
    await world.add(Role.ACTOR, 1, digest=digest, path="checkpoints/tiny")
    await database.close()


async def test_searches_with_an_adapter_outlive_the_engine_they_run_on(
    monkeypatch: pytest.MonkeyPatch,
    engines: Sequence[Engine],
    model: Path,
    tmp_path: Path,
    migrated_file: Path,
) -> None:
    monkeypatch.setattr(main, "Checker", NoChecks)
    data = tmp_path / "data"
    url = f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'spar.db')}"
    settings = Settings(
        _env_file=None,
        data=data,
        database_url=url,
        engines=tuple(engine.url for engine in engines),
        context_tokens=CONTEXT_TOKENS,
        critique_tokens=16,
        swap_seconds=0.05,
        worker=False,
    )
    app = main.create_app(settings, str(model))
    async with app.router.lifespan_context(app), client_of(app) as client:
        pool, registry = app.state.services.engine, app.state.services.registry
        assert isinstance(pool, EnginePool)
        await until(lambda: registry.ready and all(member.up for member in pool.replicas))
        assert [list(member.capabilities.missing()) for member in pool.replicas] == [[], []]
        findings = await asyncio.to_thread(doctored, settings, model)
        assert [finding.level for finding in findings] == [Level.OK] * 2, findings

        await add_adapter(url, data, model)
        assert (await client.post("/admin/checkpoints/actor/1/promote")).status_code == 200
        await until(lambda: registry.versions.actor == 1)
        assert [engine.served() for engine in engines] == [[OWN, ADAPTER]] * 2

        searches = [
            asyncio.create_task(client.post("/generate", json={"prompt": f"Name {n}."} | SEARCH))
            for n in range(SEARCHES)
        ]
        await until(lambda: all(member.calls for member in pool.replicas))
        engines[0].kill()
        assert not any(search.done() for search in searches)
        answers = await asyncio.gather(*searches)
        assert [answer.status_code for answer in answers] == [200] * SEARCHES, answers
        assert {answer.json()["checkpoint"]["actor"] for answer in answers} == {1}
        await until(lambda: [member.up for member in pool.replicas] == [False, True])
    assert engines[1].served() == [OWN], "an adapter was left behind"
