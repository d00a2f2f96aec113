"""Journals in the database: a row of ``events`` is a transition, encoded as a line of a journal file is.

What is written is written in the name of the claim of a run, so that a worker that has lost its lease writes nothing
more. Transitions are whole or not there at all. Each attempt of a run has a journal of its own, under its number; the
newest one is current, and the others are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, and_, or_, select

from duologue.errors import ArtifactError, JournalError, StoreError
from duologue.frozen import frozen
from duologue.journal.artifacts import Artifact, ArtifactStore
from duologue.journal.events import ModelCalled, Transition
from duologue.journal.inline_media import Inline, entries_of, keep
from duologue.journal.jsonl import JournalLines, encode_with_media, model_calls_of
from duologue.journal.run_journal import RecordedJournal
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import events, runs
from duologue.runs.store.database.writer import LastLines, Writer
from duologue.runs.store.records import OVER, ArtifactRow, ClaimedRun

POLL = 0.25
"""Seconds between two looks at a run that is followed."""
_UNREADABLE = ("unreadable", "attempt-")
"""Why an attempt was set aside whose model calls still count."""


class JournalRow(NamedTuple):
    """A row of ``events``: the attempt of its run, the number of its first event, and its line."""

    attempt: int
    seq: int
    line: bytes


class DatabaseSink:
    """Writes transitions as rows, in the name of the claim of a run. From any event loop and any thread.

    Args:
        writer: of this process.
        run: that this process has.
        attempt: which of its journals.
        artifacts: keeps media of messages.
        cut: rows from the event of that number on are removed with the first write; None for none.
        refused: why nothing may be written; '' if it may.
        keep_end: keep what ends the run in :attr:`end`, for whoever records the end of the run together with it.
    """

    def __init__(
        self,
        writer: Writer,
        run: ClaimedRun,
        attempt: int,
        *,
        artifacts: ArtifactStore,
        cut: int | None = None,
        refused: str = "",
        keep_end: bool = False,
    ) -> None:
        self.begun = False
        """Whether anything was written."""
        self.end: LastLines | None = None
        """The end of the journal, which was not written."""
        self._keep_end = keep_end
        self._writer, self._run, self._attempt = writer, run, attempt
        self._artifacts, self._cut, self._refused = artifacts, cut, refused
        self._process = os.getpid()

    async def write(self, transitions: Sequence[Transition]) -> None:
        """Commit all of them, in one transaction."""
        if os.getpid() != self._process:  # an agent has doubled the process and returned twice: the run is the parent's
            os._exit(1)
        if self._refused:
            raise JournalError(f"run {self._run.id}: {self._refused}")
        lines: list[tuple[int, bytes]] = []
        media: list[Inline] = []
        for transition in transitions:
            line, inline = encode_with_media(transition)
            lines.append((transition[0].seq, line))
            media.extend(inline)
        try:
            if media:
                await self._keep(media)
            if self._keep_end and transitions[-1][-1].event.type == "run_finished":
                self.end = LastLines(self._attempt, lines, self._cut)
            else:
                await self._writer.append(self._run, self._attempt, lines, cut=self._cut)
        except (StoreError, ArtifactError) as error:
            raise JournalError(f"cannot write the journal of run {self._run.id}: {error}") from error
        self._cut, self.begun = None, True

    async def close(self) -> None:
        """Nothing is written after this."""
        self._refused = self._refused or "its journal is closed"

    async def _keep(self, media: Sequence[Inline]) -> None:
        """Keep bytes before the line that names them, and record that the run has them."""
        for item in media:
            await keep(item, self._artifacts)
        kept = {item.artifact.sha256: item.artifact for item in media}
        await self._writer.artifacts(self._run, [artifact_row(item) for item in kept.values()])


def absent(artifact: Artifact) -> bytes:
    """Raise ArtifactError: the artifact was not loaded."""
    raise ArtifactError(f"the artifact {artifact} was not loaded")


@frozen
class Recorded:
    """What the database holds of a run when it is claimed.

    Attributes:
        name: of its journal, for messages.
        attempt: the current one, or the first one to come.
        rows: of that attempt.
        counted: rows of earlier attempts whose model calls still count.
        media: gives the media that the rows name.
    """

    name: str
    attempt: int
    rows: Sequence[JournalRow] = ()
    counted: Sequence[Sequence[JournalRow]] = ()
    media: Callable[[Artifact], bytes] = absent


class DatabaseJournal:
    """The journal of one run in the database; see :class:`~duologue.journal.run_journal.RunJournal`.

    Made by :meth:`Journals.open`, which has loaded what is recorded.
    """

    def __init__(
        self, writer: Writer, run: ClaimedRun, recorded: Recorded, *, artifacts: ArtifactStore, keep_end: bool = False
    ) -> None:
        self._writer, self._run, self._artifacts = writer, run, artifacts
        self._keep_end = keep_end
        self._attempt, self._rows = recorded.attempt, recorded.rows
        self._earlier: list[Sequence[JournalRow]] = list(recorded.counted)
        self._recorded = recorded
        self._read: RecordedJournal | None = None
        self._sinks: list[DatabaseSink] = []

    @property
    def path(self) -> Path | None:
        """None: it is no file."""
        return None

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps media of all runs."""
        return self._artifacts

    @property
    def exists(self) -> bool:
        """Whether the current attempt has recorded anything."""
        return bool(self._rows) or any(sink.begun for sink in self._sinks)

    @property
    def end(self) -> LastLines | None:
        """What ends the current attempt, if it was kept back; see :meth:`Journals.open`."""
        return next((sink.end for sink in self._sinks if sink.end is not None), None)

    def read(self) -> RecordedJournal:
        """What was recorded when this was opened."""
        if any(sink.begun for sink in self._sinks):
            raise JournalError(f"{self._recorded.name} has grown since it was read: open it again")
        if self._read is None:
            self._read = parsed(self._recorded.name, self._rows, self._recorded.media)
        return self._read

    def set_aside(self, why: str) -> None:
        """Begin another attempt. This one stays under its number."""
        if not self.exists:
            return
        if why.startswith(_UNREADABLE):
            self._earlier.append(self._rows)
        self._attempt += 1
        self._rows, self._read, self._sinks = (), None, []

    def earlier_calls(self) -> Iterator[ModelCalled]:
        """Of attempts that were not replaced."""
        for rows in self._earlier:
            yield from model_calls_of(row.line for row in rows)

    def sink(self, *, kept: int | None = None, artifacts: ArtifactStore | None = None) -> DatabaseSink:
        """Writes to the current attempt."""
        refused, cut = "", None
        if kept is None and self.exists:
            refused = "it has a journal already, and a journal is never overwritten. Continue it with resume=True"
        elif kept is not None:
            found = self.read()
            seqs = [transition[0].seq for transition in found.transitions]
            if kept < len(seqs):
                cut = seqs[kept]
            elif found.torn:
                cut = len(found.entries)
        sink = DatabaseSink(
            self._writer,
            self._run,
            self._attempt,
            artifacts=artifacts or self._artifacts,
            cut=cut,
            refused=refused,
            keep_end=self._keep_end,
        )
        self._sinks.append(sink)
        return sink


