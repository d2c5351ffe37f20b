"""Templates, headers and static files of the pages, without a browser."""

import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.api import generate
from app.api.admin import iterations
from app.api.problems import RESPONSE
from app.web.pages import HERE, NAV_LINKS, add_pages

STATIC = HERE / "static"
VENDOR = STATIC / "vendor"
ID = "01M848M0S3XC86DXX60FQ85V3G"
PATHS = (
    *(link.path for link in NAV_LINKS),
    f"/ui/searches/{ID}",
    f"/ui/iterations/{ID}",
    "/docs",
)
SCRIPT_LIMIT = 300_000
"""Bytes of compressed script, all pages together."""


class Tags(HTMLParser):
    """The start tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def get(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    app = FastAPI(docs_url=None, redoc_url=None, responses={"4XX": RESPONSE})
    for routes in (generate, iterations):
        app.include_router(routes.router)
    add_pages(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_runs_nothing_but_the_servers_own_files(path: str) -> None:
    response = await get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    for tag, attributes in Tags(response.text).found:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not any(name == "style" or name.startswith("on") for name in attributes)


@pytest.mark.parametrize("path", PATHS)
async def test_every_link_of_a_page_resolves(path: str) -> None:
    tags = Tags((await get(path)).text).found
    targets = {a.get("src") or a.get("href") for _, a in tags} - {None}
    assert {link.path for link in NAV_LINKS} <= targets
    for target in targets:
        assert target is not None
        if target.startswith("#"):
            assert any(a.get("id") == target[1:] for _, a in tags), target
            continue
        assert (await get(target)).status_code == 200, target


async def test_the_current_page_is_marked() -> None:
    tags = Tags((await get("/ui/searches")).text).found
    marked = [attributes["href"] for _, attributes in tags if "aria-current" in attributes]
    assert marked == ["/ui/searches"]


async def test_an_id_in_the_address_is_text() -> None:
    response = await get('/ui/searches/"><b>x</b>')
    assert "<b>x" not in response.text


async def test_files_are_cached_and_revalidated() -> None:
    first = await get("/static/js/playground.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    second = await get("/static/js/playground.js", {"If-None-Match": first.headers["etag"]})
    assert second.status_code == 304


def test_the_pages_are_not_part_of_the_api() -> None:
    app = FastAPI()
    add_pages(app)
    assert app.openapi()["paths"] == {}


@pytest.mark.parametrize("vendor", [VENDOR, Path(__file__).parent / "vendor"])
def test_vendored_libraries_match_their_packages(vendor: Path) -> None:
    packages = json.loads((vendor / "packages.json").read_text())
    listed = {
        vendor / one["name"] / path: digest
        for one in packages
        for path, digest in one["files"].items()
    }
    stored = {path for path in vendor.rglob("*") if path.is_file()} - {vendor / "packages.json"}
    assert stored == set(listed)
    for path, digest in listed.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path
    assert all("LICENSE" in one["files"] for one in packages)


def test_our_scripts_never_make_markup_from_text() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|unsafe|eval\(")
    for path in ours("*.js"):
        assert not forbidden.search(path.read_text()), path


def test_the_files_name_no_other_host() -> None:
    for path in (*ours("*.js"), *ours("*.css"), *(HERE / "templates").iterdir()):
        assert not re.search(
            r"(https?:)?//[a-z]", re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
        ), path


def test_the_scripts_are_small() -> None:
    scripts = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".mjs"}]
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) < SCRIPT_LIMIT


def ours(pattern: str) -> list[Path]:
    return [path for path in STATIC.rglob(pattern) if VENDOR not in path.parents]
