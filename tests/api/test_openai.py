"""Names of models: a role, perhaps a version, perhaps a search mode."""

import pytest

from app.api.openai import ModelName, model_names, parse_model, wanted_checkpoint
from app.api.schemas import CheckpointIn
from app.domain.checkpoint import Role, Versions
from app.domain.search import Mode
from app.errors import InvalidRequest, NotFound


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("actor", ModelName(Role.ACTOR)),
        ("refiner", ModelName(Role.REFINER)),
        ("actor@12", ModelName(Role.ACTOR, 12)),
        ("refiner@0", ModelName(Role.REFINER, 0)),
        ("actor:bfs", ModelName(Role.ACTOR, None, Mode.BFS)),
        ("actor@12:best_of_n", ModelName(Role.ACTOR, 12, Mode.BEST_OF_N)),
    ],
)
def test_a_name_is_read(name: str, expected: ModelName) -> None:
    assert parse_model(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("", "gpt-5", "ACTOR", "actor:", "actor:mcts", "actor@12:", "actor:bfs@12"),
        *("actor@", "actor@x", "actor@-1", "@12", "actor@1234567890", "actor@٣"),
        *("refiner:bfs", "refiner@1:bfs"),
    ],
)
def test_any_other_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        parse_model(name)
    assert caught.value.field == "model"
    assert repr(name) in caught.value.message


def test_every_listed_model_name_can_be_requested() -> None:
    names = model_names(Versions(3, 7))
    assert names[-2:] == ["actor@3", "refiner@7"]
    assert len({parse_model(name) for name in names}) == len(names)
    assert model_names(None) == names[:-2]


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("actor", None, CheckpointIn()),
        ("actor", CheckpointIn(actor=2, refiner=3), CheckpointIn(actor=2, refiner=3)),
        ("actor@2:bfs", CheckpointIn(refiner=3), CheckpointIn(actor=2, refiner=3)),
        ("actor@2", CheckpointIn(actor=2), CheckpointIn(actor=2)),
        ("refiner@0", None, CheckpointIn(refiner=0)),
    ],
)
def test_name_and_field_add_up(
    name: str, body: CheckpointIn | None, expected: CheckpointIn
) -> None:
    assert wanted_checkpoint(parse_model(name), body) == expected


def test_a_name_and_a_field_that_differ_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        wanted_checkpoint(parse_model("actor@2"), CheckpointIn(actor=3))
    assert caught.value.field == "checkpoint.actor"
