"""Translates errors of SQLite and PostgreSQL into messages with a remedy."""

import sqlite3
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

DriverError = (DBAPIError, TimeoutError)
"""What a database or its driver raises; other SQLAlchemy errors are bugs of this program."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The cause of an error and its remedy; `transient` if a retry may succeed."""

    message: str
    transient: bool = False


_LOCKED = Failure("it is locked by another process; try again in a moment", transient=True)
_BUSY = Failure("all connections to it are in use; try again in a moment", transient=True)
_FULL = Failure("the disk is full; free some space", transient=True)
_DAMAGED = "the file is not a usable SQLite database; name another file or restore a backup"
_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: Failure("reading or writing the file failed; check the disk"),
    sqlite3.SQLITE_READONLY: Failure(
        "it is read-only; make the file and its folder writable for this user"
    ),
    sqlite3.SQLITE_CANTOPEN: Failure(
        "the file cannot be opened; check that its folder exists and that this user may write there"
    ),
    sqlite3.SQLITE_NOTADB: Failure(_DAMAGED),
    sqlite3.SQLITE_CORRUPT: Failure(_DAMAGED),
}
_STOPPED = Failure("the PostgreSQL server is stopping or starting", transient=True)
_NO_DATABASE = Failure(
    "PostgreSQL has no database of that name; create it (`createdb NAME`) or name another"
)
_NO_LOGIN = Failure("PostgreSQL refuses the user or the password; check both in the URL")
_POSTGRESQL = {
    "25006": Failure(
        "this PostgreSQL server only takes reads; it may be a standby", transient=True
    ),
    "25P03": Failure("PostgreSQL ended a transaction that was idle for too long", transient=True),
    "28000": _NO_LOGIN,
    "28P01": _NO_LOGIN,
    "3D000": _NO_DATABASE,
    "40001": _LOCKED,
    "40P01": _LOCKED,
    "42501": Failure("PostgreSQL does not let this user do that; grant it the rights it needs"),
    "53100": _FULL,
    "53300": _BUSY,
    "55P03": _LOCKED,
    "57P01": _STOPPED,
    "57P02": _STOPPED,
    "57P03": _STOPPED,
}
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""
_NOT_CONNECTED = {
    "password authentication failed": _NO_LOGIN,
    "no password supplied": _NO_LOGIN,
    "no pg_hba.conf entry": _NO_LOGIN,
    'database "': _NO_DATABASE,
    'role "': _NO_LOGIN,
    "too many clients": _BUSY,
    "starting up": _STOPPED,
    "shutting down": _STOPPED,
    "in recovery mode": _STOPPED,
    "Is the server running": Failure("no PostgreSQL server answers there", transient=True),
}
"""By text: before a connection exists, libpq gives no SQLSTATE."""


def explain(error: DBAPIError | TimeoutError) -> Failure:
    """The cause of an error of the database or its driver."""
    if not isinstance(error, DBAPIError):
        return _BUSY
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF  # the higher bits are SQLite's extended code
        return _SQLITE.get(primary, Failure(str(error.orig)))
    return _POSTGRESQL.get(getattr(error.orig, "sqlstate", None) or "") or _by_text(error)


def _by_text(error: DBAPIError) -> Failure:
    words = "; ".join(line.strip() for line in str(error.orig).splitlines()).rstrip(".")
    for known, failure in _NOT_CONNECTED.items():
        if known in words:
            return failure
    lost = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return Failure(words, transient=lost)
