"""Which code adds an adapter's part to a layer's output on a CPU: ours, or vLLM's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import entry_points

GROUP = "vllm.general_plugins"
OUR_PLUGIN = "spar_grouped_lora"
VARIABLE = "VLLM_PLUGINS"
"""vLLM loads only the plugins that this environment variable names, if it is set."""


class Kernel(StrEnum):
    """Ours (`app.engine.cpu_lora`), or the class that vLLM has for CPUs."""

    OURS = "ours"
    VLLM = "vllm"

    @property
    def plugins(self) -> list[str]:
        """The vLLM plugins that give this one: all installed ones, with or without ours."""
        installed = {plugin.name for plugin in entry_points(group=GROUP)}
        return sorted(installed if self is Kernel.OURS else installed - {OUR_PLUGIN})


@contextmanager
def using(kernel: Kernel) -> Iterator[None]:
    """Have the engines that are started inside the block use this one."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(kernel.plugins)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
