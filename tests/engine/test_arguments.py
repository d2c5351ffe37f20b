"""What may be handed through to vLLM."""

from dataclasses import fields, replace

import pytest

from app.engine import arguments
from app.engine.arguments import EngineConfig, checked_arguments, our_arguments

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


def test_weights_trained_since_are_read_with_the_base_models_tokenizer() -> None:
    found = our_arguments(CONFIG, "data/checkpoints/actor@3")
    assert found["model"] == "data/checkpoints/actor@3"
    assert found["tokenizer"] == found["hf_config_path"] == "base"


def test_what_the_settings_decide_is_known_to_vllm() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    names = {argument.name for argument in fields(AsyncEngineArgs)}
    assert our_arguments(replace(CONFIG, sleeps=True), "base").keys() <= names


def test_without_adapters_nothing_is_set_aside_for_them() -> None:
    found = our_arguments(replace(CONFIG, adapters=0), "base")
    assert not [name for name in found if "lora" in name]


def test_no_prompt_is_split_on_a_cpu_where_its_seed_would_kill_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: True)
    found = our_arguments(replace(CONFIG, context_tokens=9000), "base")
    assert found["enable_chunked_prefill"] is False
    assert found["max_num_batched_tokens"] == 9000


def test_an_engine_is_made_to_sleep_only_where_it_is_to() -> None:
    assert "enable_sleep_mode" not in our_arguments(CONFIG, "base")
    assert our_arguments(replace(CONFIG, sleeps=True), "base")["enable_sleep_mode"] is True


@pytest.mark.parametrize(("flag", "dtype"), [("avx2", "float32"), ("avx512_bf16", "bfloat16")])
def test_the_number_type_follows_the_cpu(
    flag: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: True)
    monkeypatch.setattr(arguments, "read_cpuinfo", lambda: f"flags : {flag}")
    assert our_arguments(CONFIG, "base")["dtype"] == dtype
    assert our_arguments(replace(CONFIG, dtype="float16"), "base")["dtype"] == "float16"


def test_on_a_gpu_the_number_type_is_left_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "on_cpu", lambda: False)
    assert our_arguments(CONFIG, "base")["dtype"] == "auto"
