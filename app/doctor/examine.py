"""All checks, in the order of the report."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.config.settings import Settings, reachable
from app.doctor import Finding, machine, ok, servers, setup
from app.domain.checkpoint import Role
from app.domain.dtype import BYTES, Dtype, DtypeChoice, choose_dtype, read_cpuinfo
from app.errors import CheckpointRefused, ConfigurationError

EMBEDDED_PARAMETERS = 134_515_008
"""Parameters of the embedded model, SmolLM2-135M-Instruct, which may not be converted yet."""


def examine(settings: Settings) -> Iterator[Finding]:
    """One finding per check. Changes nothing and loads no model."""
    health = servers.ask_health(f"http://{reachable(settings.host)}:{settings.port}")
    gpus = machine.gpu_names()
    yield machine.python()
    yield machine.vllm()
    yield machine.torch()
    yield machine.gpu(gpus)
    remote = settings.remote_engines
    here = 0 if remote else len(Role) if settings.separate_engines else 1
    yield machine.cores(len(os.sched_getaffinity(0)), here)
    cpuinfo = read_cpuinfo()
    on_gpu = bool(gpus) and machine.vllm_for_gpus()
    yield machine.dtype(settings.dtype, cpuinfo, on_gpu=on_gpu)
    choice = choose_dtype(settings.dtype, cpuinfo, gpu=on_gpu)
    yield from _model(settings, here, choice, on_cpu=not on_gpu, running=health is not None)
    yield from servers.engines(remote, settings.model, settings.engines_key)
    yield machine.data_folder(settings.data)
    found, state = setup.database(settings.url)
    yield found
    yield machine.clock(datetime.now(UTC), state.now if state else None, "the database")
    yield setup.keys(settings, ready=state is not None and state.missing == 0)
    yield setup.adapters(settings.data / "checkpoints", settings.adapter_rank, settings.adapters)
    yield servers.port(settings.host, settings.port, health)
    yield servers.server(health)
    elsewhere = settings.worker_url
    health = None if elsewhere is None else servers.ask_health(elsewhere.rstrip("/"))
    yield servers.worker(elsewhere, health)
    yield setup.schedule(settings.schedule, worker=settings.worker)
    yield setup.accelerate(settings.accelerate_config)
    yield setup.sleeping(wanted=settings.sleep_while_training, on_cpu=not gpus)
    yield setup.labelled_pairs(settings.labelled_pairs)
    yield setup.traces(settings.otlp_endpoint)


def _model(
    settings: Settings, here: int, choice: DtypeChoice, *, on_cpu: bool, running: bool
) -> Iterator[Finding]:
    """The model, and the memory of the engines on this machine."""
    yield setup.model(settings.model)
    folder = _folder(settings.model)
    if folder is not None:
        yield setup.context(folder, settings.context_tokens)
    available = machine.available_memory()
    if not here:
        yield ok("memory", "the engines run on other machines")
    elif running:
        yield ok("memory", "in use by the running server")
    elif available is None or not on_cpu:
        yield ok("memory", "not checked")
    else:
        yield _memory(settings, here, choice, folder, available)


def _memory(
    settings: Settings, here: int, choice: DtypeChoice, folder: Path | None, available: float
) -> Finding:
    """The memory of a CPU machine."""
    try:
        need = machine.MemoryNeed(
            serving_weights=_weights_gib(folder, choice.dtype),
            training_weights=_weights_gib(folder, choice.for_training().dtype),
            kv_cache=settings.kv_cache_gib,
            engines=here,
            trains=settings.worker,
        )
    except CheckpointRefused:
        return ok("memory", "not checked")  # the check of the model reports the reason
    return machine.memory(available, need)


def _weights_gib(folder: Path | None, dtype: Dtype) -> float:
    if folder is None:
        return EMBEDDED_PARAMETERS * BYTES[dtype] / machine.GIB
    return setup.weights_gib(folder, dtype)


def _folder(name: str | None) -> Path | None:
    try:
        return setup.model_folder(name)
    except ConfigurationError:
        return None
