"""vLLM's own figures, kept where the server can read them at any moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(slots=True)
class EngineFigures:
    """One engine's figures: three of the moment, and totals since the server started.

    The totals go on growing when the engine's process is started again.
    """

    running_requests: int = 0
    waiting_requests: int = 0
    kv_cache_usage_ratio: float = 0.0
    prefix_cache_queried_tokens: int = 0
    prefix_cache_hit_tokens: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    preemptions: int = 0

    def add_step(self, scheduler: Any, iteration: Any) -> None:
        """One step of the engine: vLLM's `SchedulerStats` and `IterationStats`, or None."""
        if scheduler is not None:
            self.running_requests = scheduler.num_running_reqs
            self.waiting_requests = scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs
            self.kv_cache_usage_ratio = scheduler.kv_cache_usage
            self.prefix_cache_queried_tokens += scheduler.prefix_cache_stats.queries
            self.prefix_cache_hit_tokens += scheduler.prefix_cache_stats.hits
        if iteration is not None:
            self.prompt_tokens += iteration.num_prompt_tokens
            self.generated_tokens += iteration.num_generation_tokens
            self.preemptions += iteration.num_preempted_reqs

    def forget_now(self) -> None:
        """The engine's process has ended: nothing runs or waits in it."""
        self.running_requests = self.waiting_requests = 0
        self.kv_cache_usage_ratio = 0.0


@runtime_checkable
class Measured(Protocol):
    """An engine that knows vLLM's figures."""

    @property
    def figures(self) -> Mapping[str, EngineFigures]:
        """The figures of each engine in it, by its name."""
        ...


def stat_logger(figures: EngineFigures) -> Callable[..., Any]:
    """What vLLM is given so that it reports every step into `figures`."""
    from vllm.v1.metrics.loggers import PrometheusStatLogger

    class Keeper(PrometheusStatLogger):
        """Of this kind only so that vLLM adds no Prometheus logger of its own.

        That one writes into a registry of the whole process, where a second or restarted engine
        takes the first one's figures away, and it costs more.
        """

        def __init__(self, vllm_config: Any, engine_indexes: Any) -> None:
            pass

        def record(
            self,
            scheduler_stats: Any,
            iteration_stats: Any,
            *_: Any,
            **__: Any,
        ) -> None:
            figures.add_step(scheduler_stats, iteration_stats)

        def record_sleep_state(self, sleep: int = 0, level: int = 0) -> None:
            pass

        def record_admission_rejection(self, reason: str) -> None:
            pass

        def log_engine_initialized(self) -> None:
            pass

    return Keeper
