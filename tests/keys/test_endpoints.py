"""Authorization of every route of a whole server."""

from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from app.api.authentication import ADMIN, PUBLIC, required_scopes
from app.domain.key import Scope
from tests.keys.conftest import Serve

SEARCH = "/searches/01JZ0000000000000000000001"
NEEDED = [
    ("POST", "/generate", {Scope.GENERATE}),
    ("POST", "/v1/chat/completions", {Scope.GENERATE}),
    ("POST", "/feedback", {Scope.GENERATE}),
    ("GET", SEARCH, {Scope.GENERATE}),
    ("POST", "/judge", {Scope.JUDGE}),
    ("GET", "/constraints", {Scope.GENERATE, Scope.JUDGE}),
    ("GET", "/v1/models", {Scope.GENERATE, Scope.JUDGE}),
    ("POST", "/tokenize", {Scope.GENERATE, Scope.JUDGE}),
    ("GET", "/searches", set()),
    ("GET", "/admin/serving", set()),
    ("GET", "/admin/audit", set()),
    ("POST", "/admin/iterations", set()),
    ("POST", "/admin/checkpoints/actor/0/promote", set()),
    ("GET", "/a/page/nobody/wrote", set()),
]
PAGES = (
    "/",
    "/docs",
    "/ui/searches",
    f"/ui{SEARCH}",
    "/ui/iterations",
    "/ui/iterations/{iteration_id}",
    "/ui/checkpoints",
    "/ui/overview",
)
OPEN = {("GET", path) for path in ("/healthz", "/readyz", *PAGES)}
"""Pages hold no data; their scripts call the other routes with the user's key."""


async def test_a_key_permits_only_its_scope(serve: Serve) -> None:
    async with serve(keys="required") as server:
        keys = {scope: await server.key(scope, name=scope) for scope in Scope}
        for method, path, scopes in NEEDED:
            for scope, key in keys.items():
                status = (await server.ask(path, key, method=method)).status_code
                assert (status != 403) == (scope in scopes | {Scope.ADMIN}), (path, scope)
                assert status != 401


async def test_without_a_valid_key_requests_are_refused(serve: Serve) -> None:
    async with serve(keys="required") as server:
        good, other = await server.key(*Scope), await server.key(*Scope, name="bob")
        mixed = f"{good[:20]}{other[20:]}"
        bad = [None, "Bearer spar_0_0", good[:-1], mixed, good + "x", f"Basic {good}", "x"]
        for method, path, _ in NEEDED:
            for key in bad:
                answer = await server.ask(path, key, method=method)
                assert answer.status_code == 401, (path, key)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_public_routes_need_no_key(serve: Serve) -> None:
    async with serve(keys="required") as server:
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"):
            assert (await server.ask(path, method="GET")).status_code == 200


async def test_metrics_can_be_closed(serve: Serve) -> None:
    async with serve(keys="required", metrics_key=True) as server:
        assert (await server.ask("/metrics", method="GET")).status_code == 401
        key = await server.key(Scope.JUDGE)
        assert (await server.ask("/metrics", key, method="GET")).status_code == 200


async def test_unlisted_routes_require_the_admin_scope(serve: Serve) -> None:
    """A new route with another scope must be listed here as well."""

    def routes(app: object) -> Iterator[tuple[str, str]]:
        for route in app.routes:  # type: ignore[attr-defined]
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in route.methods)

    async with serve() as server:
        known = {(method, path) for method, path, scopes in NEEDED if scopes}
        for method, path in routes(server.app):
            wanted = required_scopes(method, path.replace("{search_id}", SEARCH[-26:]))
            concrete = (method, path.replace("{search_id}", SEARCH[-26:]))
            assert (wanted != ADMIN) == (concrete in known | OPEN), path
            assert (wanted == PUBLIC) == (concrete in OPEN), path


async def test_a_loopback_server_needs_no_key(serve: Serve) -> None:
    async with serve() as server:
        assert (await server.ask("/generate")).status_code == 200
        assert (await server.ask("/generate", "Bearer anything")).status_code == 200


async def test_a_public_server_needs_keys_unless_disabled(serve: Serve) -> None:
    async with serve(host="0.0.0.0") as server:
        assert (await server.ask("/generate")).status_code == 401
    async with serve(host="0.0.0.0", keys="off") as server:
        assert (await server.ask("/generate", host="spar.example")).status_code == 200


@pytest.mark.parametrize("keys", ["auto", "required"])
async def test_pages_of_other_sites_change_nothing(serve: Serve, keys: str) -> None:
    path = "/admin/iterations"
    async with serve(keys=keys) as server:
        key = await server.key(Scope.ADMIN)
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            assert (await server.ask(path, key, origin=origin)).status_code == 403
        own = await server.ask(path, key, origin="http://localhost")
        assert own.status_code == 202


async def test_a_rebound_host_name_is_refused(
    serve: Serve,
) -> None:
    async with serve() as server:
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example"):
            assert (await server.ask("/searches", method="GET", host=host)).status_code == 403
        for host in ("127.0.0.1:8000", "localhost:80", "[::1]:8000", "a.localhost"):
            assert (await server.ask("/searches", method="GET", host=host)).status_code == 200


async def test_a_body_is_not_read_before_the_key_is_verified(serve: Serve) -> None:
    async with serve(keys="required") as server:
        answer = await server.client.post("/generate", content=b"{" * 2_000_000)
        assert answer.status_code == 401
