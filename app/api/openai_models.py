"""The names of models at the OpenAI endpoint, such as `actor`, `refiner@3` and `actor@12:bfs`."""

from dataclasses import dataclass, replace

from app.api.schemas import CheckpointIn
from app.domain.checkpoint import Role, Versions, parse_served_name
from app.domain.search import Mode
from app.errors import InvalidRequest, NotFound


@dataclass(frozen=True, slots=True)
class ModelName:
    """A role, its version where the name says one, and the search mode where it says one."""

    role: Role
    version: int | None = None
    mode: Mode | None = None


def parse_model(name: str) -> ModelName:
    """What a name asks for. Raises `NotFound` with the names there are."""
    said, colon, mode = name.partition(":")
    checkpoint = parse_served_name(said)
    model = None
    if checkpoint is not None:
        model = ModelName(*checkpoint)
    elif said in list(Role):
        model = ModelName(Role(said))
    if model is not None and not colon:
        return model
    if model is not None and model.role is Role.ACTOR and mode in list(Mode):
        return replace(model, mode=Mode(mode))
    raise NotFound(
        f"there is no model {name!r}: use actor or refiner, perhaps with a version, such as"
        f" actor@12, or actor with a mode, such as actor:bfs or actor@12:bfs ({', '.join(Mode)})",
        field="model",
    )


def model_names(served: Versions | None) -> list[str]:
    """Every name to offer: the roles, the searches, and the versions served now, if any are."""
    versions = [] if served is None else [served.served_name(role) for role in Role]
    return [*Role, *(f"{Role.ACTOR}:{mode}" for mode in Mode), *versions]


def wanted_checkpoint(model: ModelName, body: CheckpointIn | None) -> CheckpointIn:
    """The versions that the name and the field `checkpoint` ask for together.

    Raises `InvalidRequest` when they say different things.
    """
    wanted = {} if body is None else body.model_dump(exclude_none=True)
    if model.version is not None and wanted.setdefault(model.role, model.version) != model.version:
        raise InvalidRequest(
            f"`model` asks for version {model.version} of the {model.role}, and `checkpoint` for"
            f" version {wanted[model.role]}",
            field=f"checkpoint.{model.role}",
        )
    return CheckpointIn(**wanted)
