"""The names that an engine serves: its own weights, and adapters with their folders.

vLLM keys its prefix cache by an adapter's name and path, and loads an adapter it has evicted from
its path again when it is called. So a name stands for one folder as long as the engine's own
weights stay the same, and is kept until then: calls under the name work also after `unload`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.checkpoint import parse_served_name
from app.engine.process import wait_or_engine_dead
from app.errors import CheckpointRefused, EngineError, EngineUnavailable

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM


class Adapters:
    """vLLM's LoRA requests by served name; the engine's own weights need none."""

    def __init__(self) -> None:
        self._requests: dict[str, LoRARequest] = {}
        self._numbers = count(1)
        self._replaced_by: str | None = None
        self._replacing = False

    @contextmanager
    def replacing_base(self) -> Iterator[None]:
        """Reject calls during the block, which replaces the engine's own weights."""
        self._replacing = True
        try:
            yield
        finally:
            self._replacing = False

    def replace_base(self, name: str) -> None:
        """Serve the engine's own weights as `name` from now on, without adapters."""
        served = parse_served_name(name)
        self._replaced_by = None if served is not None and served[1] == 0 else name
        self._requests.clear()

    def request(self, name: str) -> "LoRARequest | None":
        """vLLM's LoRA request for a served name; None for the engine's own weights.

        Raises:
            EngineError: the name was never loaded, or its weights were replaced.
            EngineUnavailable: weights are being replaced.
        """
        if self._replacing:
            raise EngineUnavailable("the model is being replaced; try again", retry_after=1)
        if name in self._requests:
            return self._requests[name]
        served = parse_served_name(name)
        first = served is not None and served[1] == 0
        if name == self._replaced_by or (first and self._replaced_by is None):
            return None
        raise EngineError(f"the engine does not serve {name}")

    async def load(self, llm: "AsyncLLM", name: str, path: Path) -> None:
        """Load an adapter from its folder; see `AdapterEngine.load_adapter`."""
        from vllm.lora.request import LoRARequest

        known = self._requests.get(name)
        if known is not None and known.lora_path != str(path):
            raise CheckpointRefused(f"{name} is served from {known.lora_path} already")
        request = known or LoRARequest(name, next(self._numbers), str(path))
        try:
            await wait_or_engine_dead(llm, llm.add_lora(request))
        except EngineUnavailable:
            raise
        except Exception as error:  # errors of the engine's process arrive as bare Exception
            raise CheckpointRefused(f"the engine cannot load {name}: {error}") from error
        self._requests[name] = request

    async def unload(self, llm: "AsyncLLM", name: str) -> None:
        """Free the memory of an adapter; see `AdapterEngine.unload_adapter`."""
        if name in self._requests:
            await wait_or_engine_dead(llm, llm.remove_lora(self._requests[name].lora_int_id))
