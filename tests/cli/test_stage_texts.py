"""Numbers of an iteration in words."""

import pytest


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (4200, "1 h 10 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    from app.cli.draw_admin import duration

    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({}, "actor step 3"),
        ({"total_steps": 12, "loss": 0.6931}, "actor step 3/12, loss 0.693"),
        (
            {"margin": -0.01, "accuracy": 1, "elapsed": 7.0},
            "actor step 3, margin -0.010, accuracy 1.00",
        ),
        ({"loss": None, "total_steps": "many"}, "actor step 3"),
    ],
)
def test_steps(metrics: dict[str, object], text: str) -> None:
    from app.api.admin.schemas import StepOut
    from app.cli.progress import step_text
    from app.domain.checkpoint import Role

    assert step_text(StepOut(role=Role.ACTOR, step=3, metrics=metrics)) == text
