"""The engine's process: started, watched, and started again when it dies."""

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
from app.engine.metrics import EngineFigures, stat_logger
from app.errors import ConfigurationError, EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.2
"""Pause between two looks at whether the engine is alive."""
LONGEST_PAUSE_SECONDS = 30.0

_starting = threading.Lock()

Result = TypeVar("Result")


async def wait_or_engine_dead(llm: "AsyncLLM", work: Coroutine[Any, Any, Result]) -> Result:
    """The result of what the engine was asked to do beside its calls, such as loading an adapter.

    vLLM itself waits for ever for the answer of an engine that has died. Raises
    `EngineUnavailable` then, and what `work` raises.
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
    """The error for whoever needs an engine that has died."""
    return EngineUnavailable("the engine died; it is being restarted", retry_after=30)


def engine_asleep() -> EngineUnavailable:
    """The error for whoever needs an engine that sleeps."""
    return EngineUnavailable(
        "the engine sleeps while a training has the GPU; try again later", retry_after=30
    )


class EngineProcess:
    """Keeps one vLLM engine running.

    `on_start` is called with every new engine, the first one and each restarted one. `weights`
    is the folder (or hub name) of the weights that the next one starts with. `asleep` is kept by
    `app.engine.process`; an engine that is started is awake.
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
        def report(error: ConfigurationError, pause: float) -> float:
            log.error("%s; next try in %.0f s", error.message, pause)
            return pause

        pauses = backoff(1.0, LONGEST_PAUSE_SECONDS)
        await retry(self._launch, ConfigurationError, pauses, on_failure=report)
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
        prepare_environment(config)
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


LEVEL = 1
"""Weights and adapters move to the machine's memory and come back; the KV cache is dropped."""


class SleepMode:
    """The sleep of one engine. While it lasts, `EngineProcess` takes no calls."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._llm: AsyncLLM | None = None

    async def begin(self) -> None:
        """See `SleepyEngine.sleep`. vLLM forgets the prompts in its prefix cache meanwhile."""
        self._llm = self._process.llm
        self._process.asleep = True
        await self._do(self._llm, self._llm.sleep(LEVEL, mode="wait"), "fall asleep")

    async def end(self) -> None:
        """See `SleepyEngine.wake_up`."""
        if self._llm is None or not self._process.asleep:
            return  # it died meanwhile, and another one was started, which is awake
        await self._do(self._llm, self._llm.wake_up(), "wake up")
        self._llm, self._process.asleep = None, False

    async def _do(self, llm: "AsyncLLM", work: Coroutine[Any, Any, Any], words: str) -> None:
        try:
            await wait_or_engine_dead(llm, work)
        except EngineUnavailable:
            raise
        except Exception as error:  # what fails in the engine's process arrives as bare Exception
            log.error("the engine cannot %s, and is restarted: %s", words, error)
            self._process.spoil()
            raise engine_died() from error
