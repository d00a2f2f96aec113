"""Bytes that belong to a run: pictures, sound, recordings. They are kept beside the journal, under a digest of them.

An *artifact* is known by the SHA-256 of its bytes, so the same picture in a thousand runs is kept once, keeping it
again is harmless, and whatever is read is what was kept. The port is :class:`ArtifactStore`; a folder and memory are
here, and a database or an object store can be another one. A journal names an artifact only after the store has it.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

from duologue.config.files import make_private_folder, open_private
from duologue.errors import ArtifactError
from duologue.frozen import frozen
from duologue.journal.overflow import Overflow

MEDIA = "media"
"""The folder of artifacts beside a journal."""
JOURNALS = "journals"
"""The folder of journals within that of the results of a suite; their artifacts lie beside it."""
UNKNOWN_TYPE = "application/octet-stream"
CHUNK = 1 << 20
"""Bytes that are read or written at once."""
MOST_IN_MEMORY = 1 << 20
"""Bytes of an artifact that is written piece by piece, from which on it is in a file also where no folder is given."""

MOST_HELD = 1 << 20
"""Bytes of all artifacts that are put into memory, from which on others are in a file also where no folder is given."""

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "image/avif": ".avif",
    "image/heic": ".heic",
    **dict.fromkeys(("audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave"), ".wav"),
    **dict.fromkeys(("audio/mp3", "audio/mpeg"), ".mp3"),
    **dict.fromkeys(("audio/mp4", "audio/m4a", "audio/x-m4a"), ".m4a"),
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    **dict.fromkeys(("audio/flac", "audio/x-flac"), ".flac"),
    "audio/webm": ".weba",
    **dict.fromkeys(("audio/pcm", "audio/l16"), ".pcm"),
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/mpeg": ".mpeg",
    "application/pdf": ".pdf",
}
"""What the name of a file ends with, so that other programs know what it is. Types that are not here, such as SVG,
HTML and XML, can hold programs: their files get a name that no browser runs."""
INERT = ".bin"

_DIGEST = re.compile(r"[0-9a-f]{64}")


def suffix_of(mime_type: str) -> str:
    """What the name of a file of that type ends with: ``.bin`` for every type that is not known to be harmless."""
    return _SUFFIXES.get(mime_type.partition(";")[0].strip().lower(), INERT)


def is_harmless(name: str) -> bool:
    """Whether a file of that name is of a type that holds no program, so that a page may link to it."""
    return Path(name).suffix.lower() in _SUFFIXES.values()


@frozen(slots=True)
class Artifact:
    """Where to find some bytes again.

    Attributes:
        sha256: of the bytes, as 64 hexadecimal digits.
        size: how many bytes.
        mime_type: what they are; the store does not look into them.
    """

    sha256: str
    size: int
    mime_type: str = UNKNOWN_TYPE

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.sha256):
            raise ArtifactError(f"found {self.sha256[:80]!r} as the digest of an artifact; expected 64 hex digits")

    @property
    def name(self) -> str:
        """The name of its file: the digest, and a suffix if the type is harmless."""
        return self.sha256 + suffix_of(self.mime_type)

    def __str__(self) -> str:
        return f"sha256:{self.sha256} ({self.mime_type}, {self.size:,} bytes)"


def artifact_of(data: bytes, mime_type: str = UNKNOWN_TYPE) -> Artifact:
    """The artifact that these bytes are."""
    return Artifact(sha256=sha256(data).hexdigest(), size=len(data), mime_type=mime_type)


class ArtifactWriter(Protocol):
    """Takes an artifact piece by piece."""

    async def write(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            ArtifactError: they cannot be kept.
        """
        ...

    @property
    def artifact(self) -> Artifact:
        """What was kept. Only after the ``async with`` block has ended."""
        ...