@frozen
class Passage:
    """Part of a journal that is followed.

    Attributes:
        attempt: of the run.
        transitions: that came since the last one.
        anew: what was given of this attempt before does not hold any more: the run continued from an earlier event.
    """

    attempt: int
    transitions: Sequence[Transition]
    anew: bool = False


class Journals:
    """The journals of a database.

    Args:
        database: that they are in.
        artifacts: has the media of all runs.
    """

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database, self._artifacts = database, artifacts

    async def open(self, run: ClaimedRun, *, keep_end: bool = False) -> DatabaseJournal:
        """The journal of a run that this process has claimed, to be continued or begun.

        Args:
            run: that this process has.
            keep_end: do not write the end of the journal. Whoever records the end of the run writes it with it, in one
                transaction, and the journal of a run that is given back has no end.

        Raises:
            StoreError: the database cannot be read.
        """
        recorded = Recorded(name=self._name(run.id), attempt=run.journal_from)
        if run.token > 1:  # the first claim of a run finds nothing, and need not look
            recorded = await self._recorded(run)
        return DatabaseJournal(self._database.writer, run, recorded, artifacts=self._artifacts, keep_end=keep_end)

    async def read(self, run_id: str, *, attempt: int | None = None) -> RecordedJournal:
        """The journal of a run.

        Args:
            run_id: its id.
            attempt: which one; None for the newest.

        Raises:
            JournalError: there is none, or it is damaged.
            StoreError: the database cannot be read.
        """
        known = await self.attempts(run_id)
        wanted = attempt if attempt is not None else known[-1] if known else 1
        name = self._name(run_id) + (f", attempt {wanted}" if wanted > 1 or attempt is not None else "")
        if wanted not in known:
            raise JournalError(f"{name} holds no event")
        rows, media = await self._rows_of(run_id, wanted), _Media(self._artifacts)
        await media.load(rows)
        return parsed(name, rows, media)

    async def attempts(self, run_id: str) -> list[int]:
        """The numbers of the attempts of a run that have a journal, in order."""
        asked = (
            select(events.c.attempt).distinct().join(runs, runs.c.number == events.c.run).where(runs.c.id == run_id)
        ).order_by(events.c.attempt)
        return await self._database.read(lambda connection: list(connection.execute(asked).scalars()))

    async def follow(
        self, run_id: str, *, after: tuple[int, int] | None = None, poll: float = POLL
    ) -> AsyncGenerator[Passage]:
        """What is recorded of a run, and what is recorded from now on, until the run is over.

        Args:
            run_id: its id.
            after: number of the attempt and of the last event that is known already; None to begin at the beginning.
            poll: seconds between two looks.

        Raises:
            JournalError: there is no such run, or its journal is damaged.
            StoreError: the database cannot be read.
        """
        attempt, known = after or (0, -1)
        media = _Media(self._artifacts)
        reader, last, anew = JournalLines(self._name(run_id), media), None, False
        while True:
            place = (attempt, 0) if last is None else (last.attempt, last.seq)
            found = await self._database.read(partial(_since, run_id=run_id, place=place))
            if found is None:
                if last is None and not anew:
                    raise JournalError(f"there is no run '{run_id}' in {self._database.address}")
                return
            over, rows = found
            if last is not None and rows[:1] != [last]:  # what came after an earlier event was removed
                reader, last, known, anew = JournalLines(self._name(run_id), media), None, -1, True
                continue
            for part in _by_attempt(rows if last is None else rows[1:]):
                if part[0].attempt != attempt:
                    attempt, known = part[0].attempt, -1 if last else known
                    reader = JournalLines(self._name(run_id), media)
                await media.load(part)
                read = [reader.read(row.line) for row in part]
                last = part[-1]
                new = [transition for transition in read if transition[-1].seq > known]
                if new or anew:
                    yield Passage(attempt=attempt, transitions=new, anew=anew)
                    anew = False
            if over:
                return
            await self._database.context.clock.sleep(poll)

    async def _recorded(self, run: ClaimedRun) -> Recorded:
        asked = (
            select(events.c.attempt, events.c.seq, events.c.line)
            .where(events.c.run == run.number, events.c.attempt >= run.journal_from)
            .order_by(events.c.attempt, events.c.seq)
        )
        rows = await self._database.read(partial(_fetched, asked=asked))
        attempts = _by_attempt(rows)
        if not attempts:
            return Recorded(name=self._name(run.id), attempt=run.journal_from)
        media = _Media(self._artifacts)
        await media.load(attempts[-1])
        return Recorded(
            name=self._name(run.id),
            attempt=attempts[-1][0].attempt,
            rows=attempts[-1],
            counted=_counted(attempts),
            media=media,
        )

    async def _rows_of(self, run_id: str, attempt: int) -> list[JournalRow]:
        asked = (
            select(events.c.attempt, events.c.seq, events.c.line)
            .join(runs, runs.c.number == events.c.run)
            .where(runs.c.id == run_id, events.c.attempt == attempt)
            .order_by(events.c.seq)
        )
        return await self._database.read(partial(_fetched, asked=asked))

    def _name(self, run_id: str) -> str:
        return f"the journal of run {run_id} in {self._database.address}"


