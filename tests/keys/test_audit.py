"""Every admin action leaves a line: who, when, what, and how it ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.api.admin import iterations
from app.db.keys import Action, AuditRepository
from app.domain.key import Scope
from app.errors import DatabaseError
from tests.keys.conftest import Open, Serve

QUEUE = "/admin/iterations"


async def lines(server: Open) -> list[tuple[str, str, int | None]]:
    """Who did what with which outcome, newest first."""
    async with server.database.session() as session:
        page, _ = await AuditRepository(session).page(100)
    return [(one.action.who, one.action.action, one.status) for one in page]


async def test_actions_are_recorded_with_their_outcome(serve: Serve) -> None:
    async with serve(keys="required") as server:
        ann, bob = await server.key(Scope.ADMIN), await server.key(Scope.GENERATE, name="bob")
        await server.ask(QUEUE, ann)
        await server.ask("/admin/checkpoints/actor/77/promote", ann)
        await server.ask(QUEUE, bob)
        assert await lines(server) == [
            ("bob", f"POST {QUEUE}", 403),
            ("ann", "POST /admin/checkpoints/actor/77/promote", 404),
            ("ann", f"POST {QUEUE}", 202),
        ]


async def test_reads_and_searches_are_not_audited(serve: Serve) -> None:
    async with serve(keys="required") as server:
        ann = await server.key(Scope.ADMIN)
        await server.ask("/admin/serving", ann, method="GET")
        await server.ask("/generate", ann)
        await server.ask(QUEUE, "Bearer unknown")
        assert await lines(server) == []


async def test_without_keys_actions_are_recorded_too(serve: Serve) -> None:
    async with serve() as server:
        await server.ask(QUEUE)
        [(who, action, status)] = await lines(server)
        assert (action, status) == (f"POST {QUEUE}", 202)
        assert "without a key" in who


async def test_the_audit_can_be_read(serve: Serve) -> None:
    async with serve(keys="required") as server:
        ann = await server.key(Scope.ADMIN)
        for _ in range(3):
            await server.client.post(f"{QUEUE}?x=1", json={}, headers={"authorization": ann})
        first = (await server.ask("/admin/audit?limit=2", ann, method="GET")).json()
        rest = await server.ask(
            f"/admin/audit?limit=2&cursor={first['next_cursor']}", ann, method="GET"
        )
        actions = first["actions"] + rest.json()["actions"]
        assert [one["action"] for one in actions] == [f"POST {QUEUE}"] * 3
        assert len({one["id"] for one in actions}) == 3
        assert rest.json()["next_cursor"] is None
        age = datetime.now(UTC) - datetime.fromisoformat(actions[0]["created_at"])
        assert timedelta() <= age < timedelta(minutes=1)


async def test_an_action_that_fails_is_recorded_as_failed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(iterations, "IterationRepository", broken)
    async with serve() as server:
        assert (await server.ask(QUEUE)).status_code == 500
        assert [status for _, _, status in await lines(server)] == [500]


async def test_an_action_that_cannot_be_audited_is_not_run(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> str:
        raise DatabaseError("the database is away", retry_after=1)

    async with serve() as server:
        with monkeypatch.context() as patch:
            patch.setattr(AuditRepository, "begin", away)
            assert (await server.ask(QUEUE)).status_code == 503
        assert await lines(server) == []


async def test_an_unfinished_action_has_no_status(serve: Serve) -> None:
    async with serve() as server:
        async with server.database.session() as session:
            await AuditRepository(session).begin(Action("ann", "POST /x"))
        assert await lines(server) == [("ann", "POST /x", None)]
