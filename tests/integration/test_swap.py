"""Checkpoints are swapped under load: nothing fails, nothing is mixed, nothing broken is served."""

import asyncio
import pickle
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.checkpoints.manifest import MANIFEST, fingerprint, seal
from app.db.checkpoints import CheckpointRepository
from app.db.session import Database
from app.db.tables import CheckpointRow
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, Role
from app.domain.search import Mode
from app.model_files.resolve import resolve_model
from tests.helpers.adapters import random_adapter
from tests.integration.server import Server, wait_until
from tests.integration.worker import Worker, start_iteration, wait_for_end

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

SWAPS = 20
Pair = dict[str, int]


@dataclass
class Load:
    """Searches of every mode, one after the other in a thread for each, until stopped."""

    server: Server
    answers: list[httpx.Response] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._ask, args=(mode,)) for mode in Mode]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, mode: Mode) -> None:
        body = {
            "prompt": "Name a river.",
            "mode": mode,
            "search": {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1},
            "sampling": {"max_tokens": 12},
        }
        with self.server.client as client:
            while not self.stopped.is_set():
                self.answers.append(client.post("/generate", json=body))


@pytest.fixture
def trained(client: httpx.Client, worker: Worker) -> Pair:
    """A new version of each role, really trained, that does not serve yet."""
    worker.start()
    found = wait_for_end(client, start_iteration(client, promote="never"))
    worker.stop()
    return {one["role"]: one["version"] for one in found["checkpoints"]}


def test_swaps_under_load_fail_and_mix_nothing(
    server: Server, client: httpx.Client, trained: Pair
) -> None:
    before = promoted(client)
    pairs = [before]
    with Load(server) as load:
        for number in range(SWAPS):
            role = list(Role)[number % 2]
            back = promoted(client)[role] == trained[role]
            version = trained[role]
            path = f"{role}/rollback" if back else f"{role}/{version}/promote"
            answer = client.post(f"/admin/checkpoints/{path}")
            assert answer.status_code == 200, answer.text
            pairs.append(promoted(client))
            wait_until(lambda: served(client) == promoted(client), 30)
    assert pairs[-1] == before
    assert {answer.status_code for answer in load.answers} == {200}
    answered = [answer.json()["checkpoint"] for answer in load.answers]
    assert all(pair in pairs for pair in answered)
    assert len({tuple(pair.items()) for pair in answered}) > 1
    stored = [client.get(f"/searches/{answer.json()['id']}").json() for answer in load.answers]
    assert [search["checkpoint"] for search in stored] == answered


def truncate(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def flip_a_byte(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)


def lose_the_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def add_a_pickle(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))


def unchanged(_: Path) -> None:
    """For folders that are wrong from the start."""


@dataclass(frozen=True)
class Broken:
    """A checkpoint to refuse: how its files are broken, and words of the reason."""

    damage: Callable[[Path], None]
    reason: str
    rank: int = 8
    base: str | None = None
    before_sealing: bool = False


BROKEN = (
    Broken(truncate, "bytes"),
    Broken(flip_a_byte, "damaged"),
    Broken(lose_the_manifest, "manifest"),
    Broken(add_a_pickle, "adapter_model.bin"),
    Broken(add_a_pickle, "adapter_model.bin", before_sealing=True),
    Broken(unchanged, "rank", rank=64),
    Broken(unchanged, "base", base="0" * 64),
)


def test_a_broken_checkpoint_is_refused_and_the_old_one_serves_on(
    server: Server, client: httpx.Client
) -> None:
    base = fingerprint(resolve_model(None))
    before = promoted(client)
    for number, broken in enumerate(BROKEN):
        version = asyncio.run(add(server, base, broken, seed=number))
        assert client.post(f"/admin/checkpoints/actor/{version}/promote").status_code == 200
        wait_until(lambda: state(client)["error"] is not None, 30)
        assert broken.reason in state(client)["error"]
        assert served(client) == before
        answer = client.post(
            "/generate", json={"prompt": "Hi.", "mode": "greedy", "sampling": {"max_tokens": 4}}
        )
        assert answer.json()["checkpoint"] == before
        assert client.post("/admin/checkpoints/actor/rollback").status_code == 200
        wait_until(lambda: state(client)["error"] is None, 30)


async def add(server: Server, base: str, broken: Broken, *, seed: int) -> int:
    """Record a new actor checkpoint that is broken like this, and return its version."""
    database = Database(f"sqlite+aiosqlite:///{server.data / 'spar.db'}")
    try:
        async with database.session() as session:
            checkpoints = await CheckpointRepository(session).all()
        version = 1 + max(one.version for one in checkpoints if one.role is Role.ACTOR)
        folder = server.data / "checkpoints" / f"actor@{version}"
        shutil.rmtree(folder, ignore_errors=True)
        random_adapter(folder, seed=seed, rank=broken.rank)
        if broken.before_sealing:
            broken.damage(folder)
        digest = seal(folder, Role.ACTOR, version, CheckpointKind.LORA, broken.base or base)
        if not broken.before_sealing:
            broken.damage(folder)
        async with database.session() as session:
            session.add(
                CheckpointRow(
                    role=Role.ACTOR,
                    version=version,
                    status=CheckpointStatus.CANDIDATE,
                    kind=CheckpointKind.LORA,
                    model="base",
                    path=f"checkpoints/actor@{version}",
                    digest=digest,
                    parent=0,
                    iteration_id=None,
                    evaluation=None,
                    error=None,
                    created_at=datetime.now(UTC),
                )
            )
        return version
    finally:
        await database.close()


def promoted(client: httpx.Client) -> Pair:
    """What is to be served."""
    pair: Pair = client.get("/admin/serving").json()["promoted"]
    return pair


def state(client: httpx.Client) -> dict[str, Any]:
    """What the one server says of itself."""
    (server,) = client.get("/admin/serving").json()["servers"]
    found: dict[str, Any] = server
    return found


def served(client: httpx.Client) -> Pair:
    """What the one server serves."""
    found = state(client)
    return {role.value: found[role] for role in Role}
