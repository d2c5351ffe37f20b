"""Log formats, text and JSON lines, both with the ids of request and search."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ulid import ULID

_SANE_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request, shared by all of its tasks.

    `traceparent` is its W3C trace context header. `search_id` is set when its search starts,
    `background` when it enters the background queue.
    """

    id: str
    traceparent: str | None = None
    search_id: str | None = None
    background: bool = False


_current: ContextVar[RequestContext | None] = ContextVar("spar_request", default=None)


def current_request() -> RequestContext | None:
    """The request of the current task, or None."""
    return _current.get()


def begin_request(sent_id: str | None, traceparent: str | None = None) -> RequestContext:
    """Set the context of a new request, for this task and those it starts.

    Its id is the client's, if that is short and printable, else a new one.
    """
    sane = sent_id is not None and _SANE_ID.fullmatch(sent_id)
    context = RequestContext(sent_id if sane and sent_id else f"req-{ULID()}", traceparent)
    _current.set(context)
    return context


def note_search(search_id: str) -> None:
    """Record the search of the current request."""
    if (context := _current.get()) is not None:
        context.search_id = search_id


def note_background() -> None:
    """Record that the current request is a background call."""
    if (context := _current.get()) is not None:
        context.background = True


LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

FIELDS = "spar_fields"
"""Attribute of a record with further fields: `log.info(..., extra={FIELDS: {...}})`."""

OURS = ("app", "worker", "training", "uvicorn")
"""Loggers that get the configured level; other libraries log warnings and errors only."""


def configure_logs(style: LogFormat, level: LogLevel, process: str) -> None:
    """Log everything to standard error, in this style; `process` is server or worker."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if style == "json" else TextLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level.upper())


class TextLines(logging.Formatter):
    """`12:00:00 WARNING server app.search.run: what happened [request ... search ...]`."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process} %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, then the ids; a traceback follows on its own lines."""
        line = super().formatMessage(record)
        ids = " ".join(f"{name.removesuffix('_id')} {value}" for name, value in _ids().items())
        return f"{line} [{ids}]" if ids else line


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time in UTC, level, process, logger, message, ids, fields."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= _ids() | getattr(record, FIELDS, {})
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def _ids() -> dict[str, str]:
    context = current_request()
    if context is None:
        return {}
    ids = {"request_id": context.id}
    return ids if context.search_id is None else ids | {"search_id": context.search_id}
