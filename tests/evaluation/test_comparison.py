"""Reports as stored."""

import json

import pytest
from pydantic import ValidationError

from app.domain.checkpoint import Role
from app.evaluation.comparison import RoleReport
from app.evaluation.paired import compare

REPORT = RoleReport(
    Role.ACTOR,
    compare("prompts", [1, 1, 0], [0, 1, 0], resamples=50),
    (compare("instructions", [1, 3, 0], [0, 2, 0], [1, 4, 2], resamples=50),),
    n_prompts=3,
)


def test_a_report_survives_json() -> None:
    stored = json.dumps(REPORT.to_dict(), allow_nan=False)
    assert RoleReport.from_dict(json.loads(stored)) == REPORT


def test_anything_else_is_no_report() -> None:
    values = REPORT.to_dict()
    del values["primary"]
    with pytest.raises(ValidationError):
        RoleReport.from_dict(values)
