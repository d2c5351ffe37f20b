"""`GET /constraints`: what a program can check."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from app.constraints.catalogue import catalogue

router = APIRouter(tags=["answer"])


class ConstraintKindOut(BaseModel):
    """A kind of constraint; `arguments` is the JSON schema of each of its kwargs."""

    id: str
    description: str
    arguments: dict[str, Any]


@router.get("/constraints")
async def list_constraints() -> list[ConstraintKindOut]:
    """Every constraint id with its arguments."""
    return [
        ConstraintKindOut(id=kind.id, description=kind.description, arguments=dict(kind.kwargs))
        for kind in catalogue()
    ]
