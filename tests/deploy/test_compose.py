"""docker-compose.yml, the Dockerfile and the CI workflow, as far as they can be checked here."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.cli import cli
from app.config.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
WORKFLOW = ".github/workflows/ci.yml"
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


@pytest.mark.parametrize(
    "command",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        ["hadolint", "deploy/Dockerfile"],
    ],
    ids=["compose", "workflow", "dockerfile"],
)
def test_the_linters_have_nothing_to_say(command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    linted = subprocess.run(
        [str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


@each_service
def test_every_setting_in_it_is_one_of_ours(name: str) -> None:
    given = {key for key in SERVICES[name].get("environment", {}) if key.startswith("SPAR_")}
    known = {f"SPAR_{field.upper()}" for field in Settings.model_fields} | {"SPAR_CACHE"}
    assert given <= known


@each_service
def test_the_settings_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if key.startswith("SPAR_"):
            default = re.fullmatch(r"\$\{\w+:-(.*)\}", value)
            monkeypatch.setenv(key, default[1] if default else value)
    settings = Settings(_env_file=None)
    assert settings.port == 8000
    # What compose passes on empty is as good as not set.
    assert settings.model is None
    assert settings.accelerate_config is None


@each_service
def test_images_are_pinned_and_nobody_is_root(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"spar:(cpu|gpu)|[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", service["image"])
    assert service["user"] not in ("root", "0", "0:0")


@each_service
def test_a_service_that_stays_has_a_health_check_or_says_why_not(name: str) -> None:
    service = SERVICES[name]
    if service["restart"] == "no":
        return
    assert "healthcheck" in service
    for other in service.get("depends_on", {}):
        assert "test" in SERVICES[other]["healthcheck"]


@each_service
def test_what_it_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (ROOT / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]
    for config in service.get("configs", ()):
        content = COMPOSE["configs"][config["source"]]["content"]
        assert isinstance(yaml.safe_load(content), dict)
    for other in service.get("depends_on", {}):
        assert set(service["profiles"]) <= set(SERVICES[other]["profiles"]) | {"tools"}


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_profile_has_everything(profile: str) -> None:
    names = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    assert names == {
        "postgres", f"server-{profile}", f"worker-{profile}", "prometheus", "grafana",
    }  # fmt: skip
    ours = {SERVICES[f"{kind}-{profile}"]["image"] for kind in ("server", "worker")}
    assert ours == {f"spar:{profile}"}


@each_service
def test_our_commands_are_commands_that_there_are(name: str) -> None:
    service = SERVICES[name]
    if not service["image"].startswith("spar:"):
        return
    check(service["command"])


def test_the_commands_in_the_words_above_are_too() -> None:
    text = (ROOT / "docker-compose.yml").read_text().replace(" \\\n#", "")
    commands = re.findall(r"run --rm migrate +(spar .+?)(?:  |$)", text, re.MULTILINE)
    assert commands
    for command in commands:
        check(command.split())


def check(command: list[str]) -> None:
    """Fail unless this can be run."""
    if command[:3] == ["python", "-m", "worker"]:
        assert find_spec("worker.__main__")
        assert command[3:] == []
        return
    assert command[0] == "spar"
    group: Any = typer.main.get_command(cli)
    context: Any = None
    words = command[1:]
    while hasattr(group, "get_command") and words:
        context = group.make_context(words[0], list(words), parent=context, resilient_parsing=True)
        group, words = group.get_command(context, words[0]), words[1:]
        assert group is not None, command
    group.make_context(command[1], list(words), parent=context)


def test_prometheus_scrapes_the_server_where_it_listens() -> None:
    scraped = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"][0]
    assert scraped["static_configs"] == [{"targets": ["server:8000"]}]
    for profile in ("cpu", "gpu"):
        assert SERVICES[f"server-{profile}"]["networks"]["default"]["aliases"] == ["server"]


def test_what_the_env_file_names_is_what_compose_asks_for() -> None:
    given = re.findall(r"^(\w+)=", (ROOT / "deploy" / "compose.env").read_text(), re.MULTILINE)
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert set(given) <= asked
    needed = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text())
    assert set(needed) <= set(given)


def test_the_images_are_built_from_what_is_there() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source
    packages = {name.removesuffix("*") for name in packaged()}
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert copied == packages


def test_the_images_run_as_somebody_and_install_what_is_pinned() -> None:
    stages = DOCKERFILE.split("\nFROM ")[1:]
    assert [stage.split(" AS ")[1].split()[0] for stage in stages] == ["base", "cpu", "gpu"]
    for stage in stages[1:]:
        assert stage.rindex("USER 10001:10001") > stage.rindex("RUN ")
        requirements = stage.index("-r requirements/")
        assert requirements < stage.index("COPY app"), "the cache of packages would not last"
    setup = (ROOT / "scripts" / "setup.py").read_text()
    [uv] = re.findall(r'^UV = "(.+)"$', setup, re.MULTILINE)
    assert uv in DOCKERFILE


def packaged() -> list[str]:
    """The packages of the project."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    include: list[str] = project["tool"]["setuptools"]["packages"]["find"]["include"]
    return include
