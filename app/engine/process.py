"""The engine's process: start, supervision, restart, sleep mode."""

import asyncio
import gc
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from app.concurrency import backoff, race, retry
from app.engine.arguments import EngineConfig, checked_arguments, our_arguments, prepare_environment
from app.engine.metrics import EngineMetrics, stat_logger
from app.errors import ConfigurationError, EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.2
"""How often the engine is polled for being alive."""
LONGEST_PAUSE_SECONDS = 30.0

_starting = threading.Lock()

Result = TypeVar("Result")


async def wait_or_engine_dead(llm: "AsyncLLM", work: Coroutine[Any, Any, Result]) -> Result:
    """Await an engine command other than a call, such as loading an adapter.

    vLLM itself waits forever for the reply of an engine that has died.

    Raises:
        EngineUnavailable: the engine died.
        Exception: what `work` raises.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    async def raise_when_dead() -> NoReturn:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if llm.errored:
                raise engine_died()

    try:
        return await race(work, raise_when_dead())
    except EngineDeadError as error:
        raise engine_died() from error


def engine_died() -> EngineUnavailable:
    """The error of calls to an engine that has died."""
    return EngineUnavailable("the engine died; it is being restarted", retry_after=30)


def engine_asleep() -> EngineUnavailable:
    """The error of calls to an engine that sleeps."""
    return EngineUnavailable(
        "the engine sleeps while a training has the GPU; try again later", retry_after=30
    )


class EngineProcess:
    """Keeps one vLLM engine running: one that dies is restarted.

    on_start: called with every new engine, the first one and each restarted one.
    weights: folder or hub name of the weights that the next engine starts with.
    asleep: set by `SleepMode`; a new engine is awake.
    restarts: how often the engine was restarted.
    """

    def __init__(self, config: EngineConfig, on_start: Callable[["AsyncLLM"], None]) -> None:
        self._config = config
        self._on_start = on_start
        self._llm: AsyncLLM | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._restart_requested = False
        self.asleep = False
        self.restarts = 0
        self.weights = config.model
        self.metrics = EngineMetrics()

    @property
    def ready(self) -> bool:
        """Whether the engine takes calls right now."""
        return self._works and not self.asleep

    @property
    def _works(self) -> bool:
        return self._llm is not None and not self._llm.errored and not self._restart_requested

    @property
    def llm(self) -> "AsyncLLM":
        """The running engine. Raises `EngineUnavailable` while it starts, restarts or sleeps."""
        if self._llm is None or not self._works:
            state = "restarting" if self.restarts else "starting"
            raise EngineUnavailable(f"the engine is {state}; try again soon", retry_after=10)
        if self.asleep:
            raise engine_asleep()
        return self._llm

    async def start(self) -> None:
        """Start the engine and its supervision. Raises `ConfigurationError`."""
        await self._launch()
        self._watcher = asyncio.create_task(self._restart_when_dead())

    def request_restart(self) -> None:
        """Have the running engine replaced by a new one: its weights may be inconsistent."""
        self._restart_requested = True

    async def close(self) -> None:
        """End the supervision, then the engine's processes."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._llm is None:
            _kill_half_started()
        else:
            self._llm.shutdown()
            self._llm = None
            # vLLM's objects form reference cycles; collected while the interpreter exits, their
            # finalizers fail with a traceback.
            gc.collect()

    async def _launch(self) -> None:
        try:
            self._llm = await _build_in_thread(self._config, self.weights, self.metrics)
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
                self._llm, self._restart_requested, self.asleep = None, False, False
                self.metrics.reset_gauges()
                await self._relaunch()

    async def _relaunch(self) -> None:
        def report(error: ConfigurationError, pause: float) -> float:
            log.error("%s; next try in %.0f s", error.message, pause)
            return pause

        pauses = backoff(1.0, LONGEST_PAUSE_SECONDS)
        await retry(self._launch, ConfigurationError, pauses, on_failure=report)
        log.warning("the engine has been restarted")


def _kill_half_started() -> None:
    """Kill an engine core that still loads its model: it ignores a request to stop until then."""
    for child in multiprocessing.active_children():
        if child.name.startswith("EngineCore"):
            child.kill()


async def _build_in_thread(
    config: EngineConfig, weights: str, metrics: EngineMetrics
) -> "AsyncLLM":
    """Start the engine's process, which blocks until the model is loaded.

    The thread is a daemon, so that a server that is stopped meanwhile does not wait for it.
    """
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    built: list[AsyncLLM] = []
    failed: list[Exception] = []

    def build() -> None:
        try:
            built.append(_build(config, weights, metrics))
        except Exception as error:  # raised again below, in the waiting task
            failed.append(error)
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            loop.call_soon_threadsafe(finished.set)

    threading.Thread(target=build, name="engine-start", daemon=True).start()
    await finished.wait()
    if failed:
        raise failed[0]
    return built.pop()


def _build(config: EngineConfig, weights: str, metrics: EngineMetrics) -> "AsyncLLM":
    # The environment variables, which choose the cores, are process-wide: one engine at a time.
    with _starting:
        prepare_environment(config)
        return _start(config, weights, metrics)


def _start(config: EngineConfig, weights: str, metrics: EngineMetrics) -> "AsyncLLM":
    # A Ctrl-C in the terminal reaches every process of its group. The engine must outlive it
    # until running requests are done, and a child inherits the signals its starter blocks.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = our_arguments(config, weights)
    names = {argument.name for argument in fields(AsyncEngineArgs)}
    arguments |= checked_arguments(config.more, names, arguments)
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(**arguments), stat_loggers=[stat_logger(metrics)]
    )


LEVEL = 1
"""vLLM's sleep level 1: weights and adapters move to CPU memory, the KV cache is dropped."""


class SleepMode:
    """vLLM's sleep mode of one engine; while it sleeps, `EngineProcess` takes no calls."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._llm: AsyncLLM | None = None

    async def begin(self) -> None:
        """See `SleepyEngine.sleep`. The prefix cache is lost."""
        self._llm = self._process.llm
        self._process.asleep = True
        await self._do(self._llm, self._llm.sleep(LEVEL, mode="wait"), "fall asleep")

    async def end(self) -> None:
        """See `SleepyEngine.wake_up`."""
        if self._llm is None or not self._process.asleep:
            return  # it died meanwhile, and its replacement is awake
        await self._do(self._llm, self._llm.wake_up(), "wake up")
        self._llm, self._process.asleep = None, False

    async def _do(self, llm: "AsyncLLM", work: Coroutine[Any, Any, Any], words: str) -> None:
        try:
            await wait_or_engine_dead(llm, work)
        except EngineUnavailable:
            raise
        except Exception as error:  # errors of the engine's process arrive as bare Exception
            log.error("the engine cannot %s, and is restarted: %s", words, error)
            self._process.request_restart()
            raise engine_died() from error
