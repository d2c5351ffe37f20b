import pytest

from app.domain.checkpoint import Role, Versions, parse_served_name, served_name


def test_every_version_of_every_role_is_served_under_a_name_of_its_own() -> None:
    assert served_name(Role.ACTOR, 12) == "actor@12"
    assert served_name(Role.REFINER, 0) == "refiner@0"


def test_the_base_model_is_version_0() -> None:
    assert Versions() == Versions(actor=0, refiner=0)


def test_the_versions_of_one_role_change_alone() -> None:
    versions = Versions(1, 2).with_version(Role.REFINER, 5).with_version(Role.ACTOR, 4)
    assert (versions.of(Role.ACTOR), versions.of(Role.REFINER)) == (4, 5)
    assert versions.served_name(Role.REFINER) == "refiner@5"


def test_a_served_name_is_read_back() -> None:
    assert parse_served_name("refiner@12") == (Role.REFINER, 12)


@pytest.mark.parametrize(
    "name",
    ["actor", "actor@", "actor@-1", "actor@1.5", "actor@²", "judge@1", "@1", "actor@" + "9" * 10],
)
def test_other_names_are_not_parsed(name: str) -> None:
    assert parse_served_name(name) is None
