"""One engine per role, and routing by role."""

from pathlib import Path

import pytest

from app.domain.checkpoint import Role
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.arguments import EngineConfig
from app.engine.base import Call
from app.engine.by_role import EnginesByRole, configs_by_role
from app.errors import ConfigurationError, EngineError
from tests.helpers.scripted_engine import ScriptedEngine

CONFIG = EngineConfig(
    model="m",
    dtype="auto",
    context_tokens=512,
    kv_cache_gib=1.0,
    gpu_memory_utilization=0.9,
    block_size=32,
    max_num_seqs=8,
    compile=False,
)


class Startable(ScriptedEngine):
    """A scripted engine that logs its start and end in `log`."""

    def __init__(self, role: Role, log: list[str], *, failing: bool = False) -> None:
        super().__init__(self._say, lambda call, option: -1.0 if role is Role.ACTOR else -2.0)
        self.role = role
        self._log = log
        self._failing = failing

    async def _say(self, call: Call) -> str:
        return f"the {self.role} says"

    async def start(self) -> None:
        self._log.append(f"start {self.role}")

    async def close(self) -> None:
        self._log.append(f"close {self.role}")
        if self._failing:
            raise ConfigurationError("cannot stop")


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def parts(log: list[str]) -> dict[Role, Startable]:
    return {role: Startable(role, log, failing=role is Role.ACTOR) for role in Role}


@pytest.fixture
def engine(parts: dict[Role, Startable]) -> EnginesByRole:
    return EnginesByRole(parts)


def call(model: str) -> Call:
    return Call((Message("user", "hello there"),), model, Sampling(0.0, 1.0, 8))


@pytest.mark.parametrize("role", list(Role))
async def test_calls_are_routed_by_role(
    engine: EnginesByRole, parts: dict[Role, Startable], role: Role
) -> None:
    assert (await engine.complete(call(f"{role}@0"))).text == f"the {role} says"
    scores = await engine.score(call(f"{role}@0"), (" yes",))
    assert scores == {" yes": -1.0 if role is Role.ACTOR else -2.0}
    assert [len(part.started) for part in parts.values()] == [
        int(part.role is role) for part in parts.values()
    ]


async def test_adapters_and_weights_are_loaded_for_one_role_only(
    engine: EnginesByRole, parts: dict[Role, Startable], tmp_path: Path
) -> None:
    await engine.load_adapter("refiner@1", tmp_path)
    assert (parts[Role.REFINER].adapters, parts[Role.ACTOR].adapters) == (
        {"refiner@1": tmp_path},
        {},
    )
    await engine.unload_adapter("refiner@1")
    assert parts[Role.REFINER].adapters == {}
    await engine.load_weights("actor@2", tmp_path)
    assert parts[Role.ACTOR].weights == {Role.ACTOR: ("actor@2", tmp_path)}
    assert parts[Role.REFINER].weights == {}
    assert (await engine.complete(call("refiner@0"))).text
    with pytest.raises(EngineError, match="actor@0"):
        await engine.complete(call("actor@0"))


@pytest.mark.parametrize("name", ["actor", "writer@1", ""])
async def test_a_name_without_a_role_is_rejected(engine: EnginesByRole, name: str) -> None:
    with pytest.raises(EngineError, match="does not serve"):
        await engine.complete(call(name))


async def test_it_is_ready_when_both_are(
    engine: EnginesByRole, parts: dict[Role, Startable]
) -> None:
    assert engine.ready
    parts[Role.REFINER].ready = False
    assert not engine.ready


async def test_restarts_and_unfinished_calls_are_summed(
    engine: EnginesByRole, parts: dict[Role, Startable]
) -> None:
    parts[Role.ACTOR].restarts, parts[Role.REFINER].restarts = 2, 1
    parts[Role.ACTOR].running, parts[Role.REFINER].running = 3, 4
    assert (engine.restarts, engine.unfinished) == (3, 7)


async def test_all_engines_are_closed_if_one_fails(engine: EnginesByRole, log: list[str]) -> None:
    await engine.start()
    with pytest.raises(ConfigurationError, match="cannot stop"):
        await engine.close()
    assert sorted(log) == ["close actor", "close refiner", "start actor", "start refiner"]


@pytest.mark.parametrize(
    ("cores", "actor", "refiner"),
    [
        ((0, 1), (0,), (1,)),
        ((0, 1, 2, 3, 4), (0, 2, 4), (1, 3)),
        ((3,), (3,), (3,)),
    ],
)
def test_the_roles_share_the_machine(
    cores: tuple[int, ...], actor: tuple[int, ...], refiner: tuple[int, ...]
) -> None:
    shares = configs_by_role(CONFIG, cores)
    assert (shares[Role.ACTOR].cores, shares[Role.REFINER].cores) == (actor, refiner)
    assert {share.gpu_memory_utilization for share in shares.values()} == {0.45}
