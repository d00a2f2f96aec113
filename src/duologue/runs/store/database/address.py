"""Where a database is: a URL, a folder or a file, in the three ways in which one can be named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from duologue.config.files import project_folder
from duologue.config.own_variables import OWN_VARIABLES
from duologue.config.redaction import remember_url
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.arguments import require
from duologue.secret_values import HIDDEN

DATABASE_URL = "DUOLOGUE_DATABASE_URL"
"""The environment variable that names the database."""
FOLDER = ".duologue"
"""Of a project, where its database is unless somebody says otherwise."""
FILE = "duologue.db"
_POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


@frozen
class DatabaseAddress:
    """Where a database is.

    Attributes:
        path: of the file of an SQLite database; None for PostgreSQL.
        url: of a PostgreSQL database, as asyncpg takes it, password included; '' for SQLite.
    """

    path: Path | None = None
    url: str = ""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The kind of database."""
        return "sqlite" if self.path is not None else "postgresql"

    def __str__(self) -> str:
        """As errors and logs name it: without a password."""
        return str(self.path) if self.path is not None else _without_secrets(self.url)

    __repr__ = __str__


def address_of(where: str | Path | None = None, environment: Mapping[str, str] = OWN_VARIABLES) -> DatabaseAddress:
    """The database of that name.

    Args:
        where: a URL (``postgresql://user@host/name``, ``sqlite:///runs.db``), a folder, which holds or will hold
            ``duologue.db``, or a file that ends in ``.db``, ``.sqlite`` or ``.sqlite3``. ``${NAME}`` stands for a
            variable. None for what ``DUOLOGUE_DATABASE_URL`` names, else the folder ``.duologue`` of the project.
        environment: variables.

    Raises:
        ConfigurationError: it names no database.
    """
    if where is None:
        where = environment.get(DATABASE_URL) or project_folder(Path.cwd()) / FOLDER
    require("the database", where, str | Path)
    if not str(where).strip():
        raise ConfigurationError(
            f"the database is {where!r}; expected the text of a URL, or the path of a folder or of a file that ends in "
            ".db. To use the project's own, name none"
        )
    text = str(where)
    if "${" in text:
        text = (expand_url if "://" in text else expand)(text, environment)
    scheme, colon, rest = text.partition("://")
    if isinstance(where, str) and colon:
        if scheme in _POSTGRES:
            return _postgres(text)
        if scheme in {"sqlite", "sqlite+aiosqlite"} and rest.startswith("/") and rest.strip("/"):
            return DatabaseAddress(path=_real_file(_absolute(Path(rest[1:]))))
        remember_url(text)
        raise ConfigurationError(
            f"the database {_without_secrets(text)}: expected postgresql://user@host/name, sqlite:///path/to/file.db, "
            "or the path of a folder or of a file that ends in .db"
        )
    path = _absolute(Path(text))
    if path.is_dir() or (path.suffix not in _SUFFIXES and not path.exists()):
        path /= FILE
    return DatabaseAddress(path=_real_file(path))


def _absolute(path: Path) -> Path:
    """Work goes on if the program changes its folder."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 -- links in it stay links


def _real_file(path: Path) -> Path:
    """The file that a link leads to: SQLite keeps its log beside that one, and so are media, whatever the link is."""
    return path.resolve() if path.is_symlink() else path


def _postgres(text: str) -> DatabaseAddress:
    remember_url(text)
    if "#" in text:
        raise ConfigurationError(
            f"the database {_without_secrets(text)}: '#' begins the fragment of a URL; in a password write %23"
        )
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"the database {_without_secrets(text)} is no URL: {error}") from None
    if not parts.path.strip("/"):
        raise ConfigurationError(f"the database {_without_secrets(text)} has no name: expected postgresql://host/name")
    return DatabaseAddress(url=urlunsplit(("postgresql", parts.netloc, parts.path, parts.query, "")))


def _without_secrets(url: str) -> str:
    """A URL without its password, and without the values of its query."""
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{scheme}://{name}{f':{HIDDEN}' if colon else ''}{at}{host}"
    address, mark, query = shown.partition("?")
    if not mark:
        return shown
    values = [(name, value if name in {"host", "port", "sslmode"} else HIDDEN) for name, value in parse_qsl(query)]
    return f"{address}?{urlencode(values, safe='*/')}"
