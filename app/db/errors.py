"""What a database error means for people: one place, in plain words."""

import sqlite3
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

DriverError = (DBAPIError, TimeoutError)
"""What a database or its driver raises; other SQLAlchemy errors are mistakes in our code."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong and what to do about it; `transient` if trying again may help."""

    message: str
    transient: bool = False


_LOCKED = Trouble("it is locked by another process; try again in a moment", transient=True)
_BUSY = Trouble("all connections to it are in use; try again in a moment", transient=True)
_FULL = Trouble("the disk is full; free some space", transient=True)
_DAMAGED = "the file is not a usable SQLite database; name another file or restore a backup"
_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: Trouble("reading or writing the file failed; check the disk"),
    sqlite3.SQLITE_READONLY: Trouble(
        "it is read-only; make the file and its folder writable for this user"
    ),
    sqlite3.SQLITE_CANTOPEN: Trouble(
        "the file cannot be opened; check that its folder exists and that this user may write there"
    ),
    sqlite3.SQLITE_NOTADB: Trouble(_DAMAGED),
    sqlite3.SQLITE_CORRUPT: Trouble(_DAMAGED),
}
_STOPPED = Trouble("the PostgreSQL server is stopping or starting", transient=True)
_NO_DATABASE = Trouble(
    "PostgreSQL has no database of that name; create it (`createdb NAME`) or name another"
)
_NO_LOGIN = Trouble("PostgreSQL refuses the user or the password; check both in the URL")
_POSTGRESQL = {
    "25006": Trouble(
        "this PostgreSQL server only takes reads; it may be a standby", transient=True
    ),
    "25P03": Trouble("PostgreSQL ended a transaction that stood still for long", transient=True),
    "28000": _NO_LOGIN,
    "28P01": _NO_LOGIN,
    "3D000": _NO_DATABASE,
    "40001": _LOCKED,
    "40P01": _LOCKED,
    "42501": Trouble("PostgreSQL does not let this user do that; grant it the rights it needs"),
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
    "Is the server running": Trouble("no PostgreSQL server answers there", transient=True),
}
"""By words: before there is a connection, libpq gives no code."""


def explain(error: DBAPIError | TimeoutError) -> Trouble:
    """What an error of the database or its driver means."""
    if not isinstance(error, DBAPIError):
        return _BUSY
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF  # the higher bits only say where inside SQLite it happened
        return _SQLITE.get(primary, Trouble(str(error.orig)))
    return _POSTGRESQL.get(getattr(error.orig, "sqlstate", None) or "") or _by_words(error)


def _by_words(error: DBAPIError) -> Trouble:
    words = "; ".join(line.strip() for line in str(error.orig).splitlines()).rstrip(".")
    for known, trouble in _NOT_CONNECTED.items():
        if known in words:
            return trouble
    lost = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return Trouble(words, transient=lost)
