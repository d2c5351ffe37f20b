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
_DAMAGED = "the file is not a usable SQLite database; name another file or restore a backup"
_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: Trouble("the disk is full; free some space"),
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


def explain(error: DBAPIError | TimeoutError) -> Trouble:
    """What an error of the database or its driver means."""
    if not isinstance(error, DBAPIError):
        return _BUSY
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:
        lost = isinstance(error, OperationalError | InterfaceError)
        return Trouble(str(error.orig), transient=lost or error.connection_invalidated)
    primary = code & 0xFF  # the higher bits only say where inside SQLite it happened
    return _SQLITE.get(primary, Trouble(str(error.orig)))
