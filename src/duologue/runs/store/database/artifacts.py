"""Where the bytes of stored runs are: in a folder beside the database, or in an object store through fsspec.

Rows of ``artifacts`` say which run has which bytes; the same bytes are kept once. Deleting a run deletes its rows.
Bytes that nothing names any more stay until :func:`remove_unused` is called, which only ``duologue db vacuum`` does.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, select

from duologue.config.files import project_folder
from duologue.config.own_variables import OWN_VARIABLES
from duologue.config.patterns import late
from duologue.config.redaction import remember_url
from duologue.errors import ArtifactError, ConfigurationError, MissingExtraError
from duologue.frozen import frozen
from duologue.journal.artifacts import (
    CHUNK,
    MEDIA,
    UNKNOWN_TYPE,
    Artifact,
    ArtifactStore,
    ArtifactWriter,
    FolderArtifacts,
    artifact_of,
)
from duologue.runs.store.database.address import FOLDER, DatabaseAddress
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import artifacts, executions, runs
from duologue.suites.results.run import MediaResult, RunResult
from duologue.transcripts.media_facts import Part, data_of

T = TypeVar("T")

ARTIFACTS_URL = "DUOLOGUE_ARTIFACTS"
"""The environment variable that names where artifacts are: a folder, or a URL that fsspec knows, such as ``s3://…``."""
IN_FOLDER = "artifacts"
"""The folder of artifacts beside a database."""
GRACE = 3600.0
"""Seconds that bytes which nothing names are kept: they may belong to a run that is about to name them."""
FILES = "files"
"""The field of an execution's data that names files of its results folder which are artifacts: an object by path."""

_NAME = late(r"(?P<sha256>[0-9a-f]{64})\.[a-z0-9]{1,8}")
_TEMPORARY = late(r"\.[0-9a-f]{16}\.tmp")
_RECORDING = late(r"(?P<run>[\w-]{1,80})-[0-9a-f]{8}\.wav")
"""What is being recorded of a run, or was when it was killed: :class:`duologue.voice.track.RunTrack` makes it."""
_MANY = 500
_MOST_OF_AN_ID = 80


@frozen(slots=True)
class Stored:
    """A file of a store.

    Attributes:
        name: of it.
        sha256: digest of its bytes; '' for the rest of a write that was cut off, and for a recording.
        size: bytes.
        modified: seconds since 1970.
        recorded: of which run it is a recording that was not finished: the id with ``-`` for all that is no letter,
            digit, ``_`` or ``-``, and at most 80 characters of it; '' for everything else.
    """

    name: str
    sha256: str
    size: int
    modified: float
    recorded: str = ""


class RemovableArtifacts(ArtifactStore, Protocol):
    """A store that says what it has, and gives bytes up."""

    def stored(self) -> Iterator[Stored]:
        """Everything that it has. Blocks: to be called in a thread of its own."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; harmless if it is gone. Blocks."""
        ...


class ArtifactFolder(FolderArtifacts):
    """A folder of artifacts that can be cleaned up."""

    def save(self, data: bytes, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes. If they are here already, they are as new, so that nobody removes them right now."""
        with suppress(OSError):
            os.utime(self.path_of(artifact_of(data, mime_type)), follow_symlinks=False)
        return super().save(data, mime_type)

    def stored(self) -> Iterator[Stored]:
        """Everything in the folder that is ours."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as found:
            for item in found:
                name, recording = _NAME.fullmatch(item.name), _RECORDING.fullmatch(item.name)
                if name is None and recording is None and _TEMPORARY.fullmatch(item.name) is None:
                    continue
                with suppress(FileNotFoundError):
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield Stored(
                            name=item.name,
                            sha256=name["sha256"] if name else "",
                            size=status.st_size,
                            modified=status.st_mtime,
                            recorded=recording["run"] if recording else "",
                        )

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)


