"""Checks over HTTP: remote engines, the server itself, and the server of the worker."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from app import __version__
from app.config.preflight import check_port
from app.doctor import Finding, fail, ok, tried, warn
from app.domain.checkpoint import Role
from app.errors import ConfigurationError
from app.http_client import client_options
from app.model_files.resolve import default_model_folder, resolve_model

HEALTH_SECONDS = 0.7
ENGINE_SECONDS = 1.5
_NO_SUCH_ENDPOINT = (httpx2.codes.NOT_FOUND, httpx2.codes.METHOD_NOT_ALLOWED)
_KEY_REQUIRED = (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)
_CONCURRENT = 16


def engines(
    servers: Mapping[Role, Sequence[str]], model: str | None, key: str | None
) -> Iterator[Finding]:
    """One finding per address, checked concurrently.

    `model` and `key` are SPAR_MODEL and SPAR_ENGINES_KEY.
    """
    urls = dict.fromkeys(url for some in servers.values() for url in some)
    if not urls:
        yield ok("engine", "in the server's own process")
        return
    with ThreadPoolExecutor(_CONCURRENT) as pool:
        yield from pool.map(partial(engine, model=model, key=key), urls)


def engine(url: str, model: str | None, key: str | None) -> Finding:
    """Whether the engine at this URL is healthy, serves the model, and loads adapters."""
    try:
        options = client_options(url, api_key=key, read_seconds=ENGINE_SECONDS)
    except ConfigurationError:
        return fail("engine", f"{url} is not a URL", "write it like http://127.0.0.1:8001")
    base = str(options["base_url"]).rstrip("/")
    try:
        with httpx2.Client(**options) as client:
            return _check(client, base, model)
    except httpx2.HTTPError as error:
        words = f"{base} does not answer ({type(error).__name__})"
        return fail("engine", words, "start it, or correct SPAR_ENGINES")


def _check(client: httpx2.Client, base: str, model: str | None) -> Finding:
    health = client.get("/health").status_code
    if not httpx2.codes.is_success(health) and health not in _NO_SUCH_ENDPOINT:
        return fail("engine", f"{base}/health answers {health}", "read its log; start it again")
    listed = client.get("/v1/models")
    if listed.status_code in _KEY_REQUIRED:
        return fail("engine", f"{base} requires a key", "set SPAR_ENGINES_KEY to its --api-key")
    own = _own_model(listed)
    if own is None:
        words = f"{base}/v1/models lists no model"
        return fail("engine", words, "correct SPAR_ENGINES: not an OpenAI-compatible server")
    names = {str(name) for name in (own.get("id"), own.get("root")) if name}
    shown = own.get("root") or own.get("id")
    wanted = _wanted(model)
    if names.isdisjoint(wanted):
        words = f"{base} serves {shown}, and SPAR_MODEL is {wanted[0]}"
        return warn("engine", words, "set SPAR_MODEL to what it serves, unless both are the same")
    if client.post("/v1/load_lora_adapter", json={}).status_code in _NO_SUCH_ENDPOINT:
        words = f"{base} cannot load adapters at run time"
        fix = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
        return warn("engine", words, fix)
    return ok("engine", f"{base} serves {shown}")


def _own_model(listed: httpx2.Response) -> Mapping[str, Any] | None:
    """The first model listed, which is the base model."""
    try:
        content = listed.json()
    except ValueError:
        return None
    match content:
        case {"data": [{"id": str()} as own, *_]}:
            return dict(own)
    return None


def _wanted(model: str | None) -> list[str]:
    """The names that the configured model may have, the configured one first."""
    try:
        folder = str(default_model_folder()) if model is None else resolve_model(model)
    except ConfigurationError:
        folder = str(model)  # the check of the model says what is wrong with it
    absolute = str(Path(folder).resolve()) if Path(folder).is_dir() else folder
    return list(dict.fromkeys((model or folder, folder, absolute)))


def ask_health(url: str) -> Mapping[str, Any] | None:
    """The response of a server's `/healthz`; None if no spar server answers."""
    try:
        # Without a proxy: the address matters as this machine sees it.
        with httpx2.Client(timeout=HEALTH_SECONDS, trust_env=False) as client:
            health = client.get(f"{url}/healthz").json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
    return health if isinstance(health, dict) and "engine_ready" in health else None


def port(host: str, number: int, health: Mapping[str, Any] | None) -> Finding:
    """Whether the port is free, or a spar server listens on it."""
    if health is not None:
        return ok("port", f"{number}: a spar server listens")
    return tried("port", f"{number} is free", lambda: check_port(host, number))


def server(health: Mapping[str, Any] | None) -> Finding:
    """The state of the running server, if any."""
    if health is None:
        return ok("server", "not running")
    asleep = health.get("engine_asleep")
    if not (health["engine_ready"] or asleep):
        return warn("server", "its engine is not ready", "wait a minute; else read its log")
    if health.get("version") != __version__:
        words = f"it runs version {health.get('version')}, installed is {__version__}"
        return warn("server", words, "restart it")
    if health.get("searches_lost"):
        words = f"{health['searches_lost']} searches could not be stored"
        return warn("server", words, "check the database and the disk")
    if health.get("engine_restarts"):
        words = f"its engine died {health['engine_restarts']} time(s)"
        return warn("server", words, "read its log; memory is the usual reason")
    return ok("server", "ready; its engine sleeps while a training runs" if asleep else "ready")


def worker(url: str | None, health: Mapping[str, Any] | None) -> Finding:
    """Whether the worker's server answers; `url` is None for this machine's."""
    if url is None:
        return ok("worker", "uses this server")
    if health is None:
        return fail("worker", f"no server answers at {url}", "start it, or correct SPAR_WORKER_URL")
    return ok("worker", f"uses {url}")
