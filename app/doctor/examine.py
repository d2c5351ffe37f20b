"""All checks of one machine and configuration, in the order of the report."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.config.settings import Settings, reachable
from app.doctor import machine, setup, storage
from app.doctor.engines import engines
from app.doctor.finding import Finding, ok
from app.domain.checkpoint import Role
from app.domain.dtype import BYTES, Dtype, DtypeChoice, choose_dtype, read_cpuinfo
from app.errors import CheckpointRefused, ConfigurationError

EMBEDDED_NUMBERS = 134_515_008
"""Parameters of the embedded model, SmolLM2-135M-Instruct, which may not be prepared yet."""


def examine(settings: Settings) -> Iterator[Finding]:
    """One finding a check; nothing is changed, and no model is loaded."""
    health = setup.ask_health(f"http://{reachable(settings.host)}:{settings.port}")
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
    yield from engines(remote, settings.model, settings.engines_key)
    yield storage.data_folder(settings.data)
    found, state = storage.database(settings.url)
    yield found
    there = None if state is None else state.now
    yield machine.clock(datetime.now(UTC), there, "the database")
    yield setup.keys(settings, ready=state is not None and state.missing == 0)
    yield setup.adapters(settings.data / "checkpoints", settings.adapter_rank, settings.adapters)
    yield setup.port(settings.host, settings.port, health)
    yield setup.server(health)
    elsewhere = settings.worker_url
    health = None if elsewhere is None else setup.ask_health(elsewhere.rstrip("/"))
    yield setup.worker(elsewhere, health)
    yield setup.schedule(settings.schedule, worker=settings.worker)
    yield setup.accelerate(settings.accelerate_config)
    yield setup.sleeping(wanted=settings.sleep_while_training, on_cpu=not gpus)
    yield setup.labelled_pairs(settings.labelled_pairs)
    yield setup.traces(settings.otlp_endpoint)


def _model(
    settings: Settings, here: int, choice: DtypeChoice, *, on_cpu: bool, running: bool
) -> Iterator[Finding]:
    """The model, and the memory for as many engines as run here."""
    yield setup.model(settings.model)
    folder = _folder(settings.model)
    if folder is not None:
        yield setup.context(folder, settings.context_tokens)
    available = machine.available_memory()
    if not here:
        yield ok("memory", "the engines run elsewhere")
    elif running:
        yield ok("memory", "the running server has it")
    elif available is None or not on_cpu:
        yield ok("memory", "not looked at")
    else:
        yield _memory(settings, here, choice, folder, available)


def _memory(
    settings: Settings, here: int, choice: DtypeChoice, folder: Path | None, available: float
) -> Finding:
    """The memory on a CPU, where a number type is always chosen."""
    try:
        need = machine.MemoryNeed(
            serving_weights=_weights_gib(folder, choice.dtype),
            training_weights=_weights_gib(folder, choice.for_training().dtype),
            kv_cache=settings.kv_cache_gib,
            engines=here,
            trains=settings.worker,
        )
    except CheckpointRefused:
        return ok("memory", "not looked at")  # the check of the model says what is wrong with it
    return machine.memory(available, need)


def _weights_gib(folder: Path | None, dtype: Dtype) -> float:
    if folder is None:
        return EMBEDDED_NUMBERS * BYTES[dtype] / machine.GIB
    return setup.weights_gib(folder, dtype)


def _folder(name: str | None) -> Path | None:
    try:
        return setup.model_folder(name)
    except ConfigurationError:
        return None
