"""What a step of a training sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.arguments import batches

PROCESSES = st.integers(1, 64)


@given(st.integers(1, 200), st.integers(1, 64), PROCESSES)
def test_a_step_sees_as_many_samples_as_asked_for_however_many_processes_share_it(
    batch_size: int, micro_batch: int, processes: int
) -> None:
    at_once, times = batches(batch_size, micro_batch, processes)
    assert batch_size <= at_once * times * processes < batch_size + processes
    assert at_once <= micro_batch


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "at_once"), [(8, 4, 4), (2, 4, 2), (8, 3, 2), (7, 4, 1)]
)
def test_as_many_samples_go_at_once_as_divide_a_step(
    batch_size: int, micro_batch: int, at_once: int
) -> None:
    assert batches(batch_size, micro_batch, 1) == (at_once, batch_size // at_once)


def test_processes_share_a_step() -> None:
    assert batches(32, 1, 8) == (1, 4)
    assert batches(8, 4, 4) == (2, 1)
    assert batches(2, 4, 8) == (1, 1)
