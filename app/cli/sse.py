"""Reading server-sent events (the `text/event-stream` format of the HTML standard)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name (`message` where the server gave none) and its data."""

    name: str
    data: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in a byte stream, however it is cut into chunks.

    Comments and the fields `id` and `retry` are skipped, and so is an event that the end of
    the stream cut off.
    """
    name, data = "", list[str]()
    for line in _read_lines(chunks):
        if not line:
            if data:
                yield ServerEvent(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))


def _read_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by LF, CRLF or CR, and by nothing else (`str.splitlines` knows more ends)."""
    rest, after_cr, first = b"", False, True
    for chunk in filter(None, chunks):
        # The CR of a CRLF has already ended its line when the LF comes in the next chunk.
        fresh = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = fresh.endswith(b"\r")
        *whole, rest = _LINE_END.split(rest + fresh)
        for line in whole:
            text = line.decode(errors="replace")
            yield text.removeprefix("\ufeff") if first else text
            first = False