class ArtifactStore(Protocol):
    """Keeps artifacts. What it has taken can be read from then on, also after the process was killed."""

    async def put(self, data: bytes, *, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes; harmless if it has them already.

        Raises:
            ArtifactError: they cannot be kept.
        """
        ...

    def writer(self, *, mime_type: str = UNKNOWN_TYPE) -> AbstractAsyncContextManager[ArtifactWriter]:
        """Keep what is written in an ``async with`` block. Nothing is kept if the block raises.

        Raises:
            ArtifactError: it cannot be kept.
        """
        ...

    async def read(self, artifact: Artifact) -> bytes:
        """All bytes of an artifact.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        ...

    def stream(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """The bytes of an artifact, piece by piece. That it is damaged may be known only at its end.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        ...

    async def has(self, artifact: Artifact) -> bool:
        """Whether the store has it. Its bytes are not looked at."""
        ...


class MemoryArtifacts:
    """Keeps artifacts in memory: for runs that are not recorded, and for tests."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._held_size = 0
        self._files: dict[str, Path] = {}  # what is too large for memory, until this store is gone
        self._overflow: Overflow | None = None

    async def put(self, data: bytes, *, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes: in a temporary file once there are more than :data:`MOST_HELD` in all."""
        artifact = artifact_of(data, mime_type)
        if artifact.sha256 in self._held:
            return artifact
        if self._held_size + len(data) > MOST_HELD:
            self._overflow = self._overflow or Overflow(self)
            self._overflow.put(artifact.sha256, data)
            return artifact
        self._held[artifact.sha256] = bytes(data)
        self._held_size += len(data)
        return artifact

    @asynccontextmanager
    async def writer(self, *, mime_type: str = UNKNOWN_TYPE) -> AsyncGenerator[ArtifactWriter]:
        """Keep what is written in the block: in a temporary file once it is larger than :data:`MOST_IN_MEMORY`."""
        writer = _MemoryWriter(mime_type)
        try:
            yield writer
        except BaseException:
            writer.discard()
            raise
        if writer.path is None:
            writer.done = await self.put(b"".join(writer.pieces), mime_type=mime_type)
            return
        writer.done = found = writer.counted()
        if found.sha256 in self._files:
            writer.discard()
            return
        weakref.finalize(self, writer.discard)
        self._files[found.sha256] = writer.path

    async def read(self, artifact: Artifact) -> bytes:
        """All bytes."""
        return self.load(artifact)

    async def stream(self, artifact: Artifact) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece."""
        with self.open(artifact) as file:
            while piece := _read(file, artifact, CHUNK):
                yield piece

    async def has(self, artifact: Artifact) -> bool:
        """Whether it is here."""
        held = artifact.sha256 in self._held or artifact.sha256 in self._files
        return held or (self._overflow is not None and artifact.sha256 in self._overflow.places)

    def load(self, artifact: Artifact) -> bytes:
        """All bytes, at once."""
        with self.open(artifact) as file:
            return _read(file, artifact, artifact.size + 1)

    def open(self, artifact: Artifact) -> BinaryIO:
        """The bytes, to be read in any part."""
        if (data := self._held.get(artifact.sha256)) is not None:
            return io.BytesIO(data)
        if (path := self._files.get(artifact.sha256)) is not None:
            return path.open("rb")
        if self._overflow is not None and artifact.sha256 in self._overflow.places:
            return io.BytesIO(self._overflow.read(artifact.sha256, artifact.size))
        raise ArtifactError(f"the artifact {artifact} is not in memory")


class _MemoryWriter:
    def __init__(self, mime_type: str) -> None:
        self.pieces: list[bytes] = []
        self.path: Path | None = None
        self.done: Artifact | None = None
        self._file: BinaryIO | None = None
        self._mime_type = mime_type
        self._digest = sha256()
        self._size = 0

    async def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        if self._file is None and self._size <= MOST_IN_MEMORY:
            self.pieces.append(bytes(data))
            return
        try:
            if self._file is None:
                descriptor, path = tempfile.mkstemp(prefix="duologue-")
                self.path, self._file = Path(path), os.fdopen(descriptor, "wb")
                self._file.writelines(self.pieces)
                self.pieces = []
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def counted(self) -> Artifact:
        """What is in the file, all of which is there now."""
        assert self._file is not None
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error
        return Artifact(sha256=self._digest.hexdigest(), size=self._size, mime_type=self._mime_type)

    def discard(self) -> None:
        """Leave no file behind."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            if self.path is not None:
                self.path.unlink()

    def _failed(self, error: OSError) -> ArtifactError:
        return ArtifactError(f"cannot keep {self._mime_type} data: {error.strerror or error}")

    @property
    def artifact(self) -> Artifact:
        return _finished(self.done)


class FolderArtifacts:
    """Keeps each artifact as a file of a folder, which is created, for its owner only, with the first of them.

    Names of files are made from digests and never from what somebody said, links are not followed, and a file whose
    bytes are not those of its digest is never handed out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(self, data: bytes, *, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes."""
        return self.save(data, mime_type)

    def save(self, data: bytes, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes, at once."""
        artifact = artifact_of(data, mime_type)
        if self._size(artifact) != artifact.size:
            writer = self._begin(mime_type)
            try:
                writer.add(data)
                writer.finish()
            except BaseException:
                writer.discard()
                raise
        return artifact

    @asynccontextmanager
    async def writer(self, *, mime_type: str = UNKNOWN_TYPE) -> AsyncGenerator[ArtifactWriter]:
        """Keep what is written in the block."""
        writer = self._begin(mime_type)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.discard()
            raise

    async def read(self, artifact: Artifact) -> bytes:
        """All bytes."""
        return self.load(artifact)

    def load(self, artifact: Artifact) -> bytes:
        """All bytes, at once."""
        with self.open(artifact) as file:
            data = _read(file, artifact, artifact.size + 1)
        if sha256(data).hexdigest() != artifact.sha256:
            raise self._damaged(artifact)
        return data

    async def stream(self, artifact: Artifact) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece."""
        digest = sha256()
        with self.open(artifact) as file:
            while piece := _read(file, artifact, CHUNK):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != artifact.sha256:
            raise self._damaged(artifact)

    async def has(self, artifact: Artifact) -> bool:
        """Whether its file is there, as long as it should be."""
        return self._size(artifact) == artifact.size

    def path_of(self, artifact: Artifact) -> Path:
        """The file of an artifact, whether it is there or not."""
        return self.folder / artifact.name

    def _size(self, artifact: Artifact) -> int | None:
        """Bytes of its file; None if there is none."""
        try:
            status = os.lstat(self.path_of(artifact))
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _begin(self, mime_type: str) -> _FileWriter:
        try:
            make_private_folder(self.folder)
            return _FileWriter(self.folder, mime_type)
        except OSError as error:
            raise ArtifactError(f"cannot keep {mime_type} data in {self.folder}: {error.strerror or error}") from error

    def open(self, artifact: Artifact) -> BinaryIO:
        """Its file, to be read in any part; whether its content is damaged is not looked at."""
        path = self.path_of(artifact)
        # Without waiting for whoever writes into what is no file, and without following a link.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            file = os.fdopen(os.open(path, flags), "rb")
        except FileNotFoundError:
            raise ArtifactError(
                f"the artifact {artifact} is missing: there is no file {path}; copy it there together with the journal"
            ) from None
        except OSError as error:
            raise ArtifactError(f"the artifact {path} cannot be read: {error.strerror or error}") from error
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != artifact.size:
            file.close()
            raise self._damaged(artifact)
        return file

    def _damaged(self, artifact: Artifact) -> ArtifactError:
        return ArtifactError(
            f"the artifact {self.path_of(artifact)} is damaged: its content is not that of {artifact}; restore the file"
        )


def _read(file: BinaryIO, artifact: Artifact, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise ArtifactError(f"the artifact {artifact} cannot be read: {error.strerror or error}") from error


class _FileWriter:
    """A file without its name, until all of it is there."""

    def __init__(self, folder: Path, mime_type: str) -> None:
        self._temporary = folder / f".{os.urandom(8).hex()}.tmp"
        self._file = open(self._temporary, "xb", opener=open_private)  # noqa: SIM115 - Path.open has no opener
        self._digest = sha256()
        self._size = 0
        self._mime_type = mime_type
        self._done: Artifact | None = None

    async def write(self, data: bytes) -> None:
        self.add(data)

    def add(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error
        self._digest.update(data)
        self._size += len(data)

    def finish(self) -> None:
        """Give the file its name: it takes the place of one of the same name, whose bytes are the same or damaged."""
        found = Artifact(sha256=self._digest.hexdigest(), size=self._size, mime_type=self._mime_type)
        try:
            self._file.close()
            self._temporary.replace(self._temporary.with_name(found.name))
        except OSError as error:
            raise self._failed(error) from error
        self._done = found

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink()

    @property
    def artifact(self) -> Artifact:
        return _finished(self._done)

    def _failed(self, error: OSError) -> ArtifactError:
        place = self._temporary.parent
        return ArtifactError(f"cannot keep {self._mime_type} data in {place}: {error.strerror or error}")


def _finished(artifact: Artifact | None) -> Artifact:
    if artifact is None:
        raise ArtifactError("the artifact is not complete yet; ask for it after the 'async with' block has ended")
    return artifact


def folders_beside(journal: Path) -> list[Path]:
    """Where the artifacts of a journal may lie: in ``media`` beside it, or beside the ``journals`` that it lies in."""
    folder = journal.absolute().parent
    return [folder / MEDIA, *([folder.parent / MEDIA] if folder.name == JOURNALS else [])]


def load_beside(journal: Path, artifact: Artifact) -> bytes:
    """The bytes of an artifact of a journal file.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    return _store_beside(journal, artifact).load(artifact)


def open_beside(journal: Path, artifact: Artifact) -> BinaryIO:
    """An artifact of a journal file, to be read in any part.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    return _store_beside(journal, artifact).open(artifact)


def _store_beside(journal: Path, artifact: Artifact) -> FolderArtifacts:
    stores = [FolderArtifacts(folder) for folder in folders_beside(journal)]
    return next((store for store in stores if store.path_of(artifact).exists()), stores[0])
