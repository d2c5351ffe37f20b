"""What is asked of a server beside its model calls: is it well, what does it serve, its adapters.

The paths and fields are vLLM's; see its `entrypoints/serve/lora` and `entrypoints/openai/models`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from app.engine.remote_errors import error_of
from app.errors import CheckpointRefused, EngineError, EngineUnavailable

PROBE_SECONDS = 3.0
LOAD_SECONDS = 120.0
RETRY_SECONDS = 5
_NO_SUCH_DOOR = (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED)
_CONNECTIONS = 4


class ServedModel(BaseModel):
    """One line of `GET /v1/models`; `root` is where an adapter was loaded from."""

    id: str
    root: str | None = None
    parent: str | None = None


class _Models(BaseModel):
    data: list[ServedModel]


class ServerDoor:
    """The doors of one server; `url` is its address without `/v1`. Belongs to one event loop."""

    def __init__(self, url: str, *, api_key: str | None, local: bool) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            # A connection that is kept may be one to a server that is gone.
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0),
            timeout=PROBE_SECONDS,
            trust_env=not local,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def check_health(self) -> None:
        """Raise `EngineUnavailable` where the server says that it is not well, or nothing."""
        response = await self._send("GET", "/health")
        if not response.is_success and response.status_code not in _NO_SUCH_DOOR:
            raise EngineUnavailable(
                f"{self._url}/health answered {response.status_code}", retry_after=RETRY_SECONDS
            )

    async def models(self) -> list[ServedModel]:
        """What it serves, its own model first. Raises `EngineError`."""
        response = await self._send("GET", "/v1/models")
        if not response.is_success:
            raise error_of(response)
        try:
            return _Models.model_validate_json(response.content).data
        except ValidationError as error:
            raise EngineError(
                f"what {self._url}/v1/models answered cannot be understood"
            ) from error

    async def takes(self, path: str, body: Mapping[str, Any]) -> Any:
        """What a server answers to a request it may not know; None where it refuses it.

        Raises `EngineUnavailable` where it does not answer.
        """
        response = await self._send("POST", path, body, seconds=LOAD_SECONDS)
        busy = response.status_code == httpx.codes.TOO_MANY_REQUESTS
        if busy or response.is_server_error:
            raise error_of(response)
        try:
            return response.json() if response.is_success else None
        except ValueError:
            return None

    async def has_door_for_adapters(self) -> bool:
        """Whether adapters can be loaded while it runs; an empty request changes nothing."""
        response = await self._send("POST", "/v1/load_lora_adapter", {})
        return response.status_code not in _NO_SUCH_DOOR

    async def load_adapter(self, name: str, path: Path) -> None:
        """Have it serve an adapter; the folder must be there under the same path.

        Raises `CheckpointRefused` and `EngineUnavailable`.
        """
        body = {"lora_name": name, "lora_path": str(path)}
        response = await self._send("POST", "/v1/load_lora_adapter", body, seconds=LOAD_SECONDS)
        if response.is_success or await self._serves(name, path):
            return
        # A server that has just died says no to everything.
        await self.check_health()
        why = error_of(response).message
        raise CheckpointRefused(f"{self._url} cannot load {name}: {why}")

    async def unload_adapter(self, name: str) -> None:
        """Have it forget an adapter; nothing where it does not know it.

        Raises `EngineUnavailable` and `EngineError`.
        """
        body = {"lora_name": name}
        response = await self._send("POST", "/v1/unload_lora_adapter", body)
        if not response.is_success and response.status_code != httpx.codes.NOT_FOUND:
            raise error_of(response)

    async def _serves(self, name: str, path: Path) -> bool:
        """Whether somebody else has loaded just that, perhaps another server of ours."""
        return any((model.id, model.root) == (name, str(path)) for model in await self.models())

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = PROBE_SECONDS,
    ) -> httpx.Response:
        try:
            return await self._http.request(method, path, json=body, timeout=seconds)
        except httpx.RequestError as error:
            raise EngineUnavailable(
                f"{self._url} does not answer: {error or type(error).__name__}",
                retry_after=RETRY_SECONDS,
            ) from error
