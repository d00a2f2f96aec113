"""Judge whole files of recordings again: the function for users, and the index of a suite's recordings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from duologue.context import Context
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.checking import CheckLike
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError, SuiteError
from duologue.models.budget import Budget
from duologue.specs.suite import Replay, Suite
from duologue.suites.replay.play import prepare_replay
from duologue.transcripts.reading import find_recordings, read_recordings
from duologue.transcripts.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A recording and what came of judging it again."""

    recording: Recording
    result: ScenarioResult


async def replay_file(
    path: str | Path,
    *,
    checks: Sequence[CheckLike] = (),
    turn_checks: Sequence[CheckLike] = (),
    judge: AgentAdapter | Sequence[AgentAdapter] | None = None,
    format: str | None = None,
    record: str | Path | None = None,
    context: Context | None = None,
    budget: Budget | None = None,
    concurrency: int = 8,
) -> list[Replayed]:
    """Judge all recordings of a file, or of all files that a pattern means.

    A check or a judge that breaks is an error of that recording (``result.status`` is ``error``, and there is no
    verdict); the others are judged all the same.

    Args:
        path: a file, or a pattern such as ``logs/*.json``.
        checks: of the conversation; those made for turns are evaluated for each turn.
        turn_checks: of each turn in which the agent said something.
        judge: asked to decide about each recording at its end.
        format: see :func:`read_recordings`; None to find out from each file.
        record: a folder for the new journals.
        context: clock, ids and seed.
        budget: what models may cost for one recording.
        concurrency: recordings at once.

    Returns:
        One for each recording, in the order of files and of recordings within them.

    Raises:
        ConfigurationError: a file cannot be read (then it is a SuiteError with the place), or an argument cannot be
            used.
    """
    if concurrency < 1:
        raise ConfigurationError(f"concurrency: found {concurrency}; expected 1 or more")
    if record is not None and Path(record).suffix == ".jsonl":
        raise ConfigurationError(
            f"record: found the file '{record}'; expected a folder, which gets a file for each run"
        )
    gate = asyncio.Semaphore(concurrency)

    async def one(recording: Recording) -> Replayed:
        executor = prepare_replay(
            recording,
            checks=checks,
            turn_checks=turn_checks,
            judge=judge,
            record=record,
            context=context,
            budget=budget,
        )
        async with gate:
            return Replayed(recording=recording, result=await executor.perform())

    files = find_recordings(str(path))
    recordings = [recording for file in files for recording in read_recordings(file, format)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(recording)) for recording in recordings]
    return [task.result() for task in tasks]


class RecordingIndex:
    """The recordings of a suite's replays, by the names that a plan keeps. Each file is read once.

    A name is the path of the file relative to the suite, with ``#`` and a number for the second and later recordings
    of a file: ``calls/monday.json``, ``calls/monday.json#1``.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._held: dict[tuple[str, str | None], dict[str, Recording | SuiteError]] = {}

    def names(self, replay: Replay) -> list[str]:
        """The names of a replay's recordings, in order; a file that cannot be read has one too.

        Raises:
            SuiteError: no file matches.
        """
        return list(self._recordings(replay))

    def open(self, replay: Replay, name: str) -> Recording:
        """The recording of that name.

        Raises:
            ConfigurationError: the replay has none of that name any more.
            SuiteError: its file cannot be read.
        """
        found = self._recordings(replay).get(name)
        if isinstance(found, SuiteError):
            raise SuiteError(str(found), found.problems)
        if found is None:
            raise ConfigurationError(f"the replay '{replay.name}' has no recording '{name}'; were its files changed?")
        return found

    def _recordings(self, replay: Replay) -> dict[str, Recording | SuiteError]:
        key = (replay.recording, replay.format)
        if key not in self._held:
            files = find_recordings(str(self._suite.path(replay.recording)))
            self._held[key] = {name: found for file in files for name, found in self._in_file(file, replay.format)}
        return self._held[key]

    def _in_file(self, file: Path, format: str | None) -> Iterator[tuple[str, Recording | SuiteError]]:
        """What a file holds. One that is broken is the trouble of its own test case, and of no other."""
        try:
            for recording in read_recordings(file, format):
                yield self._name(recording.path, recording.index), recording
        except SuiteError as error:
            yield self._name(file), error

    def _name(self, path: Path, index: int = 0) -> str:
        folder = self._suite.folder
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        return f"{name}#{index}" if index else name
