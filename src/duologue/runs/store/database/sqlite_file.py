"""The file of an SQLite database: made for its owner only, and the same one for as long as it is open."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from duologue.config.files import OWNER_ONLY, make_private_folder
from duologue.errors import StoreError


class DatabaseFile:
    """The file that connections have open.

    A connection goes on with a file that was removed or replaced: nobody else would ever see what it writes. So its
    users ask in each transaction whether the file is still the one that they have opened.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def check(self) -> None:
        """Make sure that the file is still there; the first call says which one it is.

        Raises:
            StoreError: it was removed, or replaced by another one.
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116 -- on the path of every run, where a Path costs twice as much
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.path}: the file of the database was removed or moved away while it was open, and nothing is "
                "recorded any more. Put it back, or stop this program and start it with another database"
            ) from error
        identity = found.st_dev, found.st_ino
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            raise StoreError(
                f"{self.path}: the file of the database was replaced by another one while it was open, and nothing is "
                "recorded any more. Stop this program and start it again; it continues with what the new file holds"
            ) from OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def prepare_file(path: Path, *, create: bool) -> None:
    """Make the file of a database, for its owner only, in a folder that is for its owner only if it is new.

    Raises:
        StoreError: it cannot be made, is no ordinary file, has several names, or is not there and must not be made.
    """
    try:
        if not path.exists():
            if not create:
                raise StoreError(
                    f"{path}: there is no database. Make one with: duologue db init --store {shlex.quote(str(path))}; "
                    "'duologue runs submit' and 'duologue runs import' also do. Or correct the path"
                )
            if not path.parent.exists():
                make_private_folder(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY))
        elif not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(f"{path} is no ordinary file: expected the file of an SQLite database, or its folder")
        elif (names := path.stat().st_nlink) > 1:
            raise StoreError(
                f"{path} is one of {names} names of the same file (hard links). SQLite keeps a log beside each, "
                "so programs that use different ones would damage it. Give the file a name of its own: copy it, and "
                "move the copy here; a symbolic link may have another name"
            )
    except OSError as error:
        raise StoreError(
            f"{path}: the database cannot be made: {error.strerror or error}. Make its folder writable for this user, "
            "or name another place"
        ) from error
