"""One error type per boundary, each carrying the HTTP status it is rendered with.

`app.api.problems` turns these into RFC 9457 problem details; nothing else renders errors.
"""

from typing import ClassVar


class SparError(Exception):
    """Base of all errors that reach users; the message is written for them."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after


class ConfigurationError(SparError):
    """The process cannot start as configured (port, model folder, disk, database)."""

    type = "configuration"
    title = "Cannot start as configured"


class InvalidRequest(SparError):
    """The request is well-formed, but cannot be processed."""

    status = 422
    type = "invalid_request"
    title = "Invalid request"


class PromptTooLong(InvalidRequest):
    """The prompt leaves no space for an answer in the model's context."""

    status = 413
    type = "prompt_too_long"
    title = "Prompt too long"


class NotFound(SparError):
    """The named resource does not exist."""

    status = 404
    type = "not_found"
    title = "Not found"


class Overloaded(SparError):
    """The bounded queue is full; try again after `retry_after` seconds."""

    status = 429
    type = "overloaded"
    title = "Too many requests"


class Unauthenticated(SparError):
    """The request requires a key, and has no valid one."""

    status = 401
    type = "unauthenticated"
    title = "A key is needed"


class Forbidden(SparError):
    """The key lacks the scope, or the request's origin is not allowed."""

    status = 403
    type = "forbidden"
    title = "Not allowed"


class RateLimited(SparError):
    """The key's rate limit is reached; try again after `retry_after` seconds."""

    status = 429
    type = "rate_limited"
    title = "The key's limit is reached"


class EngineError(SparError):
    """One model call failed; others may still work."""

    status = 502
    type = "engine_error"
    title = "The model call failed"


class EngineUnavailable(EngineError):
    """The engine is starting, restarting or gone; every call fails until it is back."""

    status = 503
    type = "engine_unavailable"
    title = "The engine is not available"


class DatabaseError(SparError):
    """The database cannot be read or written right now."""

    status = 503
    type = "database_unavailable"
    title = "The database is not available"


class ClientGone(SparError):
    """The client closed the connection; nginx logs the same status."""

    status = 499
    type = "client_gone"
    title = "Client closed the connection"


class Conflict(SparError):
    """The resource's state does not allow the operation."""

    status = 409
    type = "conflict"
    title = "Conflict"


class CheckpointRefused(SparError):
    """A checkpoint cannot be served: damaged files, or made for another model."""

    status = 409
    type = "checkpoint_refused"
    title = "The checkpoint cannot be served"


class LeaseLost(SparError):
    """Another process holds the lease now; this one must not write any more."""

    type = "lease_lost"
    title = "Another process has taken over"