class _Media:
    """Gives the media that lines name, once they are loaded."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._found: dict[str, bytes | ArtifactError] = {}

    async def load(self, rows: Sequence[JournalRow]) -> None:
        """Load what these lines name, in place of what was loaded before."""
        self._found = {}
        for row in rows:
            for artifact in media_of_line(row.line):
                if artifact.sha256 not in self._found:
                    try:
                        self._found[artifact.sha256] = await self._artifacts.read(artifact)
                    except ArtifactError as error:
                        self._found[artifact.sha256] = error

    def __call__(self, artifact: Artifact) -> bytes:
        found = self._found.get(artifact.sha256)
        return absent(artifact) if found is None else _bytes(found)


def _bytes(found: bytes | ArtifactError) -> bytes:
    if isinstance(found, ArtifactError):
        raise found
    return found


def parsed(name: str, rows: Sequence[JournalRow], media: Callable[[Artifact], bytes]) -> RecordedJournal:
    """The journal that rows hold.

    Raises:
        JournalError: a row is damaged or missing.
    """
    torn = None
    if rows and not rows[-1].line.endswith(b"\n"):  # a file that was cut off has been imported
        torn = f"line {len(rows)} is cut off after {len(rows[-1].line)} bytes"
        rows = rows[:-1]
    reader = JournalLines(name, media)
    transitions: list[Transition] = []
    for row in rows:
        transition = reader.read(row.line)
        if transition[0].seq != row.seq:
            raise JournalError(f"{name}: the row of event {row.seq} holds event {transition[0].seq}")
        transitions.append(transition)
    if not transitions:
        raise JournalError(f"{name} holds no event" + (f"; {torn}" if torn else ""))
    return RecordedJournal(name=name, transitions=transitions, torn=torn, missing=reader.missing)


def artifact_row(artifact: Artifact) -> ArtifactRow:
    """The row of a run that has these bytes."""
    return ArtifactRow(sha256=artifact.sha256, mime_type=artifact.mime_type, size=artifact.size)


def media_of_line(line: bytes) -> list[Artifact]:
    """The media that a line of a journal names; none for a damaged one."""
    if b'"artifacts":[' not in line:
        return []
    try:
        raw: dict[str, Any] = json.loads(line)
        return [entry.artifact for entry in entries_of(raw["artifacts"])]
    except (ValueError, LookupError, TypeError, ArtifactError, RecursionError):
        return []


def attempt_of_line(line: bytes) -> int | None:
    """What the first line of a journal says which attempt of its run it is; None for a damaged one."""
    try:
        raw: dict[str, Any] = json.loads(line)
        event = raw["events"][0] if "events" in raw else raw
        return int(event.get("attempt", 1)) if event["type"] == "run_started" else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def lines_of_file(data: bytes | None) -> list[tuple[int, bytes]]:
    """The lines of a journal file with the number of their first event; none if they are not in order.

    The rest of a line that was cut off is the last row.
    """
    *whole, rest = (data or b"").split(b"\n")
    rows: list[tuple[int, bytes]] = []
    seen = 0
    for line in whole:
        try:
            raw: dict[str, Any] = json.loads(line)
            seq, count = raw["seq"], len(raw.get("events", (raw,)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return []
        if seq != seen or not count:
            return []
        rows.append((seen, line + b"\n"))
        seen += count
    return [*rows, (seen, rest)] if rows and rest else rows


def _counted(attempts: Sequence[Sequence[JournalRow]]) -> list[Sequence[JournalRow]]:
    """Earlier attempts whose model calls still count: those that were not replaced by a run from the beginning."""
    told = [attempt_of_line(rows[0].line) for rows in attempts]
    pairs = zip(attempts, told, told[1:], strict=False)
    return [rows for rows, was, then in pairs if was is None or (then is not None and then > was)]


def _fetched(connection: Connection, asked: Executable) -> list[JournalRow]:
    return [JournalRow(*row) for row in connection.execute(asked)]


def _since(connection: Connection, *, run_id: str, place: tuple[int, int]) -> tuple[bool, list[JournalRow]] | None:
    """Whether a run is over, and its rows from a place on; None if there is no such run."""
    found = connection.execute(select(runs.c.number, runs.c.status).where(runs.c.id == run_id)).first()
    if found is None:
        return None
    attempt, seq = place
    later = or_(events.c.attempt > attempt, and_(events.c.attempt == attempt, events.c.seq >= seq))
    asked = (
        select(events.c.attempt, events.c.seq, events.c.line)
        .where(events.c.run == found.number, later)
        .order_by(events.c.attempt, events.c.seq)
    )
    rows = [row for row in _fetched(connection, asked) if row.line.endswith(b"\n")]
    return found.status in OVER, rows


def _by_attempt(rows: Sequence[JournalRow]) -> list[list[JournalRow]]:
    return [list(part) for _, part in groupby(rows, key=lambda row: row.attempt)]
