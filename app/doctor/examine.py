"""All checks of one machine and configuration, in the order of the report."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.doctor import machine, setup, storage
from app.doctor.engines import engines
from app.doctor.finding import Finding, ok
from app.domain.checkpoint import Role
from app.errors import ConfigurationError
from app.settings import Settings, reachable


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
    yield from _model(settings, here, on_cpu=not gpus, running=health is not None)
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


def _model(settings: Settings, here: int, *, on_cpu: bool, running: bool) -> Iterator[Finding]:
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
        weights = 0.25 if folder is None else setup.weights_gib(folder)
        yield machine.memory(available, weights, settings.kv_cache_gib, here)


def _folder(name: str | None) -> Path | None:
    try:
        return setup.model_folder(name)
    except ConfigurationError:
        return None
