"""How log lines look: for people, or one JSON object a line; both name request and search."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from app.observe.context import current_request

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

FIELDS = "spar_fields"
"""The attribute of a record that holds more fields: `log.info(..., extra={FIELDS: {...}})`."""

OURS = ("app", "worker", "training", "uvicorn")
"""Loggers that get the chosen level; what libraries say below a warning is not for operators."""


def configure_logs(style: LogFormat, level: LogLevel, process: str) -> None:
    """Have everything this process logs written to standard error, in this style.

    `process` is its name in every line: server or worker.
    """
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
        """The line, with the ids after it; a traceback follows on its own lines."""
        line = super().formatMessage(record)
        ids = " ".join(f"{name.removesuffix('_id')} {value}" for name, value in _ids().items())
        return f"{line} [{ids}]" if ids else line


class JsonLines(logging.Formatter):
    """One JSON object a line, whatever is in the message."""

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
