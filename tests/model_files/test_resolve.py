"""Model resolution: folders, hub names, and the embedded model."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock, Timeout
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from app.errors import ConfigurationError
from app.model_files.resolve import (
    build_once,
    check_model_folder,
    convert_apart,
    prepare_default_model,
    resolve_model,
)


def write_model(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(8, np.float32)}, folder / "model.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def prepared() -> Path:
    return prepare_default_model()


def test_a_model_folder_is_returned_unchanged(folder: Path) -> None:
    assert resolve_model(str(folder)) == str(folder)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def name_a_missing_shard(folder: Path) -> None:
    index = {"weight_map": {"weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff"), "config.json cannot be"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{}"), "architectures"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (lambda folder: truncate(folder / "model.safetensors"), "model.safetensors is damaged"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
        (name_a_missing_shard, "model-00001-of-00002.safetensors is missing"),
    ],
)
def test_an_invalid_model_folder_is_rejected_with_the_reason(
    folder: Path, damage: Callable[[Path], object], named: str
) -> None:
    damage(folder)
    with pytest.raises(ConfigurationError, match=named):
        resolve_model(str(folder))


@pytest.mark.parametrize("path", ["./nothing", "/no/such/model", "~/no-such-model", "some/own/one"])
def test_a_missing_path_is_rejected(path: str) -> None:
    with pytest.raises(ConfigurationError, match="no model folder"):
        resolve_model(path)


def test_a_file_is_rejected(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a file"):
        resolve_model(str(folder / "model.safetensors"))


@pytest.mark.parametrize("name", ["gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_a_hub_name_is_returned_unchanged(name: str) -> None:
    assert resolve_model(name) == name


def test_a_complete_folder_is_not_rebuilt(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        write_model(folder)

    for _ in range(2):
        build_once(tmp_path / "cache" / "model", build)
    check_model_folder(tmp_path / "cache" / "model")
    assert len(built) == 1


def test_a_damaged_folder_is_rebuilt(folder: Path) -> None:
    truncate(folder / "model.safetensors")
    build_once(folder, write_model)
    check_model_folder(folder)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        write_model(folder)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        build_once(tmp_path / "model", build)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_an_incomplete_build_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.json is missing"):
        build_once(tmp_path / "model", lambda _: None)
    assert not (tmp_path / "model").exists()


def in_a_process(folder: Path, *last_lines: str) -> subprocess.Popen[bytes]:
    """Start a process that builds `folder`, prints a byte at the start, then runs `more`."""
    code = [
        "import sys",
        "from pathlib import Path",
        "from app.model_files.resolve import build_once",
        "from tests.model_files.test_resolve import write_model",
        "def build(folder):",
        "    write_model(folder)",
        "    print('.', end='', flush=True)",
        *(f"    {line}" for line in last_lines),
        f"build_once(Path({str(folder)!r}), build)",
    ]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_killed_build_is_not_published_and_is_removed(tmp_path: Path) -> None:
    with in_a_process(tmp_path / "model", "sys.stdin.read()") as killed:
        assert killed.stdout is not None
        assert killed.stdout.read(1) == b"."
        killed.send_signal(signal.SIGKILL)
    assert not (tmp_path / "model").exists()
    build_once(tmp_path / "model", write_model)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["model"]


def test_builds_are_exclusive(tmp_path: Path) -> None:
    with in_a_process(tmp_path / "model", "sys.stdin.read()") as builder:
        assert builder.stdout is not None
        assert builder.stdout.read(1) == b"."
        with pytest.raises(Timeout):
            FileLock(tmp_path / "model.lock", blocking=False).acquire()
        builder.communicate()
    check_model_folder(tmp_path / "model")


@pytest.mark.slow
def test_concurrent_processes_build_one_folder(tmp_path: Path) -> None:
    builders = [in_a_process(tmp_path / "model") for _ in range(3)]
    printed = [builder.communicate()[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert sorted(printed) == [b"", b"", b"."]


@pytest.mark.parametrize("variable", ["SPAR_CACHE", "XDG_CACHE_HOME"])
def test_an_unwritable_cache_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("SPAR_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match=str(tmp_path / "file")):
        prepare_default_model()


def test_a_full_disk_is_named_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.model_files.resolve.NEEDED_BYTES", 10**18)
    with pytest.raises(ConfigurationError, match="MB are free"):
        build_once(tmp_path / "model", write_model)


@pytest.mark.slow
def test_a_failed_conversion_reports_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"GGUF, but not really")
    with pytest.raises(ConfigurationError, match=r"could not be converted: .+"):
        convert_apart(source, tmp_path)


def test_the_embedded_model_is_a_model_of_the_right_type(prepared: Path) -> None:
    check_model_folder(prepared)
    config = json.loads((prepared / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config
    assert resolve_model(None) == str(prepared)


def test_the_embedded_tokenizer_splits_digits(prepared: Path) -> None:
    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    tokens = tokenizer.encode("Sum:\n\n12  3").tokens
    assert tokens == ["Sum", ":", "ĊĊ", "1", "2", "ĠĠ", "3"]


@pytest.mark.slow
def test_the_embedded_model_answers(prepared: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(prepared)
    model: Any = AutoModelForCausalLM.from_pretrained(prepared, dtype="auto")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    generated = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(generated[0][prompt["input_ids"].shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>"
    assert tokenizer.model_max_length == model.config.max_position_embeddings
