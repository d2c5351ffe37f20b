"""What is refused before anything slow starts, and in which words."""

import socket
from pathlib import Path

import pytest

from app.config.preflight import check_data_folder, check_port, check_python, check_sleep
from app.errors import ConfigurationError


@pytest.mark.parametrize("version", [(3, 11), (3, 12)])
def test_supported_pythons_pass(version: tuple[int, int]) -> None:
    check_python(version)


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_other_pythons_are_refused_with_a_way_out(version: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"3\.11 or 3\.12 .* PYTHON=python3\.11"):
        check_python(version)


def test_a_taken_port_is_refused_until_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} .* PORT=") as refused:
            check_port("127.0.0.1", port)
        assert refused.value.field == "port"
    check_port("127.0.0.1", port)


def test_any_free_port_passes() -> None:
    check_port("127.0.0.1", 0)


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1") as refused:
        check_port(host, 0)
    assert refused.value.field == "host"


def test_the_data_folder_is_created_and_left_empty(tmp_path: Path) -> None:
    check_data_folder(tmp_path / "some" / "folder")
    assert list((tmp_path / "some" / "folder").iterdir()) == []


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            check_data_folder(folder)


def test_a_data_folder_without_space_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.config.preflight.NEEDED_BYTES", 10**18)
    with pytest.raises(ConfigurationError, match="MB of free disk"):
        check_data_folder(tmp_path)


def test_an_engine_on_a_cpu_cannot_be_told_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.arguments.can_sleep", lambda: False)
    with pytest.raises(ConfigurationError, match=r"SPAR_SLEEP_WHILE_TRAINING .* unset") as refused:
        check_sleep(True)
    assert "\n" not in refused.value.message
    check_sleep(False)
