"""Choosing the code for adapters, by what vLLM itself would load."""

import os

import pytest

from benchmarks.kernels import GROUP, OUR_PLUGIN, VARIABLE, Kernel, using


def loaded() -> set[str]:
    """The plugins that vLLM would load in an engine started now."""
    from vllm.plugins import load_plugins_by_group

    return set(load_plugins_by_group(GROUP))


def test_only_our_code_for_adapters_is_left_out() -> None:
    with using(Kernel.OURS):
        ours = loaded()
    with using(Kernel.VLLM):
        theirs = loaded()

    assert ours - theirs == {OUR_PLUGIN}
    assert "spar_exit_with_server" in theirs


@pytest.mark.parametrize("before", [None, "something"])
def test_the_environment_is_as_before(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)

    with using(Kernel.VLLM):
        assert os.environ[VARIABLE] != before

    assert os.environ.get(VARIABLE) == before
