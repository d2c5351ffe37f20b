"""Which checkpoint an interrupted training goes on from."""

from pathlib import Path

import pytest

from training.run import newest_complete


def checkpoint(work: Path, step: int, state: str | None = "{}") -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    return folder


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    assert newest_complete(tmp_path) == newest


@pytest.mark.parametrize("state", [None, "", '{"global_step": 4, "log_hist'])
def test_a_half_written_one_is_passed_over_and_deleted(tmp_path: Path, state: str | None) -> None:
    complete = checkpoint(tmp_path, 2)
    half = checkpoint(tmp_path, 4, state)
    assert newest_complete(tmp_path) == complete
    assert not half.exists()


def test_without_a_complete_one_there_is_none(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "none") is None
    checkpoint(tmp_path, 2, None)
    assert newest_complete(tmp_path) is None


def test_the_reference_adapter_is_taken_out(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 2)
    (folder / "ref").mkdir()
    newest_complete(tmp_path)
    assert not (folder / "ref").exists()
