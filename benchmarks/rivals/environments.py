"""The peers' own virtual environments, built once in the user's cache folder."""

import shutil
import sys
from hashlib import blake2b
from pathlib import Path

from app.model_files.resolve import _user_cache
from benchmarks.rivals.children import run_to_end

REQUIREMENTS = Path(__file__).parents[1] / "rivals_requirements"


async def python_of(peer: str, *, requirements: Path = REQUIREMENTS) -> Path:
    """The interpreter of the environment that holds exactly the peer's pinned requirements.

    It is built first where it is missing or where the requirements or the Python have changed;
    pip takes its index from its own settings. Raises `ConfigurationError`.
    """
    wanted = requirements / f"{peer}.txt"
    identity = wanted.read_bytes() + sys.version.encode()
    folder = _environments() / f"{peer}-{blake2b(identity, digest_size=4).hexdigest()}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_suffix(".log")
        log.write_bytes(b"")
        await run_to_end(sys.executable, "-m", "venv", str(folder), log=log)
        install = (*("-m", "pip", "install", "--no-deps"), *("--requirement", str(wanted)))
        await run_to_end(str(python), *install, log=log)
        complete.touch()
    return python


def _environments() -> Path:
    return _user_cache() / "benchmarks"
