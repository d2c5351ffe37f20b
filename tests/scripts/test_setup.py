"""When the set-up installs, starts again or refuses, without installing anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import setup
from scripts.setup import Plan, SetupError, State

RUNTIME = Plan("cpu", dev=False)
DEV = Plan("cpu", dev=True)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    return venv


def record(venv: Path, *plans: Plan, kind: str = "cpu", python: str | None = None) -> None:
    digests = tuple(plan.digest for plan in plans)
    State(kind, python or setup.this_python(), digests).write(venv)


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_an_unsupported_python_is_refused_with_a_way_out(version: tuple[int, int]) -> None:
    with pytest.raises(SetupError, match=rf"{version[0]}\.{version[1]}.*PYTHON=python3\.11"):
        setup.check_python(version)


def test_a_missing_library_is_refused_with_its_package() -> None:
    setup.check_library("libc.so.6")
    with pytest.raises(SetupError, match=r"libabsent\.so\.1 .*apt install libnuma1"):
        setup.check_library("libabsent.so.1")


def test_a_small_disk_is_refused_with_the_numbers() -> None:
    with pytest.raises(SetupError, match=r"about 1000000 GB .* GB are free"):
        setup.check_disk(1_000_000)


def test_what_is_installed_is_ready(venv: Path) -> None:
    assert not setup.is_ready(venv, RUNTIME)
    record(venv, RUNTIME)
    assert setup.is_ready(venv, RUNTIME)
    assert not setup.is_ready(venv, DEV)
    assert not setup.is_ready(venv, Plan("gpu", dev=False))


def test_another_interpreter_is_not_ready(venv: Path) -> None:
    record(venv, RUNTIME, python="3.9")
    assert not setup.is_ready(venv, RUNTIME)


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/cpu.txt", "requirements/dev.txt"])
def test_changed_requirements_are_not_ready(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "requirements").mkdir()
    for file in ("pyproject.toml", "requirements/torch.txt", *DEV.lists):
        (tmp_path / file).write_text("as it was")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    record(venv, DEV)
    assert setup.is_ready(venv, DEV)
    (tmp_path / name).write_text("changed")
    assert not setup.is_ready(venv, DEV)


def test_an_interrupted_environment_is_removed(venv: Path) -> None:
    record(venv)
    setup.remove_unusable(venv, RUNTIME)
    assert not venv.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "cpu"}'])
def test_an_environment_of_unreadable_state_is_removed(venv: Path, content: str) -> None:
    (venv / "spar-setup.json").write_text(content)
    setup.remove_unusable(venv, RUNTIME)
    assert not venv.exists()


def test_an_environment_for_something_else_is_removed(venv: Path) -> None:
    record(venv, RUNTIME, kind="gpu")
    setup.remove_unusable(venv, RUNTIME)
    assert not venv.exists()


def test_a_finished_environment_is_added_to(venv: Path) -> None:
    record(venv, RUNTIME)
    setup.remove_unusable(venv, DEV)
    assert venv.exists()


def test_an_environment_of_another_tool_is_kept(venv: Path) -> None:
    (venv / "pyvenv.cfg").write_text("version = 3.9.18\n")
    with pytest.raises(SetupError, match="created by another tool"):
        setup.remove_unusable(venv, RUNTIME)
    (venv / "pyvenv.cfg").write_text(f"version = {setup.this_python()}.7\n")
    setup.remove_unusable(venv, RUNTIME)
    assert venv.exists()


def test_torch_comes_from_where_pip_looks_else_from_its_own_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if command[0] == "failing":
            raise SetupError("no such version")

    monkeypatch.setattr(setup, "run", run)
    setup.install_torch(["pip"], ["uv"])
    assert ran == [["pip", "--no-deps", "-r", "requirements/torch.txt"]]
    setup.install_torch(["failing"], ["uv"])
    assert ran[2:] == [["uv", "--torch-backend=cpu", "-r", "requirements/torch.txt"]]


def test_a_failed_command_is_told_by_its_last_words() -> None:
    with pytest.raises(SetupError, match="no such package"):
        setup.run([sys.executable, "-c", "raise SystemExit('no such package')"])


def test_a_second_set_up_waits_for_the_first() -> None:
    code = "from scripts import setup\nwith setup.only_one():\n    print('mine', flush=True)"
    with setup.only_one():
        second = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline().startswith("Waiting")
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)
    assert second.communicate()[0] == "mine\n"


def test_an_administrator_gets_the_systems_browser_others_one_of_their_own(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert setup.browser_commands(venv, is_root=True)[-1][:2] == ["apt-get", "install"]
    own = [[str(venv / "bin" / "playwright"), "install", "chromium"]]
    assert setup.browser_commands(venv, is_root=False) == own
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert setup.browser_commands(venv, is_root=True) == own


def test_a_browser_that_cannot_be_had_is_said_and_ends_nothing(
    venv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(setup, "own_browsers", list)
    monkeypatch.setattr(setup, "browser_commands", lambda *_, **__: [["false"]])
    setup.bring_browser(venv)
    assert "tests/web will fail" in capsys.readouterr().out
