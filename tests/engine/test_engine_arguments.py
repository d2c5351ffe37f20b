"""What may be handed through to vLLM."""

from dataclasses import fields

import pytest

from app.engine.process import checked_arguments

KNOWN = {"tensor_parallel_size", "model", "swap_space"}


def test_what_vllm_knows_is_handed_through() -> None:
    assert checked_arguments({"tensor_parallel_size": 2}, KNOWN, {"model"}) == {
        "tensor_parallel_size": 2
    }


def test_a_name_that_vllm_does_not_know_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="which vLLM does not know; is it tensor_parallel_size"):
        checked_arguments({"tensor_paralel_size": 2}, KNOWN, ())


def test_what_other_settings_decide_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot set model"):
        checked_arguments({"model": "other"}, KNOWN, {"model"})


def test_the_arguments_in_the_manual_are_vllms() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    names = {argument.name for argument in fields(AsyncEngineArgs)}
    manual = {
        "tensor_parallel_size": 4,
        "pipeline_parallel_size": 2,
        "distributed_executor_backend": "ray",
    }
    assert checked_arguments(manual, names, ()) == manual
