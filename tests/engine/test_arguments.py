"""Engine arguments derived from settings, and those passed through to vLLM."""

from dataclasses import fields, replace

import pytest

from app.engine import arguments
from app.engine.arguments import EngineConfig, checked_arguments, our_arguments

KNOWN = {"tensor_parallel_size", "model", "swap_space"}


def test_known_vllm_arguments_pass() -> None:
    assert checked_arguments({"tensor_parallel_size": 2}, KNOWN, {"model"}) == {
        "tensor_parallel_size": 2
    }


def test_an_unknown_argument_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(
        ValueError, match="which vLLM does not know; did you mean tensor_parallel_size"
    ):
        checked_arguments({"tensor_paralel_size": 2}, KNOWN, ())


def test_arguments_controlled_by_settings_are_rejected() -> None:
    with pytest.raises(ValueError, match="cannot set model"):
        checked_arguments({"model": "other"}, KNOWN, {"model"})


def test_documented_arguments_exist_in_vllm() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    names = {argument.name for argument in fields(AsyncEngineArgs)}
    manual = {
        "tensor_parallel_size": 4,
        "pipeline_parallel_size": 2,
        "distributed_executor_backend": "ray",
    }
    assert checked_arguments(manual, names, ()) == manual


CONFIG = EngineConfig(
    model="base",
    dtype="auto",
    context_tokens=512,
    kv_cache_gib=0.5,
    gpu_memory_utilization=0.9,
    block_size=32,
    max_num_seqs=4,
    compile=False,
)


def test_trained_weights_use_the_base_models_tokenizer() -> None:
    found = our_arguments(CONFIG, "data/checkpoints/actor@3")
    assert found["model"] == "data/checkpoints/actor@3"
    assert found["tokenizer"] == found["hf_config_path"] == "base"


def test_derived_arguments_exist_in_vllm() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    names = {argument.name for argument in fields(AsyncEngineArgs)}
    assert our_arguments(replace(CONFIG, sleeps=True), "base").keys() <= names


def test_without_adapters_lora_is_disabled() -> None:
    found = our_arguments(replace(CONFIG, adapters=0), "base")
    assert not [name for name in found if "lora" in name]


def test_chunked_prefill_is_disabled_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: True)
    found = our_arguments(replace(CONFIG, context_tokens=9000), "base")
    assert found["enable_chunked_prefill"] is False
    assert found["max_num_batched_tokens"] == 9000


def test_sleep_mode_is_enabled_on_request_only() -> None:
    assert "enable_sleep_mode" not in our_arguments(CONFIG, "base")
    assert our_arguments(replace(CONFIG, sleeps=True), "base")["enable_sleep_mode"] is True


@pytest.mark.parametrize(("flag", "dtype"), [("avx2", "float32"), ("avx512_bf16", "bfloat16")])
def test_the_dtype_follows_the_cpu(flag: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: True)
    monkeypatch.setattr(arguments, "read_cpuinfo", lambda: f"flags : {flag}")
    assert our_arguments(CONFIG, "base")["dtype"] == dtype
    assert our_arguments(replace(CONFIG, dtype="float16"), "base")["dtype"] == "float16"


def test_on_a_gpu_the_dtype_is_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: False)
    assert our_arguments(CONFIG, "base")["dtype"] == "auto"
