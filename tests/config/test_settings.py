"""The settings, and the page that lists them."""

from pathlib import Path
from socket import gethostname

import pytest
from pydantic import ValidationError

from app.config.settings import Settings, advertised, reachable, settings_from
from app.domain.checkpoint import Role
from app.domain.search import QuickVerdictRule
from app.errors import ConfigurationError
from scripts.configuration import PAGE, page


def test_the_page_lists_the_settings_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAR_PORT", "8123")
    assert Settings().port == 8123


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("SPAR_PROT", "SPAR_PROT is not a setting: did you mean SPAR_PORT?"),
        ("SPAR_XYZZY_Q", "SPAR_XYZZY_Q is not a setting: see docs/configuration.md"),
        ("SPAR_FIRST_LOOK_LOW", "renamed to SPAR_QUICK_VERDICT_LOW"),
        ("SPAR_PATIENCE_SECONDS", "renamed to SPAR_SERVER_RETRY_SECONDS"),
        ("SPAR_BACKGROUND_CALLS_BESIDE_PEOPLE", "renamed to SPAR_BACKGROUND_CALLS_BUSY"),
    ],
)
def test_an_unknown_variable_is_refused_with_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigurationError) as refused:
        settings_from()
    assert words in refused.value.message


def test_an_unknown_variable_in_the_env_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OTHER=1\nSPAR_MODLE=x\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="did you mean SPAR_MODEL"):
        settings_from()


def test_variables_of_other_programs_and_of_child_processes_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("SPAR_URL", "SPAR_SERVER_PID", "SPAR_CACHE", "SPARROW", "spar_port"):
        monkeypatch.setenv(variable, "8001")
    assert settings_from().port == 8001


def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAR_MAX_RUNNING", "0")
    with pytest.raises(ValidationError, match="max_running"):
        Settings()


def test_the_database_is_a_file_in_the_data_folder_unless_named(tmp_path: Path) -> None:
    assert Settings(data=tmp_path).url == f"sqlite+aiosqlite:///{tmp_path}/spar.db"
    assert Settings(database_url="postgresql+asyncpg://x/y").url == "postgresql+asyncpg://x/y"


@pytest.mark.parametrize(("low", "high"), [(0.95, None), (None, 0.05), (0.6, 0.4)])
def test_the_thresholds_of_a_quick_verdict_are_in_order(
    low: float | None, high: float | None
) -> None:
    given = {"quick_verdict_low": low, "quick_verdict_high": high}
    with pytest.raises(ValidationError, match="must not be below quick_verdict_low"):
        Settings.model_validate({key: value for key, value in given.items() if value is not None})


def test_a_quick_verdict_decides_by_the_settings() -> None:
    settings = Settings(quick_verdict_low=0.3, quick_verdict_high=0.6, quick_verdict_critiques=True)
    assert settings.quick_verdict == QuickVerdictRule(0.3, 0.6, critiques=True)


@pytest.mark.parametrize("schedule", ["0 3 * * *", "*/30 8-18 * * MON-FRI"])
def test_a_schedule_is_a_cron_expression(schedule: str) -> None:
    assert Settings(schedule=schedule).schedule == schedule


@pytest.mark.parametrize("schedule", [None, ""])
def test_without_a_schedule_nothing_starts_by_itself(schedule: str | None) -> None:
    assert Settings(schedule=schedule).schedule is None


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("nightly", "not a cron expression: Wrong number of fields; write it like '0 3"),
        ("61 * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
    ],
)
def test_any_other_schedule_is_refused_with_the_reason(schedule: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(schedule=schedule)


def test_a_schedule_uses_a_preset_there_is() -> None:
    with pytest.raises(ValidationError, match="use one of micro, tiny"):
        Settings(schedule_preset="huge")


@pytest.mark.parametrize("given", ["http://a:1, http://b:2", '["http://a:1", "http://b:2"]'])
def test_engines_are_a_list_of_addresses(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SPAR_ENGINES", given)
    both = ("http://a:1", "http://b:2")
    assert Settings().remote_engines == {Role.ACTOR: both, Role.REFINER: both}


def test_each_role_may_have_engines_of_its_own() -> None:
    settings = Settings(actor_engines=("http://a",), refiner_engines=("http://b", "http://c"))
    assert settings.remote_engines[Role.REFINER] == ("http://b", "http://c")
    assert Settings().remote_engines == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"actor_engines": ["http://a"]}, "must be set together"),
        (
            {"engines": ["a"], "actor_engines": ["b"], "refiner_engines": ["c"]},
            "set either SPAR_ENGINES",
        ),
        ({"engines": ["a"], "separate_engines": True}, "engine in this process"),
        ({"engines": ["a"], "engine_args": {"seed": 1}}, "engine in this process"),
        ({"engines": ["a"], "sleep_while_training": True}, "engine in this process"),
        ({"engine_args": "{tensor"}, "engine_args"),
    ],
)
def test_settings_of_engines_that_contradict_each_other_are_refused(
    given: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate(given)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_that_listens_everywhere_is_known_by_its_machines_name(host: str) -> None:
    assert reachable(host) == "127.0.0.1"
    assert advertised(host) == gethostname()


def test_a_server_that_listens_at_one_address_is_known_by_it() -> None:
    assert reachable("10.0.0.1") == advertised("10.0.0.1") == "10.0.0.1"
    assert reachable("::1") == advertised("::1") == "[::1]"
