"""The adapters an engine serves: under which name, from which folder.

vLLM keys its prefix cache by an adapter's name and path, and reads an adapter it has dropped
again from its path at the next step. So a name stands for one folder for ever, and is never
forgotten here: a call under the name works also after `unload`.
"""

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.checkpoint import parse_served_name
from app.errors import CheckpointRefused, EngineError, EngineUnavailable

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM


class Adapters:
    """Names of adapters, and what vLLM calls them. Version 0 of a role has none."""

    def __init__(self) -> None:
        self._requests: dict[str, LoRARequest] = {}
        self._numbers = count(1)

    def request(self, name: str) -> "LoRARequest | None":
        """What to hand to vLLM with a call; None for the base model.

        Raises `EngineError` for a name that was never loaded.
        """
        if name in self._requests:
            return self._requests[name]
        served = parse_served_name(name)
        if served is None or served[1] != 0:
            raise EngineError(f"the engine does not serve {name}")
        return None

    async def load(self, llm: "AsyncLLM", name: str, path: Path) -> None:
        """Load an adapter from its folder; see `AdapterEngine.load_adapter`."""
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        known = self._requests.get(name)
        if known is not None and known.lora_path != str(path):
            raise CheckpointRefused(f"{name} is served from {known.lora_path} already")
        request = known or LoRARequest(name, next(self._numbers), str(path))
        try:
            await llm.add_lora(request)
        except EngineDeadError as error:
            raise EngineUnavailable(
                "the engine died; it is being restarted", retry_after=30
            ) from error
        except Exception as error:  # what fails in the engine's process arrives as bare Exception
            raise CheckpointRefused(f"the engine cannot load {name}: {error}") from error
        self._requests[name] = request

    async def unload(self, llm: "AsyncLLM", name: str) -> None:
        """Free the memory of an adapter; see `AdapterEngine.unload_adapter`."""
        if name in self._requests:
            await llm.remove_lora(self._requests[name].lora_int_id)
