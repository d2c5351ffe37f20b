"""Calls whose texts always have their full length, so that runs can be compared."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from app.engine.base import Call
from app.engine.vllm import VllmEngine

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import CompletionOutput

    from app.engine.vllm import _Progress


@dataclass(frozen=True, slots=True)
class ForcedCall(Call):
    """A call of which `ForcedVllmEngine` generates exactly `sampling.max_tokens` tokens."""


def forced(call: Call) -> ForcedCall:
    """The call at its full length: neither an end of text nor a stop string ends it."""
    values = {field.name: getattr(call, field.name) for field in fields(call)}
    return ForcedCall(**values | {"sampling": replace(call.sampling, stop=())})


class ForcedVllmEngine(VllmEngine):
    """vLLM in this process, where a `ForcedCall` does not end at an end-of-text token."""

    async def _run(
        self, prompt: list[int], params: "SamplingParams", call: Call, progress: "_Progress"
    ) -> "CompletionOutput":
        params.ignore_eos = isinstance(call, ForcedCall)
        return await super()._run(prompt, params, call, progress)
