"""The engines that run elsewhere: does each answer, and is it what the configuration says."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from app.doctor.finding import Finding, fail, ok, warn
from app.domain.checkpoint import Role
from app.errors import ConfigurationError
from app.http_client import client_options
from app.model_files.resolve import default_model_folder, resolve_model

PATIENCE_SECONDS = 1.5
_NO_SUCH_ENDPOINT = (httpx2.codes.NOT_FOUND, httpx2.codes.METHOD_NOT_ALLOWED)
_ASKS_FOR_A_KEY = (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)
_AT_ONCE = 16


def engines(
    servers: Mapping[Role, Sequence[str]], model: str | None, key: str | None
) -> Iterator[Finding]:
    """One finding for each address; they are asked together, so that many cost no more than one.

    `model` and `key` are SPAR_MODEL and SPAR_ENGINES_KEY.
    """
    urls = dict.fromkeys(url for some in servers.values() for url in some)
    if not urls:
        yield ok("engine", "in the server's own process")
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(partial(engine, model=model, key=key), urls)


def engine(url: str, model: str | None, key: str | None) -> Finding:
    """Whether the server at this address is well, serves the model, and takes adapters."""
    try:
        options = client_options(url, api_key=key, read_seconds=PATIENCE_SECONDS)
    except ConfigurationError:
        return fail("engine", f"{url} is not an address", "write it like http://127.0.0.1:8001")
    base = str(options["base_url"]).rstrip("/")
    try:
        with httpx2.Client(**options) as client:
            return _examined(client, base, model)
    except httpx2.HTTPError as error:
        words = f"{base} does not answer ({type(error).__name__})"
        return fail("engine", words, "start it, or correct SPAR_ENGINES")


def _examined(client: httpx2.Client, base: str, model: str | None) -> Finding:
    health = client.get("/health").status_code
    if not httpx2.codes.is_success(health) and health not in _NO_SUCH_ENDPOINT:
        return fail("engine", f"{base}/health answers {health}", "read its log; start it again")
    listed = client.get("/v1/models")
    if listed.status_code in _ASKS_FOR_A_KEY:
        return fail("engine", f"{base} asks for a key", "set SPAR_ENGINES_KEY to its --api-key")
    own = _own_model(listed)
    if own is None:
        words = f"{base}/v1/models names no model"
        return fail("engine", words, "correct SPAR_ENGINES: it is no OpenAI-compatible server")
    names = {str(name) for name in (own.get("id"), own.get("root")) if name}
    shown = own.get("root") or own.get("id")
    wanted = _wanted(model)
    if names.isdisjoint(wanted):
        words = f"{base} serves {shown}, and SPAR_MODEL is {wanted[0]}"
        return warn("engine", words, "set SPAR_MODEL to what it serves, unless both are the same")
    if client.post("/v1/load_lora_adapter", json={}).status_code in _NO_SUCH_ENDPOINT:
        words = f"{base} takes no adapters while it runs"
        fix = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
        return warn("engine", words, fix)
    return ok("engine", f"{base} serves {shown}")


def _own_model(listed: httpx2.Response) -> Mapping[str, Any] | None:
    """The first model that is listed, which is the server's own."""
    try:
        content = listed.json()
    except ValueError:
        return None
    match content:
        case {"data": [{"id": str()} as own, *_]}:
            return dict(own)
    return None


def _wanted(model: str | None) -> list[str]:
    """The names under which the configured model may be known, the one to show first."""
    try:
        folder = str(default_model_folder()) if model is None else resolve_model(model)
    except ConfigurationError:
        folder = str(model)  # the check of the model says what is wrong with it
    absolute = str(Path(folder).resolve()) if Path(folder).is_dir() else folder
    return list(dict.fromkeys((model or folder, folder, absolute)))
