"""Creates the project's virtual environment in `.venv`: `python3 scripts/setup.py [--dev] [--gpu]`.

Uses the standard library only, and runs on old Pythons, to report that they are too old. Returns
within milliseconds if everything is installed.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"
SUPPORTED = ((3, 11), (3, 12))
NEEDED_GB = {"cpu": 6, "gpu": 15}
NUMA = "libnuma.so.1"


class SetupError(Exception):
    """The environment cannot be created; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """What to install: `kind` is cpu or gpu, `dev` adds the requirements of tests and checks."""

    kind: str
    dev: bool

    @property
    def lists(self) -> list[str]:
        """The requirement files to install, relative to the project."""
        return [f"requirements/{self.kind}.txt", *(["requirements/dev.txt"] if self.dev else [])]

    @property
    def digest(self) -> str:
        """Hash of all files that determine what is installed."""
        content = hashlib.sha256()
        for name in ["pyproject.toml", "requirements/torch.txt", *self.lists]:
            content.update((ROOT / name).read_bytes())
        return content.hexdigest()[:16]


@dataclass(frozen=True)
class State:
    """The state of an environment, stored in a file inside it.

    `installed` has the digest of every installed plan. It is empty during an installation, so that
    an interrupted one is detected.
    """

    kind: str
    python: str
    installed: tuple[str, ...] = ()

    @classmethod
    def read(cls, venv: Path) -> State | None:
        """The state of `venv`, or None if this script has not created it."""
        try:
            found = json.loads((venv / "spar-setup.json").read_text())
            return cls(found["kind"], found["python"], tuple(found["installed"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return cls("unknown", "unknown")

    def write(self, venv: Path) -> None:
        """Replace the state of `venv` atomically."""
        fresh = venv / "spar-setup.json.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(venv / "spar-setup.json")


def main() -> None:
    """Update `.venv`, or exit with an error message."""
    parser = argparse.ArgumentParser(description="Create the project's environment in .venv.")
    parser.add_argument(
        "--dev", action="store_true", help="add the requirements of tests and checks"
    )
    parser.add_argument("--gpu", action="store_true", help="install for an NVIDIA GPU")
    given = parser.parse_args()
    try:
        check_python(sys.version_info[:2])
        if not given.gpu:
            check_library(NUMA)
        prepare(ROOT / ".venv", Plan("gpu" if given.gpu else "cpu", given.dev))
        if given.dev:
            bring_browser(ROOT / ".venv")
    except SetupError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or ROOT}: {error.strerror}.")
    except KeyboardInterrupt:
        fail("Interrupted. Run the same command to continue; downloads are kept.")


def fail(message: str) -> NoReturn:
    """Print one error and end the process."""
    sys.exit(f"\nerror: {message}")


def prepare(venv: Path, plan: Plan) -> None:
    """Install `plan` into `venv`, unless installed."""
    if is_ready(venv, plan):
        return
    with only_one():
        if is_ready(venv, plan):
            return
        remove_unusable(venv, plan)
        if not venv.exists():
            check_disk(NEEDED_GB[plan.kind])
        install(venv, plan)


def is_ready(venv: Path, plan: Plan) -> bool:
    """Whether `plan` is installed in `venv`."""
    state = State.read(venv)
    return state is not None and same_base(state, plan) and plan.digest in state.installed


def same_base(state: State, plan: Plan) -> bool:
    """Whether `plan` can be installed into an environment in this state."""
    return state.kind == plan.kind and state.python == this_python()


def this_python() -> str:
    """The running interpreter's version, as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def check_python(version: tuple[int, int]) -> None:
    """Reject interpreters that vLLM does not support, or that lack ensurepip."""
    if version not in SUPPORTED:
        raise SetupError(
            f"Python 3.11 or 3.12 is needed, and {sys.executable} is {version[0]}.{version[1]}. "
            "Install one of them and name it: make serve PYTHON=python3.11"
        )
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} has no `ensurepip`, so it cannot make an environment. On Debian "
            f"or Ubuntu: apt install python{this_python()}-venv"
        )


def check_library(name: str) -> None:
    """Reject a machine without a library that vLLM's CPU kernels are linked to.

    vLLM would start without its kernels, and fail with an `AttributeError` that names no library.
    """
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise SetupError(
            f"{name} cannot be loaded, which vLLM needs on a CPU. On Debian or Ubuntu: "
            "apt install libnuma1"
        ) from error


def check_disk(needed_gb: int) -> None:
    """Check the free disk space."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < needed_gb:
        raise SetupError(
            f"The environment needs about {needed_gb} GB of disk in {ROOT}, and {free:.1f} GB are "
            "free. Free some, or put the project on another disk."
        )


@contextmanager
def only_one() -> Iterator[None]:
    """Lock against concurrent set-ups of this project."""
    with open(__file__, "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up of this project to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_unusable(venv: Path, plan: Plan) -> None:
    """Remove an environment that is incomplete, or of another kind or Python version."""
    state = State.read(venv)
    if state is None:
        refuse_foreign(venv)
    elif not state.installed:
        print("The last set-up was interrupted: starting again, downloads are kept", flush=True)
        shutil.rmtree(venv)
    elif not same_base(state, plan):
        print(f"Recreating .venv for {plan.kind} on Python {this_python()}", flush=True)
        shutil.rmtree(venv)


def refuse_foreign(venv: Path) -> None:
    """Reject an environment for another Python that this script has not created."""
    config = venv / "pyvenv.cfg"
    if config.exists() and f"version = {this_python()}." not in config.read_text():
        raise SetupError(
            f"{venv} was created by another tool, and not for Python {this_python()}. "
            "Move it away, or name its Python: make serve PYTHON=python3.11"
        )


def install(venv: Path, plan: Plan) -> None:
    """Create the environment step by step, and record the plan at the end."""
    venv.mkdir(exist_ok=True)
    State(plan.kind, this_python()).write(venv)
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = [str(venv / "bin" / "uv"), "pip", "install", "--quiet", "--python", python, "--no-deps"]

    with step(f"Creating .venv with Python {this_python()}"):
        if not Path(python).exists():
            run([sys.executable, "-m", "venv", str(venv)])
        run([*pip, UV])
    if plan.kind == "cpu":
        with step("Installing PyTorch for the CPU (200 MB)"):
            install_torch(pip, uv)
    with step("Installing vLLM and the other packages (some minutes the first time)"):
        run([*uv, *(option for name in plan.lists for option in ("-r", name))])
    with step("Installing spar"):
        run([*uv, "--no-build-isolation", "-e", "."])

    done = {plan.digest, Plan(plan.kind, dev=False).digest}
    State(plan.kind, this_python(), tuple(sorted(done))).write(venv)


def install_torch(pip: list[str], uv: list[str]) -> None:
    """Install PyTorch's CPU build from pip's configured indexes, else from PyTorch's index.

    uv does not read pip's configuration, where a mirror of the build may be set; pip does not know
    PyTorch's index, and uv does.
    """
    try:
        run([*pip, "--no-deps", "-r", "requirements/torch.txt"])
    except SetupError:
        run([*uv, "--torch-backend=cpu", "-r", "requirements/torch.txt"])


def bring_browser(venv: Path) -> None:
    """Install Chromium for the tests of the pages: the system's package, else Playwright's.

    If neither is available, a note is printed, and only these tests fail.
    """
    if shutil.which("chromium") or shutil.which("google-chrome") or own_browsers():
        return
    try:
        with step("Installing Chromium for the tests of the pages"):
            for command in browser_commands(venv, is_root=os.geteuid() == 0):
                run(command)
    except SetupError as error:
        print(
            f"\nnote: Chromium could not be installed, so tests/web will fail. {error}", flush=True
        )


def own_browsers() -> list[Path]:
    """Playwright's installations of Chromium."""
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    cache = Path(named) if named else Path.home() / ".cache" / "ms-playwright"
    return [
        folder for folder in cache.glob("chromium-*") if (folder / "INSTALLATION_COMPLETE").exists()
    ]


def browser_commands(venv: Path, *, is_root: bool) -> list[list[str]]:
    """The commands that install Chromium."""
    if is_root and shutil.which("apt-get"):
        return [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        ]
    return [[str(venv / "bin" / "playwright"), "install", "chromium"]]


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title, then its duration."""
    began = time.monotonic()
    print(f"{title} ...", end="", flush=True)
    yield
    print(f" {time.monotonic() - began:.0f} s", flush=True)


def run(command: list[str]) -> None:
    """Run a command in the project's folder.

    Raises:
        SetupError: it failed; with the last lines of its output.
    """
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise SetupError(
            f"this step failed:\n{tail}\nIf it was the network, run the same command again: "
            "what was downloaded is kept."
        )


if __name__ == "__main__":
    main()
