"""The pages and their files.

A page is the same for everybody and holds no data: its scripts ask the API for it, with the
reader's own key where keys are asked for. So pages need no key, and no database to be shown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi import Path as PathParameter
from fastapi.templating import Jinja2Templates

from app import __version__
from app.web.files import PageFiles
from app.web.forms import options_form
from app.web.headers import PAGE_HEADERS
from app.web.words import MODES, STOP_REASONS

HERE = Path(__file__).parent

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the navigation."""

    path: str
    title: str


PLACES = (
    Place("/", "Playground"),
    Place("/ui/searches", "Searches"),
)
"""What the navigation offers, in its order. Only pages that exist."""

templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(
    places=PLACES,
    version=__version__,
    words={
        "modes": {mode: words.title for mode, words in MODES.items()},
        "stop_reasons": STOP_REASONS,
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


def _page(request: Request, template: str, here: str, **context: object) -> Response:
    return templates.TemplateResponse(
        request, template, {"here": here, **context}, headers=dict(PAGE_HEADERS)
    )
