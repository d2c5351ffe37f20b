import pytest

from app.errors import NotFound
from app.evaluation.base import Task
from app.evaluation.suites import SUITES, suite_named


def test_suites_are_found_by_name() -> None:
    assert list(SUITES) == ["ifeval", "ifbench", "llmbar", "followbench"]
    for name, suite in SUITES.items():
        assert suite_named(name) is suite
        assert suite.name == name
    assert [name for name, suite in SUITES.items() if suite.task is Task.PREFER] == ["llmbar"]


def test_unknown_suite_error_names_available_suites() -> None:
    with pytest.raises(NotFound, match=r'"mmlu".*ifeval'):
        suite_named("mmlu")
