"""vLLM's own metrics, reported through its own logger manager, without an engine."""

from typing import Any

import pytest

from app.engine.metrics import EngineMetrics, stat_logger


@pytest.fixture
def metrics() -> EngineMetrics:
    return EngineMetrics()


@pytest.fixture
def manager(metrics: EngineMetrics) -> Any:
    from vllm.v1.metrics.loggers import StatLoggerManager

    config: Any = None
    return StatLoggerManager(
        config,
        engine_idxs=[0],
        custom_stat_loggers=[stat_logger(metrics)],
        enable_default_loggers=False,
    )


def test_every_step_is_added(manager: Any, metrics: EngineMetrics) -> None:
    from vllm.v1.metrics.stats import IterationStats, PrefixCacheStats, SchedulerStats

    for running, used in ((3, 0.5), (2, 0.25)):
        step: Any = IterationStats()  # type: ignore[no-untyped-call]
        step.num_generation_tokens = 7
        step.num_preempted_reqs = 1
        step.prompt_token_stats.total = 40
        cache = PrefixCacheStats()
        cache.record(num_tokens=40, num_hits=32, preempted=False)
        scheduler = SchedulerStats(
            num_running_reqs=running,
            num_waiting_reqs=4,
            num_skipped_waiting_reqs=1,
            kv_cache_usage=used,
            prefix_cache_stats=cache,
        )
        manager.record(scheduler, step)
    assert metrics == EngineMetrics(
        running_requests=2,
        waiting_requests=5,
        kv_cache_usage_ratio=0.25,
        prefix_cache_queried_tokens=80,
        prefix_cache_hit_tokens=64,
        prompt_tokens=80,
        generated_tokens=14,
        preemptions=2,
    )


def test_a_step_without_statistics_changes_nothing(manager: Any, metrics: EngineMetrics) -> None:
    manager.record(None, None)
    assert metrics == EngineMetrics()


def test_vllm_adds_no_logger_of_its_own_and_all_of_its_calls_are_taken(manager: Any) -> None:
    assert len(manager.stat_loggers) == 1
    manager.log()
    manager.log_engine_initialized()
    manager.record_sleep_state(1, 1)
    manager.record_admission_rejection("max_num_queued_reqs")


def test_totals_outlive_the_engine_s_process() -> None:
    metrics = EngineMetrics(running_requests=3, kv_cache_usage_ratio=0.5, generated_tokens=9)
    metrics.reset_gauges()
    assert metrics == EngineMetrics(generated_tokens=9)
