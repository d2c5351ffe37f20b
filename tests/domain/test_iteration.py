import pytest
from pydantic import ValidationError

from app.domain.checkpoint import CheckpointKind, Role
from app.domain.iteration import (
    PRESETS,
    STAGES,
    IterationKind,
    Stage,
    Status,
    UnknownOption,
    options_for,
)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_survives_being_stored(preset: str) -> None:
    options = PRESETS[preset]
    assert type(options).model_validate(options.model_dump(mode="json")) == options


def test_an_override_changes_its_value_and_no_other() -> None:
    options = options_for("tiny", {"data": {"prompts": 3}, "seed": 7})
    assert (options.data.prompts, options.seed) == (3, 7)
    assert options.data.responses == PRESETS["tiny"].data.responses
    assert options.actor == PRESETS["tiny"].actor


@pytest.mark.parametrize(
    "overrides", [{"data": {"prompt": 3}}, {"data": {"prompts": 0}}, {"data": 3}, {"none": 1}]
)
def test_an_override_that_does_not_fit_is_refused(overrides: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        options_for("tiny", overrides)


@pytest.mark.parametrize(
    ("overrides", "new"),
    [
        ({"actor": {"method": "full"}}, "`method` has been renamed to `kind`"),
        ({"refiner": {"rank": 8}}, "`rank` has been renamed to `lora_rank`"),
        ({"data": {"gate": 0.5}}, "`gate` has been renamed to `accept_threshold`"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(overrides: dict[str, object], new: str) -> None:
    with pytest.raises(ValidationError, match=new):
        options_for("tiny", overrides)


def test_only_an_adapter_or_all_weights_can_be_trained() -> None:
    assert options_for("tiny", {"actor": {"kind": "full"}}).actor.kind is CheckpointKind.FULL
    with pytest.raises(ValidationError):
        options_for("tiny", {"actor": {"kind": "base"}})


def test_an_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownOption, match="tiny"):
        options_for("huge", {})


def test_each_role_has_its_training() -> None:
    options = PRESETS["tiny"]
    assert options.training(Role.ACTOR) is options.actor
    assert options.training(Role.REFINER) is options.refiner


def test_self_play_runs_every_stage_and_a_bootstrap_those_that_need_no_play() -> None:
    assert STAGES[IterationKind.SELF_PLAY] == tuple(Stage)
    assert {Stage.RESPOND, Stage.JUDGE, Stage.REFINE}.isdisjoint(STAGES[IterationKind.BOOTSTRAP])


def test_only_what_did_not_succeed_can_be_resumed() -> None:
    assert {status for status in Status if status.resumable} == {Status.FAILED, Status.CANCELLED}
    assert all(status.final for status in Status if status.resumable)
