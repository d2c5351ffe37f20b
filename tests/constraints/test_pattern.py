from typing import Any

import pytest

from app.constraints.kinds import Verdict
from app.constraints.pattern import Regex, check


@pytest.mark.parametrize(
    ("kwargs", "response", "satisfied", "message"),
    [
        ({"pattern": r"\d+"}, "It is 42.", True, 'the pattern "\\d+" is found: "42"'),
        ({"pattern": r"\d+"}, "None.", False, 'the pattern "\\d+" is not found in the response'),
        (
            {"pattern": r"\d+", "match": "fullmatch"},
            "42",
            True,
            'the pattern "\\d+" matches the response as a whole',
        ),
        (
            {"pattern": r"\d+", "match": "fullmatch"},
            "42.",
            False,
            'the pattern "\\d+" does not match the response as a whole',
        ),
        ({"pattern": "^b", "flags": "im"}, "a\nB", True, 'the pattern "^b" is found: "B"'),
        ({"pattern": "a.b"}, "a\nb", False, 'the pattern "a.b" is not found in the response'),
    ],
)
def test_matches(kwargs: dict[str, Any], response: str, satisfied: bool, message: str) -> None:
    assert check(Regex(**kwargs), response, 1.0) == Verdict(satisfied, message)


def test_a_hostile_pattern_runs_out_of_time() -> None:
    with pytest.raises(TimeoutError):
        check(Regex(pattern="(a|aa)+$"), "a" * 60 + "b", 0.1)
