"""The dtype follows the processor, unless it is set."""

from pathlib import Path

import pytest

from app.domain.dtype import Dtype, bfloat16_flag, choose_dtype, read_cpuinfo

AVX2_EPYC = """\
processor\t: 0
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand bmi1 avx2 bmi2 vaes vpclmulqdq
bugs\t\t: sysret_ss_attrs null_seg spectre_v1
"""
AVX512_EPYC = AVX2_EPYC.replace("avx2", "avx2 avx512f avx512_bf16 avx512_vnni")
AMX_XEON = AVX2_EPYC.replace("avx2", "avx2 avx512f amx_bf16 amx_tile amx_int8")
NEOVERSE_N1 = "Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp\n"
NEOVERSE_V1 = "Features\t: fp asimd evtstrm aes sve i8mm bf16 dgh rng\n"


@pytest.mark.parametrize(
    ("cpuinfo", "dtype", "reason"),
    [
        (AVX2_EPYC, "float32", "this CPU has no bfloat16 instructions"),
        (AVX512_EPYC, "bfloat16", "this CPU has avx512_bf16"),
        (AMX_XEON, "bfloat16", "this CPU has amx_bf16"),
        (NEOVERSE_N1, "float32", "this CPU has no bfloat16 instructions"),
        (NEOVERSE_V1, "bfloat16", "this CPU has bf16"),
        ("", "float32", "this CPU has no bfloat16 instructions"),
    ],
)
def test_auto_takes_bfloat16_only_where_the_cpu_computes_in_it(
    cpuinfo: str, dtype: Dtype, reason: str
) -> None:
    choice = choose_dtype("auto", cpuinfo, gpu=False)
    assert (choice.dtype, choice.reason) == (dtype, reason)
    assert choice.for_training() == choice


def test_only_whole_flags_of_the_line_of_flags_count() -> None:
    assert bfloat16_flag("model name : bf16\nflags : avx512_bf16x\n") is None


@pytest.mark.parametrize("cpuinfo", [AVX2_EPYC, AVX512_EPYC])
@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("wanted", ["bfloat16", "float16", "float32"])
def test_an_explicit_dtype_has_precedence(wanted: Dtype, cpuinfo: str, gpu: bool) -> None:
    choice = choose_dtype(wanted, cpuinfo, gpu=gpu)
    assert str(choice) == f"{wanted} (set by SPAR_DTYPE)"


def test_on_a_gpu_vllm_decides_and_trainings_take_bfloat16() -> None:
    choice = choose_dtype("auto", AVX2_EPYC, gpu=True)
    assert choice.dtype == "auto"
    assert choice.for_training().dtype == "bfloat16"


def test_float16_is_for_serving_only() -> None:
    assert choose_dtype("float16", AVX512_EPYC, gpu=True).for_training().dtype == "float32"


def test_a_system_without_cpuinfo_has_no_flags(tmp_path: Path) -> None:
    assert read_cpuinfo(tmp_path / "cpuinfo") == ""
    (tmp_path / "cpuinfo").write_text(AMX_XEON)
    assert read_cpuinfo(tmp_path / "cpuinfo") == AMX_XEON
