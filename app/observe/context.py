"""Which request, and which search of it, the code that runs just now works for."""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from ulid import ULID

_SANE_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request, shared by all tasks that work for it.

    `traceparent` is the W3C header it came with; `search_id` is set when its search begins, and
    `background` when it waits behind people.
    """

    id: str
    traceparent: str | None = None
    search_id: str | None = None
    background: bool = False


_current: ContextVar[RequestContext | None] = ContextVar("spar_request", default=None)


def current_request() -> RequestContext | None:
    """The request that is worked for, or None outside of any."""
    return _current.get()


def begin_request(sent_id: str | None, traceparent: str | None = None) -> RequestContext:
    """The context of a request that begins, for this task and those it starts.

    Its id is the one that was sent, if it is short and plain, else a new one.
    """
    sane = sent_id is not None and _SANE_ID.fullmatch(sent_id)
    context = RequestContext(sent_id if sane and sent_id else f"req-{ULID()}", traceparent)
    _current.set(context)
    return context


def note_search(search_id: str) -> None:
    """The request that is worked for runs this search."""
    if (context := _current.get()) is not None:
        context.search_id = search_id


def note_background() -> None:
    """The request that is worked for gives way to people."""
    if (context := _current.get()) is not None:
        context.background = True
