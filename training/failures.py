"""Tells from an exception how a training run ended."""

import errno
from collections.abc import Iterator

import torch

from training.outcome import Diverged, Outcome, Refused

FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
FULL_DISK_TEXTS = ("No space left on device", "Disk quota exceeded", "iostream error")
"""The last one is all that torch says when it cannot write any more."""
NO_MEMORY_TEXTS = ("can't allocate memory", "Cannot allocate memory")


def classify(error: BaseException) -> tuple[Outcome, str]:
    """The outcome, and the reason in words for people."""
    for cause in _causes(error):
        if _is_disk_full(cause):
            return Outcome.DISK_FULL, f"disk full: {cause}"
        if _is_out_of_memory(cause):
            return Outcome.OUT_OF_MEMORY, f"out of memory: {str(cause) or 'the allocation failed'}"
    if isinstance(error, Refused):
        return Outcome.REFUSED, str(error)
    if isinstance(error, Diverged):
        return Outcome.FAILED, str(error)
    return Outcome.FAILED, f"{type(error).__name__}: {error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    # The libraries that write tensors report the system's words and no number.
    known = isinstance(error, OSError) and error.errno in FULL_DISK
    return known or any(text in str(error) for text in FULL_DISK_TEXTS)


def _is_out_of_memory(error: BaseException) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in NO_MEMORY_TEXTS)
