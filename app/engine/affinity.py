"""Which of several servers a call had better go to: the one that has read its beginning before.

A server keeps what it computed for the beginnings of prompts. Calls of one conversation, and so
of one search, share theirs, and are cheaper where an earlier one has been.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from app.domain.prompt import Message

_key: ContextVar[str | None] = ContextVar("affinity", default=None)


@contextmanager
def one_place_for(messages: Sequence[Message]) -> Iterator[None]:
    """Calls that this block makes, in tasks it starts too, belong to this conversation."""
    token = _key.set(opening(messages))
    try:
        yield
    finally:
        _key.reset(token)


def affinity_of(messages: Sequence[Message]) -> str:
    """What calls that belong together have in common: the block's conversation, else their own."""
    return _key.get() or opening(messages)


def opening(messages: Sequence[Message]) -> str:
    """A conversation up to what the user said first, which its later turns repeat."""
    said: list[str] = []
    for message in messages:
        said.append(f"{message.role}:{message.content}")
        if message.role == "user":
            break
    return "\n".join(said)
