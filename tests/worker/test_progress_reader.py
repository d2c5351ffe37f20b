"""Following a progress file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import TrainingStep
from worker.trainer import ProgressReader


def line(number: int) -> bytes:
    step = TrainingStep(step=number, total_steps=9, loss=1.5, learning_rate=0.1, elapsed=2.0)
    return f"{step.to_line()}\n".encode()


@given(st.lists(st.integers(1, 9), max_size=6), st.data())
def test_every_step_is_read_once_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], data: st.DataObject
) -> None:
    content = b"".join(line(number) for number in numbers)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)))))
    file = tmp_path_factory.mktemp("progress_reader") / "progress"
    progress_reader, read = ProgressReader(file), list[int]()
    with file.open("ab", buffering=0) as growing:
        for first, last in zip([0, *cuts], [*cuts, len(content)], strict=True):
            growing.write(content[first:last])
            read += [step.step for step in progress_reader.read()]
    assert read == numbers


def test_what_was_there_before_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    file.write_bytes(line(1))
    progress_reader = ProgressReader(file)
    with file.open("ab") as growing:
        growing.write(line(2))
    assert [step.step for step in progress_reader.read()] == [2]
    assert list(progress_reader.read()) == []


def test_a_line_that_a_killed_trainer_left_unfinished_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    progress_reader = ProgressReader(file)
    file.write_bytes(line(1)[:20])
    assert list(progress_reader.read()) == []
    with file.open("ab") as growing:
        growing.write(b"\n" + line(1))
    assert [step.step for step in progress_reader.read()] == [1]
