"""A temporary file for what a store cannot hold in memory. Nobody but its owner can find it."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref

from duologue.errors import ArtifactError


class Overflow:
    """Keeps pieces one after the other, each under its digest. Safe to use from several threads.

    Args:
        owner: the file is closed when it is gone.

    Attributes:
        places: where each piece begins, by its digest.

    Raises:
        ArtifactError: there is no room for a temporary file.
    """

    def __init__(self, owner: object) -> None:
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with its owner
        except OSError as error:
            raise ArtifactError(f"cannot keep data in a temporary file: {error.strerror or error}") from error
        weakref.finalize(owner, self._file.close)
        self._lock = threading.Lock()
        self.places: dict[str, int] = {}

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a piece.

        Raises:
            ArtifactError: the disk does not take it.
        """
        if sha256 in self.places:
            return
        try:
            with self._lock:
                place = self._file.seek(0, os.SEEK_END)
                view = memoryview(data)
                while view:  # a file without a buffer may take a part only
                    view = view[self._file.write(view) :]
        except OSError as error:
            raise ArtifactError(f"cannot keep {sha256} in a temporary file: {error.strerror or error}") from error
        self.places[sha256] = place

    def read(self, sha256: str, size: int) -> bytes:
        """A piece that is kept.

        Raises:
            ArtifactError: it cannot be read.
        """
        data = bytearray()
        try:
            with self._lock:
                self._file.seek(self.places[sha256])
                while len(data) < size and (piece := self._file.read(size - len(data))):  # it may give a part only
                    data += piece
        except OSError as error:
            raise ArtifactError(f"{sha256} cannot be read from a temporary file: {error.strerror or error}") from error
        return bytes(data)
