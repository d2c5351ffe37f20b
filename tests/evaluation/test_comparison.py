"""Reports as stored."""

import json
from dataclasses import asdict

from app.domain.checkpoint import Role
from app.evaluation.statistics import RoleReport, compare

REPORT = RoleReport(
    Role.ACTOR,
    compare("prompts", [1, 1, 0], [0, 1, 0], resamples=50),
    (compare("instructions", [1, 3, 0], [0, 2, 0], [1, 4, 2], resamples=50),),
    n_prompts=3,
)


def test_a_report_is_stored_whole() -> None:
    stored = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert (stored["role"], stored["n_prompts"]) == ("actor", 3)
    assert stored["primary"] == asdict(REPORT.primary)
    assert stored["others"] == [asdict(one) for one in REPORT.others]
