"""Dependencies of the routes, created once per process by `app.main`."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.checkpoints.registry import Registry
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.engine.base import Engine
from app.observe.metrics import StoredFigures
from app.observe.observer import Observer
from app.search.run import Roles
from app.serving.admission import Admission, Background


@dataclass(slots=True)
class Services:
    """Everything a request may need.

    New requests are pinned to `registry.versions`; `started_at` is a Unix time.
    """

    settings: Settings
    engine: Engine
    checker: Checker
    roles: Roles
    database: Database
    recorder: Recorder
    admission: Admission
    background: Background
    registry: Registry
    started_at: int
    observer: Observer = field(default_factory=Observer)
    stored: StoredFigures = field(init=False)

    def __post_init__(self) -> None:
        self.stored = StoredFigures(self.database)


def services(request: Request) -> Services:
    """The process's services."""
    wired: Services = request.app.state.services
    return wired


ServicesDep = Annotated[Services, Depends(services)]
