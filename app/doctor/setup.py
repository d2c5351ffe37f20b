"""What is configured: the model, the adapters, the worker, training, the port, traces."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from app import __version__
from app.checkpoints.formats import read_model_tensors
from app.config.preflight import check_port
from app.config.settings import Settings
from app.doctor.finding import Finding, fail, ok, tried, warn
from app.domain.dtype import BYTES, Dtype
from app.errors import ConfigurationError
from app.http_client import is_loopback
from app.keys.policy import check_keys, keys_needed
from app.model_files.resolve import check_model_folder, default_model_folder, resolve_model

PATIENCE_SECONDS = 0.7


def model_folder(name: str | None) -> Path | None:
    """The folder of the model, if it is there already; raises `ConfigurationError`."""
    if name is None:
        folder = default_model_folder()
        return folder if folder.is_dir() else None
    resolved = Path(resolve_model(name))
    return resolved if resolved.is_dir() else None


def model(name: str | None) -> Finding:
    """Whether there is a usable model."""
    try:
        folder = model_folder(name)
        if folder is not None:
            check_model_folder(folder)
    except ConfigurationError as error:
        return fail("model", error.message, "correct SPAR_MODEL")
    if folder is not None:
        return ok("model", str(folder))
    if name is None:
        return ok("model", "the embedded one; prepared at the first start (about 30 s)")
    return warn("model", f"{name} is a hub name", "it needs the network unless it is cached")


def weights_gib(folder: Path, dtype: Dtype) -> float:
    """Size of a model's weights in memory, in GiB, once they are read in a number type.

    Raises `CheckpointRefused` if a file of them is damaged.
    """
    numbers = sum(prod(tensor.shape) for tensor in read_model_tensors(folder).values())
    return numbers * BYTES[dtype] / 2**30


def context(folder: Path, context_tokens: int) -> Finding:
    """Whether the model was made for contexts of this length."""
    try:
        longest = json.loads((folder / "config.json").read_bytes()).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        longest = None
    if isinstance(longest, int) and context_tokens > longest:
        words = f"{context_tokens} tokens; the model knows {longest}"
        return fail("context", words, f"set SPAR_CONTEXT_TOKENS={longest}")
    return ok("context", f"{context_tokens} tokens")


def adapters(checkpoints: Path, rank: int, count: int) -> Finding:
    """Whether the engine can serve the adapters that are there."""
    found = list(_ranks(checkpoints.glob("*/adapter_config.json")))
    if found and not count:
        words = f"{len(found)} checkpoint(s), and the engine serves none"
        return fail("adapters", words, "set SPAR_ADAPTERS=4")
    too_big = [(name, needed) for name, needed in found if needed > rank]
    if too_big:
        name, needed = max(too_big, key=lambda item: item[1])
        words = f"{name} has rank {needed}; the engine takes {rank}"
        return fail("adapters", words, f"set SPAR_ADAPTER_RANK={needed}")
    return ok("adapters", f"{len(found)} checkpoint(s), rank up to {rank}")


def schedule(expression: str | None, *, worker: bool) -> Finding:
    """Whether somebody runs the iterations that the schedule starts."""
    if expression and not worker:
        words = f"`{expression}`, and no worker beside this server"
        return warn("schedule", words, "set SPAR_WORKER=true, or run a worker elsewhere")
    return ok("schedule", f"`{expression}`" if expression else "none")


def accelerate(file: Path | None) -> Finding:
    """Whether the file for training can be read."""
    if file is None:
        return ok("training", "one process")
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        words = f"{file} cannot be read ({type(error).__name__})"
        return fail("training", words, "correct SPAR_ACCELERATE_CONFIG")
    if not isinstance(content, dict) or "distributed_type" not in content:
        words = f"{file} is not a file of `accelerate config`"
        return fail("training", words, "make one: `accelerate config --config_file FILE`")
    return ok("training", f"{content['distributed_type']}, by {file}")


def keys(settings: Settings, *, ready: bool) -> Finding:
    """Whether there is a key where requests need one; `ready` where the database can be asked."""
    if not keys_needed(settings):
        if is_loopback(settings.host):
            return ok("keys", "not needed")
        words = f"off: whoever reaches {settings.host} may do everything"
        return warn("keys", words, "unset SPAR_KEYS, and make one: `spar keys create NAME`")
    if not ready:
        words = f"needed at {settings.host}; the database cannot tell"
        return warn("keys", words, "see above, then `spar keys create NAME`")
    return tried("keys", "needed, and made", lambda: asyncio.run(check_keys(settings)))


def sleeping(*, wanted: bool, on_cpu: bool) -> Finding:
    """Whether the engine can leave its memory to the trainer, if it is to."""
    if wanted and on_cpu:
        return fail("sleep", "an engine on a CPU cannot", "unset SPAR_SLEEP_WHILE_TRAINING")
    return ok("sleep", "while training" if wanted else "never")


def labelled_pairs(file: Path | None) -> Finding:
    """Whether the file of labelled pairs is there."""
    if file is not None and not file.is_file():
        return fail("pairs", f"there is no file {file}", "correct SPAR_LABELLED_PAIRS")
    return ok("pairs", "none" if file is None else str(file))


def ask_health(url: str) -> Mapping[str, Any] | None:
    """What `/healthz` of a server of ours says; None where none answers."""
    try:
        # Not by a proxy: it is this machine's view of the address that matters.
        with httpx2.Client(timeout=PATIENCE_SECONDS, trust_env=False) as client:
            health = client.get(f"{url}/healthz").json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
    return health if isinstance(health, dict) and "engine_ready" in health else None


def port(host: str, number: int, health: Mapping[str, Any] | None) -> Finding:
    """Whether the server can listen, or listens already."""
    if health is not None:
        return ok("port", f"{number}: a server of ours listens")
    return tried("port", f"{number} is free", lambda: check_port(host, number))


def server(health: Mapping[str, Any] | None) -> Finding:
    """How the running server is, if there is one."""
    if health is None:
        return ok("server", "none runs here")
    asleep = health.get("engine_asleep")
    if not (health["engine_ready"] or asleep):
        return warn("server", "its engine is not ready", "wait a minute; else read its log")
    if health.get("version") != __version__:
        words = f"it runs {health.get('version')}, installed is {__version__}"
        return warn("server", words, "restart it")
    if health.get("searches_lost"):
        words = f"{health['searches_lost']} searches could not be stored"
        return warn("server", words, "look at the database and the disk")
    if health.get("engine_restarts"):
        words = f"its engine died {health['engine_restarts']} time(s)"
        return warn("server", words, "read its log; memory is the usual reason")
    return ok(
        "server", "its engine sleeps while a training runs" if asleep else "answers and is ready"
    )


def worker(url: str | None, health: Mapping[str, Any] | None) -> Finding:
    """Whether the server that the worker plays with answers; `url` is None for this one."""
    if url is None:
        return ok("worker", "plays with the server here")
    if health is None:
        return fail("worker", f"no server answers at {url}", "start it, or correct SPAR_WORKER_URL")
    return ok("worker", f"plays with {url}")


def traces(endpoint: str | None) -> Finding:
    """Whether the address for traces is one."""
    if not endpoint:
        return ok("traces", "off")
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        words = f"{endpoint} is not an address"
        return fail("traces", words, "write it like SPAR_OTLP_ENDPOINT=http://localhost:4318")
    try:
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError:
        return fail("traces", "OpenTelemetry is not installed", "install spar[tracing]")
    return ok("traces", f"sent to {endpoint}")


def _ranks(files: Iterable[Path]) -> Iterable[tuple[str, int]]:
    for file in files:
        try:
            rank = json.loads(file.read_bytes())["r"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged checkpoint is refused when it is loaded, with the reason
        if isinstance(rank, int):
            yield file.parent.name, rank
