"""The roles, as the server and the worker configure them."""

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.engine.base import Engine
from app.roles.actor import Actor
from app.roles.judge import Judge
from app.roles.refiner import Refiner
from app.search.run import Roles


def make_roles(settings: Settings, engine: Engine, checker: Checker) -> Roles:
    """The roles on one engine, with the settings' sampling."""
    return Roles(
        actor=Actor(engine),
        judge=Judge(
            engine,
            checker,
            temperature=settings.vote_temperature,
            critique_tokens=settings.critique_tokens,
        ),
        refiner=Refiner(engine),
        refine_temperature=settings.refine_temperature,
    )