class FsspecArtifacts:
    """Keeps artifacts in whatever fsspec can reach: S3, Google Cloud Storage, Azure, WebDAV, SFTP and more.

    Args:
        url: of the folder, such as ``s3://bucket/duologue``.
        options: of the file system; credentials are usually found where the file system looks for them itself.

    Raises:
        MissingExtraError: fsspec is not installed.
        ConfigurationError: the URL is none that it knows, or the package for it is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        try:
            import fsspec.core  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as error:
            raise MissingExtraError(f"an artifact store at {shown(url)}", "artifacts", "fsspec") from error
        remember_url(url)
        self.name = shown(url)
        try:
            opened = cast("tuple[Any, str]", fsspec.core.url_to_fs(url, **(options or {})))  # pyright: ignore[reportUnknownMemberType]
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"the artifact store {self.name} cannot be used: {error}") from error
        self._files, root = opened
        self._root = root.rstrip("/")

    async def put(self, data: bytes, *, mime_type: str = UNKNOWN_TYPE) -> Artifact:
        """Keep these bytes."""
        artifact = artifact_of(data, mime_type)
        await self._do(lambda: self._pipe(artifact, data), f"keep {artifact}")
        return artifact

    @asynccontextmanager
    async def writer(self, *, mime_type: str = UNKNOWN_TYPE) -> AsyncGenerator[ArtifactWriter]:
        """Keep what is written in the block: on this machine first, because its name is the digest of all of it."""
        with tempfile.TemporaryFile() as file:
            writer = _Spool(file, mime_type)
            yield writer
            artifact = writer.finished()
            await self._do(lambda: self._upload(artifact, file), f"keep {artifact}")
            writer.done = artifact

    async def read(self, artifact: Artifact) -> bytes:
        """All bytes."""
        data = await self._do(lambda: cast("bytes", self._files.cat_file(self._path(artifact))), f"read {artifact}")
        if sha256(data).hexdigest() != artifact.sha256:
            raise self._damaged(artifact)
        return data

    async def stream(self, artifact: Artifact) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece."""
        digest = sha256()
        doing = f"read {artifact}"
        file = await self._do(lambda: self._files.open(self._path(artifact), "rb"), doing)
        try:
            while piece := await self._do(lambda: cast("bytes", file.read(CHUNK)), doing):
                digest.update(piece)
                yield piece
        finally:
            await asyncio.to_thread(file.close)
        if digest.hexdigest() != artifact.sha256:
            raise self._damaged(artifact)

    def open(self, artifact: Artifact) -> BinaryIO:
        """Its bytes, to be read in any part; whether they are damaged is not looked at. Blocks."""
        try:
            return cast("BinaryIO", self._files.open(self._path(artifact), "rb"))
        except Exception as error:  # every file system has exceptions of its own
            raise ArtifactError(f"cannot read {artifact} in {self.name}: {error or type(error).__name__}") from error

    async def has(self, artifact: Artifact) -> bool:
        """Whether its file is there, as long as it should be."""
        return await self._do(lambda: self._size(artifact) == artifact.size, f"look for {artifact}")

    def stored(self) -> Iterator[Stored]:
        """Everything in the folder that is ours."""
        self._files.invalidate_cache()
        try:
            found: list[dict[str, Any]] = self._files.ls(self._root, detail=True)
        except FileNotFoundError:
            return
        for item in found:
            name = str(item["name"]).rpartition("/")[2]
            match = _NAME.fullmatch(name)
            if match and item.get("type") == "file":
                yield Stored(
                    name=name, sha256=match["sha256"], size=item.get("size") or 0, modified=self._modified(item)
                )

    def remove(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")

    def _modified(self, item: Mapping[str, Any]) -> float:
        """When a file was written; the present for one that does not say, so that it is never removed by mistake."""
        found = next((item[key] for key in ("LastModified", "mtime", "created", "last_modified") if key in item), None)
        if isinstance(found, datetime):
            return found.timestamp()
        return float(found) if isinstance(found, int | float) else float("inf")

    def _path(self, artifact: Artifact) -> str:
        return f"{self._root}/{artifact.name}"

    def _size(self, artifact: Artifact) -> int | None:
        try:
            return self._files.info(self._path(artifact)).get("size")
        except FileNotFoundError:
            return None

    def _pipe(self, artifact: Artifact, data: bytes) -> None:
        # Also where they are there already: so they are as new, and nobody removes them right now.
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(self._path(artifact), data)

    def _upload(self, artifact: Artifact, file: IO[bytes]) -> None:
        self._files.makedirs(self._root, exist_ok=True)
        file.seek(0)
        with self._files.open(self._path(artifact), "wb") as target:
            while piece := file.read(CHUNK):
                target.write(piece)

    async def _do(self, work: Callable[[], T], doing: str) -> T:
        """Do something that blocks, in a thread."""
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise ArtifactError(f"cannot {doing}: it is missing in {self.name}") from error
        except Exception as error:  # every file system has exceptions of its own
            text = str(error) or type(error).__name__
            raise ArtifactError(f"cannot {doing} in {self.name}: {text}") from error

    def _damaged(self, artifact: Artifact) -> ArtifactError:
        return ArtifactError(f"the artifact {artifact} in {self.name} is damaged: its content is another; restore it")


class _Spool:
    """Takes an artifact that comes in pieces."""

    def __init__(self, file: IO[bytes], mime_type: str) -> None:
        self.done: Artifact | None = None
        self._file, self._mime_type = file, mime_type
        self._digest, self._size = sha256(), 0

    async def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise ArtifactError(f"cannot keep {self._mime_type} data: {error.strerror or error}") from error
        self._digest.update(data)
        self._size += len(data)

    def finished(self) -> Artifact:
        return Artifact(sha256=self._digest.hexdigest(), size=self._size, mime_type=self._mime_type)

    @property
    def artifact(self) -> Artifact:
        if self.done is None:
            raise ArtifactError("the artifact is not complete yet; ask for it after the 'async with' block has ended")
        return self.done


def artifacts_of(
    database: DatabaseAddress, where: str | Path | None = None, environment: Mapping[str, str] = OWN_VARIABLES
) -> RemovableArtifacts:
    """Where the artifacts of a database are kept.

    Args:
        database: its address.
        where: a folder, or a URL that fsspec knows. None for what ``DUOLOGUE_ARTIFACTS`` names, else the folder
            ``artifacts`` beside an SQLite database, or in ``.duologue`` of the project for PostgreSQL: workers on
            several hosts need a folder that all of them see, or an object store.
        environment: variables.

    Raises:
        ConfigurationError: it names no store.
    """
    where = where or environment.get(ARTIFACTS_URL)
    if not where:
        beside = database.path.parent if database.path is not None else project_folder(Path.cwd()) / FOLDER
        return ArtifactFolder(beside / IN_FOLDER)
    text = str(where)
    if isinstance(where, Path) or "://" not in text:
        return ArtifactFolder(Path(os.path.abspath(Path(text).expanduser())))  # noqa: PTH100 -- links in it stay links
    scheme, _, path = text.partition("://")
    if scheme in {"file", "local"}:
        return ArtifactFolder(Path(path))
    return FsspecArtifacts(text)


def shown(url: str) -> str:
    """A URL without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def keep_media(run: RunResult, store: ArtifactStore) -> tuple[RunResult, Sequence[Artifact]]:
    """Keep the media of a conversation whose data are in it.

    Returns:
        The run, in which each of them names its file as in a results folder; and what was kept.

    Raises:
        ArtifactError: they cannot be kept.
    """
    messages = {message.id: message.message for message in run.messages}
    media: list[MediaResult] = []
    kept: dict[str, Artifact] = {}
    for item in run.media:
        if item.message_id not in messages:  # the recording of the whole, which the store has already
            if recording := _NAME.fullmatch((item.path or "").removeprefix(f"{MEDIA}/")):
                digest = recording["sha256"]
                kept[digest] = Artifact(sha256=digest, size=item.size_bytes, mime_type=item.mime_type)
            media.append(item)
            continue
        parts = cast("list[Part]", messages[item.message_id].get("content"))
        if data := data_of(parts[item.part]):
            artifact = await store.put(data, mime_type=item.mime_type)
            kept[artifact.sha256] = artifact
            item = replace(item, path=f"{MEDIA}/{artifact.name}")
        media.append(item)
    return replace(run, media=tuple(media)) if kept else run, tuple(kept.values())


@frozen(slots=True)
class Removed:
    """What was removed: how many files, and their bytes."""

    files: int = 0
    size: int = 0


async def remove_unused(
    database: Connections, store: RemovableArtifacts, *, grace: float = GRACE, now: float | None = None
) -> Removed:
    """Remove bytes that no run and no execution has, and what was recorded of killed runs that are not there any more.

    Args:
        database: its runs and executions say what they have.
        store: of its artifacts, and of no other database.
        grace: seconds that bytes are kept in any case.
        now: seconds since 1970; None for the present.

    Raises:
        ArtifactError: the store cannot be read or written.
        StoreError: the database cannot be read.
    """
    until = (database.context.clock.now() if now is None else now) - grace
    files = size = 0
    named = await database.read(_named_by_executions)
    waiting = iter(store.stored())
    while found := await _blocking(lambda: _some(waiting, until), "list the artifacts"):
        digests = [item.sha256 for item in found if item.sha256]
        asked = select(artifacts.c.sha256).distinct().where(artifacts.c.sha256.in_(digests))
        used = await database.read(lambda connection, asked=asked: set(connection.execute(asked).scalars()))
        for item in found:
            if item.sha256 in used or item.sha256 in named:
                continue
            if item.recorded and await database.read(partial(_has_run, item.recorded)):  # its journals name it
                continue
            await _blocking(lambda name=item.name: store.remove(name), f"remove the artifact {item.name}")
            files, size = files + 1, size + item.size
    return Removed(files=files, size=size)


def _has_run(recorded: str, connection: Connection) -> bool:
    """Whether there is a run of which a file with this name was recorded."""
    pattern = f"{recorded.replace('-', '_')}{'%' if len(recorded) == _MOST_OF_AN_ID else ''}"
    return connection.execute(select(runs.c.id).where(runs.c.id.like(pattern)).limit(1)).first() is not None


def _some(waiting: Iterator[Stored], until: float) -> list[Stored]:
    """The next files that are old enough to be removed."""
    found: list[Stored] = []
    for item in waiting:
        if item.modified < until:
            found.append(item)
            if len(found) == _MANY:
                break
    return found


async def _blocking(work: Callable[[], T], doing: str) -> T:
    try:
        return await asyncio.to_thread(work)
    except Exception as error:  # every file system has exceptions of its own
        raise ArtifactError(f"cannot {doing}: {error}") from error


def _named_by_executions(connection: Connection) -> set[str]:
    """Digests of files of results folders that executions have."""
    found: set[str] = set()
    for data in connection.execute(select(executions.c.data)).scalars():
        files = cast("dict[str, Any]", data or {}).get(FILES)
        found.update(item["sha256"] for item in cast("dict[str, Any]", files or {}).values())
    return found
