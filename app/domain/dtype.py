"""Which number type (dtype) models are served and trained in on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Dtype = Literal["auto", "bfloat16", "float16", "float32"]
"""The names are vLLM's and torch's own; `auto` decides by the machine."""

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of one number."""

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
"""How Linux names bfloat16 instructions in /proc/cpuinfo: two of x86, the last of ARM.

https://docs.kernel.org/arch/x86/cpuinfo.html, https://docs.kernel.org/arch/arm64/elf_hwcaps.html
"""


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """A number type, and why it was chosen; `auto` leaves it to vLLM, which knows its GPU."""

    dtype: Dtype
    reason: str

    def __str__(self) -> str:
        """One line with both."""
        return f"{self.dtype} ({self.reason})"

    def for_training(self) -> "DtypeChoice":
        """The type to train in: `bfloat16` or `float32`.

        Gradients in float16 underflow unless the loss is scaled, so its trainings take float32.
        """
        match self.dtype:
            case "auto":
                return DtypeChoice("bfloat16", self.reason)
            case "float16":
                return DtypeChoice("float32", "gradients in float16 would underflow")
        return self


def choose_dtype(wanted: Dtype, cpuinfo: str, *, gpu: bool) -> DtypeChoice:
    """The number type for a machine; anything but `auto` is taken as it is.

    A CPU without bfloat16 instructions emulates them, which takes 2 to 15 times as long as float32
    (docs/performance.md). `cpuinfo` is the text of /proc/cpuinfo; `gpu`: a GPU computes instead.
    """
    if wanted != "auto":
        return DtypeChoice(wanted, "set by SPAR_DTYPE")
    if gpu:
        return DtypeChoice("auto", "a GPU computes")
    found = bfloat16_flag(cpuinfo)
    if found is None:
        return DtypeChoice("float32", "this CPU has no bfloat16 instructions")
    return DtypeChoice("bfloat16", f"this CPU has {found}")


def bfloat16_flag(cpuinfo: str) -> str | None:
    """The first flag of /proc/cpuinfo that stands for bfloat16 instructions, or None."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(lines[0].split()) if lines else set()
    return next((flag for flag in BFLOAT16_FLAGS if flag in flags), None)


def read_cpuinfo(file: Path = Path("/proc/cpuinfo")) -> str:
    """The text of /proc/cpuinfo; empty on systems without it."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
