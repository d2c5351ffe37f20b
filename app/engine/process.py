"""The engine's process: started, watched, and started again when it dies."""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from app.engine.alive import engine_asleep
from app.engine.figures import EngineFigures, stat_logger
from app.engine.orphans import SERVER_PID
from app.errors import ConfigurationError, EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.2
MIN_BATCH_TOKENS = 2048
LONGEST_PAUSE_SECONDS = 30.0
CORES = "VLLM_CPU_OMP_THREADS_BIND"
CPU_TARGETS = ("o_proj", "down_proj")
"""Adapters of more layers cost a CPU too much: docs/performance.md."""

_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine is started with; the names are `app.settings`' own.

    cores: the CPU cores its threads are bound to; None leaves it to the environment, else all.
    sleeps: whether it is to be able to sleep, which a CPU's cannot.
    more: further arguments of vLLM's own.
    """

    model: str
    dtype: str
    context_tokens: int
    kv_cache_gib: float
    gpu_memory_utilization: float
    block_size: int
    max_num_seqs: int
    compile: bool
    adapters: int = 4
    adapter_rank: int = 16
    adapter_targets: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    sleeps: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...] | None:
        """The layers that may have an adapter; None for all."""
        return self.adapter_targets or (CPU_TARGETS if on_cpu() else None)


class EngineProcess:
    """Keeps one vLLM engine running.

    `on_start` is called with every new engine, the first one and each restarted one. `weights`
    is the folder (or hub name) of the weights that the next one starts with. `asleep` is kept by
    `app.engine.sleep`; an engine that is started is awake.
    """

    def __init__(self, config: EngineConfig, on_start: Callable[["AsyncLLM"], None]) -> None:
        self._config = config
        self._on_start = on_start
        self._llm: AsyncLLM | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._spoilt = False
        self.asleep = False
        self.restarts = 0
        self.weights = config.model
        self.figures = EngineFigures()

    @property
    def ready(self) -> bool:
        """Whether the engine takes calls right now."""
        return self._works and not self.asleep

    @property
    def _works(self) -> bool:
        return self._llm is not None and not self._llm.errored and not self._spoilt

    @property
    def llm(self) -> "AsyncLLM":
        """The running engine. Raises `EngineUnavailable` while there is none, or it sleeps."""
        if self._llm is None or not self._works:
            state = "restarting" if self.restarts else "starting"
            raise EngineUnavailable(f"the engine is {state}; try again soon", retry_after=10)
        if self.asleep:
            raise engine_asleep()
        return self._llm

    async def start(self) -> None:
        """Start the engine and watch over it. Raises `ConfigurationError` when it cannot start."""
        await self._launch()
        self._watcher = asyncio.create_task(self._restart_when_dead())

    def spoil(self) -> None:
        """Have the running engine ended and a new one started: its weights are not to be used."""
        self._spoilt = True

    async def close(self) -> None:
        """Stop watching, then stop the engine's processes."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._llm is None:
            _kill_half_started()
        else:
            self._llm.shutdown()
            self._llm = None
            # vLLM's objects refer to each other in circles; collected at the interpreter's end
            # their finalizers fail, with a traceback that looks like trouble.
            gc.collect()

    async def _launch(self) -> None:
        try:
            self._llm = await _build_in_thread(self._config, self.weights, self.figures)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigurationError(
                f"the engine cannot start with model {self.weights}: {error}"
            ) from error
        self._on_start(self._llm)

    async def _restart_when_dead(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._llm is not None and not self._works:
                self.restarts += 1
                log.error("the engine died; restarting it (restart %d)", self.restarts)
                self._llm.shutdown()
                self._llm, self._spoilt, self.asleep = None, False, False
                self.figures.forget_now()
                await self._relaunch()

    async def _relaunch(self) -> None:
        pause = 1.0
        while self._llm is None:
            try:
                await self._launch()
            except ConfigurationError as error:
                log.error("%s; next try in %.0f s", error.message, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        log.warning("the engine is back")


def _kill_half_started() -> None:
    """Kill an engine core that still loads its model: it does not heed a request to end then."""
    for child in multiprocessing.active_children():
        if child.name.startswith("EngineCore"):
            child.kill()


async def _build_in_thread(
    config: EngineConfig, weights: str, figures: EngineFigures
) -> "AsyncLLM":
    """Start the engine's process, which blocks until the model is loaded.

    The thread is a daemon: a server that is told to stop meanwhile does not wait for it.
    """
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    built: list[AsyncLLM] = []
    failed: list[Exception] = []

    def build() -> None:
        try:
            built.append(_build(config, weights, figures))
        except Exception as error:  # raised again below, where somebody waits
            failed.append(error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finished.set)

    threading.Thread(target=build, name="engine-start", daemon=True).start()
    await finished.wait()
    if failed:
        raise failed[0]
    return built.pop()


def _build(config: EngineConfig, weights: str, figures: EngineFigures) -> "AsyncLLM":
    # The environment, which says on which cores, is the process's: one engine after the other.
    with _starting:
        _prepare_environment(config)
        return _start(config, weights, figures)


def _start(config: EngineConfig, weights: str, figures: EngineFigures) -> "AsyncLLM":
    # A Ctrl-C in the terminal reaches every process of its group. The engine must outlive it
    # until running requests are done, and a child inherits the signals its starter blocks.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = our_arguments(config, weights)
    names = {argument.name for argument in fields(AsyncEngineArgs)}
    arguments |= checked_arguments(config.more, names, arguments)
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(**arguments), stat_loggers=[stat_logger(figures)]
    )


def our_arguments(config: EngineConfig, weights: str) -> dict[str, Any]:
    """The arguments of vLLM's engine that the settings decide, on this kind of machine."""
    arguments: dict[str, Any] = {
        "model": weights,
        # Whatever weights were trained since, this is the model they are for.
        "tokenizer": config.model,
        "hf_config_path": config.model,
        "dtype": config.dtype,
        "max_model_len": config.context_tokens,
        "max_num_seqs": config.max_num_seqs,
        "block_size": config.block_size,
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",
        "enforce_eager": not config.compile,
        "disable_log_stats": True,
    }
    if config.adapters:
        arguments |= {
            "enable_lora": True,
            "max_loras": config.adapters,
            "max_cpu_loras": 2 * config.adapters,
            "max_lora_rank": config.adapter_rank,
            "lora_target_modules": config.targets and list(config.targets),
        }
    if config.sleeps:
        arguments["enable_sleep_mode"] = True
    if on_cpu():
        arguments |= {
            "kv_cache_memory_bytes": int(config.kv_cache_gib * 2**30),
            # A prompt prefilled in pieces rewinds its seed's generator, which a CPU generator
            # cannot do: the engine would die. So no prompt is split: a batch holds the longest.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(config.context_tokens, MIN_BATCH_TOKENS),
        }
    else:
        arguments["gpu_memory_utilization"] = config.gpu_memory_utilization
    return arguments


def checked_arguments(
    more: Mapping[str, Any], known: Collection[str], ours: Collection[str]
) -> Mapping[str, Any]:
    """Further arguments of vLLM, which knows these. Raises `ValueError` naming the first wrong one.

    Those that are `ours` have settings of their own, or decide what else is promised.
    """
    for name in more:
        if name in ours:
            raise ValueError(f"SPAR_ENGINE_ARGS cannot set {name}, which other settings decide")
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; is it {near[0]}?" if near else ""
            raise ValueError(f"SPAR_ENGINE_ARGS has {name}, which vLLM does not know{hint}")
    return more


def on_cpu() -> bool:
    """Whether this vLLM was built for CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def can_sleep() -> bool:
    """Whether engines can sleep on this kind of machine."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_sleep_mode_available())


def usable_cores() -> tuple[int, ...]:
    """The numbers of the CPU cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def _listed(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))


def _prepare_environment(config: EngineConfig) -> None:
    """Defaults for what vLLM reads from the environment; what is set already stays."""
    defaults = {
        CORES: _listed(usable_cores()),
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        # Its warnings are about choices made here; its errors also come as ours.
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    if not config.compile:
        # Without it vLLM compiles the counting of log-probabilities all the same, at the first
        # judgments and again for other batch sizes: seconds each time on a CPU.
        defaults["TORCHDYNAMO_DISABLE"] = "1"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if config.cores is not None:
        os.environ[CORES] = _listed(config.cores)
    os.environ[SERVER_PID] = str(os.getpid())
