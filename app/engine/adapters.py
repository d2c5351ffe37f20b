"""The names an engine serves: of its own weights, and of adapters with their folders.

vLLM keys its prefix cache by an adapter's name and path, and reads an adapter it has dropped
again from its path at the next step. So a name stands for one folder as long as the engine's own
weights stay the same, and is not forgotten until then: a call under the name works also after
`unload`.
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
    """Names of adapters, and what vLLM calls them.

    The engine's own weights have no adapter: version 0 of a role at first.
    """

    def __init__(self) -> None:
        self._requests: dict[str, LoRARequest] = {}
        self._numbers = count(1)
        self._replaced_by: str | None = None
        self._closed = False

    @contextmanager
    def closed(self) -> Iterator[None]:
        """While the block runs the engine's own weights are being replaced: nothing is served."""
        self._closed = True
        try:
            yield
        finally:
            self._closed = False

    def replace_base(self, name: str) -> None:
        """The engine's own weights are served as `name` from now on, and adapters are gone."""
        served = parse_served_name(name)
        self._replaced_by = None if served is not None and served[1] == 0 else name
        self._requests.clear()

    def request(self, name: str) -> "LoRARequest | None":
        """What to hand to vLLM with a call; None for the engine's own weights.

        Raises `EngineError` for a name that was never loaded, or was replaced, and
        `EngineUnavailable` while weights are being replaced.
        """
        if self._closed:
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
        except Exception as error:  # what fails in the engine's process arrives as bare Exception
            raise CheckpointRefused(f"the engine cannot load {name}: {error}") from error
        self._requests[name] = request

    async def unload(self, llm: "AsyncLLM", name: str) -> None:
        """Free the memory of an adapter; see `AdapterEngine.unload_adapter`."""
        if name in self._requests:
            await wait_or_engine_dead(llm, llm.remove_lora(self._requests[name].lora_int_id))
