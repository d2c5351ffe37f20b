"""Arguments and environment variables of vLLM's engine."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from app.domain.dtype import Dtype, DtypeChoice, choose_dtype, read_cpuinfo
from app.engine.orphans import SERVER_PID

MIN_BATCH_TOKENS = 2048
CORES = "VLLM_CPU_OMP_THREADS_BIND"
CPU_TARGETS = ("o_proj", "down_proj")
"""Default LoRA targets on a CPU; more layers cost too much: docs/performance.md."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Configuration of the engine; field names are those of `app.config.settings`.

    cores: the CPU cores its threads are bound to; None: from the environment, else all.
    sleeps: enable sleep mode (GPU only).
    more: further vLLM engine arguments (SPAR_ENGINE_ARGS).
    """

    model: str
    dtype: Dtype
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
        """LoRA target modules; None for all."""
        return self.adapter_targets or (CPU_TARGETS if on_cpu() else None)


def our_arguments(config: EngineConfig, weights: str) -> dict[str, Any]:
    """The vLLM engine arguments derived from the settings, for this platform."""
    arguments: dict[str, Any] = {
        "model": weights,
        # Trained weights reuse the base model's tokenizer and configuration.
        "tokenizer": config.model,
        "hf_config_path": config.model,
        "dtype": serving_dtype(config.dtype).dtype,
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
            # Chunked prefill rewinds a seeded request's generator, which CPU generators do not
            # support: the engine would crash. A batch must hold the longest prompt whole.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(config.context_tokens, MIN_BATCH_TOKENS),
        }
    else:
        arguments["gpu_memory_utilization"] = config.gpu_memory_utilization
    return arguments


def checked_arguments(
    more: Mapping[str, Any], known: Collection[str], ours: Collection[str]
) -> Mapping[str, Any]:
    """Validate further vLLM engine arguments.

    Args:
        more: the arguments to check.
        known: names that vLLM accepts.
        ours: names that other settings control.

    Raises:
        ValueError: the first argument that is unknown or in `ours`.
    """
    for name in more:
        if name in ours:
            raise ValueError(f"SPAR_ENGINE_ARGS cannot set {name}, which other settings control")
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"SPAR_ENGINE_ARGS has {name}, which vLLM does not know{hint}")
    return more


def on_cpu() -> bool:
    """Whether the installed vLLM is a CPU build."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def serving_dtype(wanted: Dtype) -> DtypeChoice:
    """The dtype an engine on this machine serves in; `wanted` is SPAR_DTYPE."""
    return choose_dtype(wanted, read_cpuinfo(), gpu=not on_cpu())


def can_sleep() -> bool:
    """Whether this platform supports sleep mode."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_sleep_mode_available())


def usable_cores() -> tuple[int, ...]:
    """CPU core ids in this process's affinity mask."""
    return tuple(sorted(os.sched_getaffinity(0)))


def _listed(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))


def prepare_environment(config: EngineConfig) -> None:
    """Set defaults of vLLM's environment variables; existing values are kept."""
    defaults = {
        CORES: _listed(usable_cores()),
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        # Its warnings concern choices made here; its errors are also raised as ours.
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    if not config.compile:
        # Otherwise vLLM still compiles its log-probability ranking, at the first judgments and
        # again for other batch sizes: seconds each time on a CPU.
        defaults["TORCHDYNAMO_DISABLE"] = "1"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if config.cores is not None:
        os.environ[CORES] = _listed(config.cores)
    os.environ[SERVER_PID] = str(os.getpid())
