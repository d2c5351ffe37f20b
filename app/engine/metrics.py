"""vLLM's own metrics, kept in memory for the server to read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(slots=True)
class EngineMetrics:
    """One engine's metrics: three gauges, and counters since the server started.

    A restart of the engine's process resets the gauges only.
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
        """Add one engine step: vLLM's `SchedulerStats` and `IterationStats`, or None for either."""
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

    def reset_gauges(self) -> None:
        """The engine's process has ended: no request runs or waits in it."""
        self.running_requests = self.waiting_requests = 0
        self.kv_cache_usage_ratio = 0.0


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that reports vLLM's metrics."""

    @property
    def metrics(self) -> Mapping[str, EngineMetrics]:
        """Each engine's metrics by name: a role, or `all`."""
        ...


def stat_logger(metrics: EngineMetrics) -> Callable[..., Any]:
    """A stat logger class for vLLM that adds every step to `metrics`."""
    from vllm.v1.metrics.loggers import PrometheusStatLogger

    class StatLogger(PrometheusStatLogger):
        """Derived from vLLM's Prometheus logger so that vLLM does not add that one itself.

        It writes into the process-wide registry, where a second or restarted engine replaces the
        first one's metrics, and it costs more time per step.
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
            metrics.add_step(scheduler_stats, iteration_stats)

        def record_sleep_state(self, sleep: int = 0, level: int = 0) -> None:
            pass

        def record_admission_rejection(self, reason: str) -> None:
            pass

        def log_engine_initialized(self) -> None:
            pass

    return StatLogger
