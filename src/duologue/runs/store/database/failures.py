"""What a driver's error means: whether it may pass, and what to tell.

A database that is restarted, full of connections or cut off comes back, so whoever waits loses nothing. A full disk, a
wrong password or a file of another kind needs somebody who does something.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Iterator

from duologue.config.redaction import redacted
from duologue.errors import StoreConflictError, StoreError, StoreUnavailableError
from duologue.runs.store.database.address import DatabaseAddress

_AWAY = (
    "08",  # connection exceptions
    "40",  # a transaction that was rolled back for others: serialization, deadlock
    "53300",  # too many connections
    "55P03",  # a lock that was not to be had in time
    "57014",  # a statement that took too long
    "57P",  # the server shuts down, has crashed, or starts
    "25P03",  # a transaction that was left open for too long
)
"""Beginnings of SQLSTATE codes of what passes: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_FORBIDDEN = ("25006", "42501")
_NO_SUCH_DATABASE, _DISK_FULL = "3D000", "53100"
_LOGIN_REFUSED, _CONFLICT = "28", "23"
_OF_THE_STORE = ("25006", "28", "3D", "42501", "53", "58", "XX001", "XX002")
"""Beginnings of SQLSTATE codes of a server that writes nothing, whatever it is given: its disk, rights, files."""
_OF_THE_FILE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT)


def passes(error: BaseException) -> bool:
    """Whether the same may succeed later, without anybody doing anything but waiting."""
    for one in _chain(error):
        if isinstance(one, sqlite3.Error):
            return _sqlite_code(one) in _BUSY
        if state := _state(one):
            return state.startswith(_AWAY)
        if isinstance(one, (TimeoutError, asyncio.TimeoutError, asyncio.IncompleteReadError, EOFError)):
            return True
        if isinstance(one, OSError):
            return one.errno not in {errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS}
        if _lost_connection(one):
            return True
    return False


def is_of_the_store(error: BaseException) -> bool:
    """Whether the database could not write anything, so that what it was given is not to blame."""
    if isinstance(error, StoreUnavailableError) or passes(error):
        return True
    for one in _chain(error):
        if isinstance(one, sqlite3.Error):
            return _sqlite_code(one) in _OF_THE_FILE
        if state := _state(one):
            return state.startswith(_OF_THE_STORE)
        if isinstance(one, OSError):
            return True
    return False


def cannot_be_reached(error: BaseException) -> bool:
    """Whether what passes is a database that is not there, and not one that is busy with what others do."""
    for one in _chain(error):
        if isinstance(one, sqlite3.Error):
            return False
        if state := _state(one):
            return state.startswith(("08", "53300", "57P"))
    return True


def store_error(error: BaseException, address: DatabaseAddress, doing: str) -> StoreError:
    """The error of this package that says what happened. Secrets are left out.

    Args:
        error: of a driver, or of SQLAlchemy with that of the driver inside.
        address: of the database.
        doing: what was tried, such as "finishing runs".
    """
    if isinstance(error, StoreError):
        return error
    kind, advice = _told(error, address)
    cause = _first(error)
    text = redacted(" ".join(str(cause).split())) or type(cause).__name__
    made = kind(f"{address}: {doing}: {text.rstrip('.')}{f'. {advice}' if advice else ''}")
    made.__cause__ = error
    return made


def _told(error: BaseException, address: DatabaseAddress) -> tuple[type[StoreError], str]:
    """The class of an error, and what can be done about it."""
    if passes(error):
        return StoreUnavailableError, ""
    for one in _chain(error):
        if isinstance(one, sqlite3.Error):
            return _told_by_sqlite(one, address)
        if state := _state(one):
            return _told_by_postgres(state)
        if isinstance(one, OSError) and one.errno == errno.ENOSPC:
            return StoreError, "Free some space; nothing that was recorded is lost"
    return StoreError, ""


def _told_by_sqlite(error: sqlite3.Error, address: DatabaseAddress) -> tuple[type[StoreError], str]:
    folder = address.path.parent if address.path is not None else ""
    match _sqlite_code(error):
        case sqlite3.SQLITE_FULL:
            advice = f"The disk of {folder} is full. Free some space; nothing that was recorded is lost"
        case sqlite3.SQLITE_IOERR:
            advice = (
                f"The system could not read or write a file in {folder}: look for a failing disk or mount, a quota, or "
                "a limit of this process (ulimit -f). What was recorded before is kept"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            advice = (
                f"The file and its folder {folder} must be writable for this user, because SQLite keeps a log "
                "beside the file. Make them writable, or name another place"
            )
        case sqlite3.SQLITE_NOTADB:
            advice = "The file is no SQLite database. Move it away, or name another place"
        case sqlite3.SQLITE_CORRUPT:
            advice = "The file is damaged. Restore it from a backup"
        case sqlite3.SQLITE_CONSTRAINT:
            return StoreConflictError, ""
        case _:
            advice = ""
    return StoreError, advice


def _told_by_postgres(state: str) -> tuple[type[StoreError], str]:
    if state == _NO_SUCH_DATABASE:
        return StoreError, "Create it with createdb, or name another one"
    if state == _DISK_FULL:
        return StoreError, "The disk of the server is full. Free some space; nothing that was recorded is lost"
    if state.startswith(_LOGIN_REFUSED):
        return StoreError, "The server refused the user or the password of the URL"
    if state in _FORBIDDEN:
        return StoreError, "The user of the URL must be allowed to read and write these tables"
    if state.startswith(_CONFLICT):
        return StoreConflictError, ""
    return StoreError, ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was made of: SQLAlchemy wraps those of drivers."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = getattr(one, "orig", None) or one.__cause__


def _first(error: BaseException) -> BaseException:
    """The error of the driver itself, without the SQL and its values, which may be of any size."""
    inner = [one for one in _chain(error) if isinstance(one, (sqlite3.Error, OSError)) or _state(one)]
    return inner[-1] if inner else list(_chain(error))[-1]


def _state(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _sqlite_code(error: sqlite3.Error) -> int:
    """The primary code: extended ones have more in their higher bytes."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code & 0xFF
    return sqlite3.SQLITE_BUSY if "locked" in str(error) else sqlite3.SQLITE_ERROR


def _lost_connection(error: BaseException) -> bool:
    """Of asyncpg, which calls the use of a connection that is gone an error of its interface."""
    if getattr(error, "connection_invalidated", False):
        return True
    return type(error).__name__ in {"InterfaceError", "ConnectionDoesNotExistError", "InternalClientError"} and any(
        word in str(error) for word in ("connection is closed", "connection was closed", "another operation")
    )
