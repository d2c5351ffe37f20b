"""LoRA on a CPU engine: faster than vLLM's, and correct for requests without an adapter.

vLLM's CPU implementation copies the adapter's matrices once per token of a batch, which makes a
prompt with an adapter several times slower than one without. It also uses -1, which means "no
adapter", as an index: requests without an adapter get the adapter in the last slot. Here the
tokens of a step are grouped by adapter, and each group takes two matrix products per layer.

vLLM loads this module as a plugin in the process that runs the model (`pyproject.toml`).
"""

from itertools import groupby
from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = slice | torch.Tensor
Group = tuple[int, Rows]


class GroupedLora(PunicaWrapperCPU):
    """Replacement of `PunicaWrapperCPU` that batches the tokens of each adapter."""

    _groups: tuple[Group, ...] = ()

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Record the token-to-adapter mapping of the next step."""
        super().update_metadata(*args, **kwargs)
        self._groups = group_rows(self.token_lora_indices.tolist())

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Add `scale * B(A(x))` to `y`, in place, for every token that has an adapter.

        y: [tokens, sum of output_slices]; x: [tokens, input]; A and B: one tensor per slice of
        the output, [adapters, 1, rank, input] and [adapters, 1, slice, rank].
        """
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for adapter, rows in self._groups:
            part, start = x[rows], 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                narrow = part @ a[adapter, 0].T
                columns = y[:, start : start + width]
                if isinstance(rows, slice):
                    columns[rows].addmm_(narrow, b[adapter, 0].T, alpha=scale)
                else:
                    columns.index_add_(0, rows, narrow @ b[adapter, 0].T, alpha=scale)
                start += width


def group_rows(adapters: list[int]) -> tuple[Group, ...]:
    """The rows of each adapter, ordered by slot; `adapters` has each row's slot, below 0 for none.

    A contiguous run of rows is one slice, which needs no copy.
    """
    runs: dict[int, list[tuple[int, int]]] = {}
    for adapter, run in groupby(range(len(adapters)), key=adapters.__getitem__):
        rows = list(run)
        runs.setdefault(adapter, []).append((rows[0], rows[-1] + 1))
    return tuple((adapter, _rows(runs[adapter])) for adapter in sorted(runs) if adapter >= 0)


def _rows(runs: list[tuple[int, int]]) -> Rows:
    if len(runs) == 1:
        return slice(*runs[0])
    return torch.cat([torch.arange(start, end) for start, end in runs])


def use_grouped_lora() -> None:
    """vLLM plugin: on a CPU, use `GroupedLora` instead of vLLM's own class."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        name = f"{GroupedLora.__module__}.{GroupedLora.__qualname__}"
        platform = type(current_platform)
        platform.get_punica_wrapper = staticmethod(lambda: name)  # type: ignore[method-assign]
