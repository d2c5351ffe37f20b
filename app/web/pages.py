"""The web pages and their static files.

Pages contain no data: their scripts fetch it from the API, with the user's key where keys are
required. So serving a page needs neither a key nor the database.
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

# Some systems lack these types, and browsers run modules only with a JavaScript type.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("text/javascript", ".mjs")


class PageFiles(StaticFiles):
    """Files that a browser caches and revalidates, so that an upgrade takes effect at once."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or 304 where the browser's copy is current."""
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
    # Only lit-html's templates, which are constant, create markup from strings.
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
    """An entry of the navigation."""

    path: str
    title: str


NAV_LINKS = (
    NavLink("/", "Playground"),
    NavLink("/ui/searches", "Searches"),
    NavLink("/ui/iterations", "Iterations"),
    NavLink("/ui/checkpoints", "Checkpoints"),
    NavLink("/ui/overview", "Overview"),
)
"""The navigation, in its order."""

templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(
    links=NAV_LINKS,
    version=__version__,
    labels={
        "modes": {mode: label.title for mode, label in MODES.items()},
        "stop_reasons": STOP_REASONS,
        "stages": {stage: label.title for stage, label in STAGES.items()},
        "statuses": STATUSES,
    },
)


def add_pages(app: FastAPI) -> None:
    """Serve the pages at `/` and `/ui`, and their files at `/static`."""
    app.include_router(router)
    app.mount("/static", PageFiles(directory=HERE / "static"), name="static")


@router.get("/")
async def playground(request: Request) -> Response:
    """Start searches and follow them."""
    return _page(request, "playground.html", current="/", modes=MODES, options=options_form())


@router.get("/ui/searches")
async def searches(request: Request) -> Response:
    """Finished searches, with filters."""
    return _page(
        request, "searches.html", current="/ui/searches", modes=MODES, stop_reasons=STOP_REASONS
    )


@router.get("/ui/searches/{search_id}")
async def search(
    request: Request, search_id: Annotated[str, PathParameter(max_length=26)]
) -> Response:
    """One finished search with its tree; its script reports an id that does not exist."""
    return _page(request, "search.html", current="/ui/searches", search_id=search_id)


@router.get("/ui/iterations")
async def iterations(request: Request) -> Response:
    """Self-play iterations, and the form that starts one."""
    return _page(
        request,
        "iterations.html",
        current="/ui/iterations",
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
        current="/ui/iterations",
        iteration_id=iteration_id,
        stages={stage: label.explanation for stage, label in STAGES.items()},
    )


@router.get("/ui/checkpoints")
async def checkpoints(request: Request) -> Response:
    """Versions of each role, their metrics, and what is served."""
    return _page(request, "checkpoints.html", current="/ui/checkpoints")


@router.get("/ui/overview")
async def overview(request: Request) -> Response:
    """The state of the server."""
    return _page(request, "overview.html", current="/ui/overview")


@router.get("/docs")
async def reference(request: Request) -> Response:
    """The API reference, from the OpenAPI description."""
    return _page(
        request, "reference.html", current="/docs", api=reference_of(request.app.openapi())
    )


def _page(request: Request, template: str, current: str, **context: object) -> Response:
    return templates.TemplateResponse(
        request, template, {"current": current, **context}, headers=dict(PAGE_HEADERS)
    )
