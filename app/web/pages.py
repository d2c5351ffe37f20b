"""The pages and their files.

A page is the same for everybody and holds no data: its scripts ask the API for it, with the
reader's own key where keys are asked for. So pages need no key, and no database to be shown.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, stat_result
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi import Path as PathParameter
from fastapi.templating import Jinja2Templates
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import __version__
from app.web.forms import (
    KINDS,
    MODES,
    POLICIES,
    PRESET_HINTS,
    STAGES,
    STATUSES,
    STOP_REASONS,
    options_form,
)
from app.web.reference import reference_of

# Some systems do not know these, and browsers run no module that is not called JavaScript.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("text/javascript", ".mjs")


class PageFiles(StaticFiles):
    """Files that a browser keeps but asks about again, so that an upgrade shows at once."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or 304 when the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    # Text can become markup nowhere but in the templates of lit-html, which are constant.
    "require-trusted-types-for 'script'",
    "trusted-types lit-html",
)

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""The headers of every page."""


HERE = Path(__file__).parent

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class NavLink:
    """A place in the navigation."""

    path: str
    title: str


NAV_LINKS = (
    NavLink("/", "Playground"),
    NavLink("/ui/searches", "Searches"),
    NavLink("/ui/iterations", "Iterations"),
    NavLink("/ui/checkpoints", "Checkpoints"),
    NavLink("/ui/overview", "Overview"),
)
"""What the navigation offers, in its order. Only pages that exist."""

templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(
    places=NAV_LINKS,
    version=__version__,
    words={
        "modes": {mode: words.title for mode, words in MODES.items()},
        "stop_reasons": STOP_REASONS,
        "stages": {stage: words.title for stage, words in STAGES.items()},
        "statuses": STATUSES,
    },
)


def add_pages(app: FastAPI) -> None:
    """Serve the pages at `/` and `/ui`, and their files at `/static`."""
    app.include_router(router)
    app.mount("/static", PageFiles(directory=HERE / "static"), name="static")


@router.get("/")
async def playground(request: Request) -> Response:
    """Start searches and watch them."""
    return _page(request, "playground.html", here="/", modes=MODES, options=options_form())


@router.get("/ui/searches")
async def searches(request: Request) -> Response:
    """Finished searches, with filters."""
    return _page(
        request, "searches.html", here="/ui/searches", modes=MODES, stop_reasons=STOP_REASONS
    )


@router.get("/ui/searches/{search_id}")
async def search(
    request: Request, search_id: Annotated[str, PathParameter(max_length=26)]
) -> Response:
    """One finished search with its tree. Whether it exists is for the API to say."""
    return _page(request, "search.html", here="/ui/searches", search_id=search_id)


@router.get("/ui/iterations")
async def iterations(request: Request) -> Response:
    """Self-play iterations, and the form that starts one."""
    return _page(
        request,
        "iterations.html",
        here="/ui/iterations",
        presets=PRESET_HINTS,
        kinds=KINDS,
        policies=POLICIES,
    )


@router.get("/ui/iterations/{iteration_id}")
async def iteration(
    request: Request, iteration_id: Annotated[str, PathParameter(max_length=26)]
) -> Response:
    """One iteration: its stages, its training, its data and the gate's decision."""
    return _page(
        request,
        "iteration.html",
        here="/ui/iterations",
        iteration_id=iteration_id,
        stages={stage: words.explanation for stage, words in STAGES.items()},
    )


@router.get("/ui/checkpoints")
async def checkpoints(request: Request) -> Response:
    """Versions of each role, what they measured, and what serves."""
    return _page(request, "checkpoints.html", here="/ui/checkpoints")


@router.get("/ui/overview")
async def overview(request: Request) -> Response:
    """The server at one glance."""
    return _page(request, "overview.html", here="/ui/overview")


@router.get("/docs")
async def reference(request: Request) -> Response:
    """The API in words, from its own description."""
    return _page(request, "reference.html", here="/docs", api=reference_of(request.app.openapi()))


def _page(request: Request, template: str, here: str, **context: object) -> Response:
    return templates.TemplateResponse(
        request, template, {"here": here, **context}, headers=dict(PAGE_HEADERS)
    )
