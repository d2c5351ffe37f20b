"""Client of a server's admin API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import quote

from httpx2 import ServerSentEvent
from pydantic import BaseModel

from app.api.admin.schemas import AddedOut, IterationOut, StepOut
from app.cli.client import Client, JsonObject
from app.domain.checkpoint import Role

Uploaded = Literal["prompts", "conversations"]
SAMPLES_PER_PAGE = 200


class Admin(Client):
    """Calls to the admin API of one server; raises the errors of `Client`."""

    def queue(self, request: BaseModel) -> JsonObject:
        """Queue an iteration."""
        return self._call("POST", "/admin/iterations", content=request.model_dump_json())

    def iterations(self, limit: int) -> JsonObject:
        """The newest iterations, at most `limit`."""
        return self._call("GET", "/admin/iterations", params={"limit": limit})

    def iteration(self, iteration_id: str) -> JsonObject:
        """One iteration."""
        return self._call("GET", _path(iteration_id))

    def cancel(self, iteration_id: str) -> JsonObject:
        """Cancel an iteration."""
        return self._call("POST", f"{_path(iteration_id)}/cancel")

    def resume(self, iteration_id: str) -> JsonObject:
        """Resume a failed or cancelled iteration."""
        return self._call("POST", f"{_path(iteration_id)}/resume")

    @contextmanager
    def follow(self, iteration_id: str) -> Iterator[Iterator[IterationOut | StepOut]]:
        """An iteration after each change, and its training steps, until it has ended."""
        with self._follow("GET", f"{_path(iteration_id)}/events") as events:
            yield filter(None, map(self._update, events))

    def samples(self, iteration_id: str, role: Role, cursor: int | None) -> JsonObject:
        """A page of training data."""
        params: dict[str, Any] = {"role": role.value, "limit": SAMPLES_PER_PAGE}
        if cursor is not None:
            params["cursor"] = cursor
        return self._call("GET", f"{_path(iteration_id)}/samples", params=params)

    def checkpoints(self) -> JsonObject:
        """Every version of each role."""
        return self._call("GET", "/admin/checkpoints")

    def promote(self, role: Role, version: int) -> JsonObject:
        """Promote a version."""
        return self._call("POST", f"/admin/checkpoints/{role}/{version}/promote")

    def roll_back(self, role: Role) -> JsonObject:
        """Promote the version that was promoted before."""
        return self._call("POST", f"/admin/checkpoints/{role}/rollback")

    def serving(self) -> JsonObject:
        """The promoted versions, and what each server serves."""
        return self._call("GET", "/admin/serving")

    def upload(self, what: Uploaded, rows: list[JsonObject]) -> AddedOut:
        """Add prompts or conversations, all or none."""
        return self.read(AddedOut, self._call("POST", f"/admin/{what}", json={what: rows}))

    def pool(self) -> JsonObject:
        """The number of prompts of each source."""
        return self._call("GET", "/admin/prompts", params={"limit": 1})

    def feedback(self, request: BaseModel) -> JsonObject:
        """Rate an answer."""
        return self._call("POST", "/feedback", content=request.model_dump_json())

    def _update(self, event: ServerSentEvent) -> IterationOut | StepOut | None:
        """The update in an event; None for other events."""
        match event.event:
            case "iteration":
                return self.read(IterationOut, self._object(event.data))
            case "step":
                return self.read(StepOut, self._object(event.data))
            case _:
                return None


def _path(iteration_id: str) -> str:
    return f"/admin/iterations/{quote(iteration_id, safe='')}"
