from app.domain.checkpoint import Role, Versions, served_name


def test_every_version_of_every_role_is_served_under_a_name_of_its_own() -> None:
    assert served_name(Role.ACTOR, 12) == "actor@12"
    assert served_name(Role.REFINER, 0) == "refiner@0"


def test_the_base_model_is_version_0() -> None:
    assert Versions() == Versions(actor=0, refiner=0)
