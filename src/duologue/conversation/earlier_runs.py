"""Runs of an earlier launch of the same Python code: what of them still holds, and which of them go on.

A plan says of each test case of a suite which run it is. Code has none: its runs are told apart by the scenario and the
agent, and those that are alike by their order. Whoever launches the code again lets every run that begins then ask an
:class:`EarlierRuns` (``taking_up``).
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from duologue.config.files import REPLACED, set_aside
from duologue.conversation.setup import RunSetup
from duologue.errors import JournalError, JournalVersionError, ResumeError
from duologue.frozen import frozen
from duologue.journal.events import RunFinished, RunStarted, Transition
from duologue.journal.jsonl import JournalFile, read_journal
from duologue.journal.recorded import RecordedRun
from duologue.vocabulary import AgentRole, RunStatus, Verdict


def agent_of(started: RunStarted) -> str | None:
    """The name of the agent under test; None if there is none."""
    return next((item.name for item in started.participants if item.role is AgentRole.AGENT), None)


@frozen
class _Earlier:
    path: Path
    beginning: Transition
    started: RunStarted
    ended: RunFinished | None


class EarlierRuns:
    """The runs whose journals lie in a folder.

    Args:
        folder: of the journals.
        retry_errors: runs that ended in an error are played again, from their beginning.
        only_problems: runs that passed are not played again; all others are, in the folder of the new launch.

    Attributes:
        kept: ids of runs that were not played again because they had passed.
        unread: files in which nothing can be read: cassettes, and journals that were cut off before their first event.
    """

    def __init__(self, folder: Path, *, retry_errors: bool = False, only_problems: bool = False) -> None:
        self.kept: set[str] = set()
        self.unread: list[Path] = []
        self._retry_errors = retry_errors
        self._only_problems = only_problems
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str | None], deque[_Earlier]] = defaultdict(deque)
        for item in sorted(self._read(folder), key=lambda found: found[0]):
            started = item[1].started
            self._waiting[started.scenario.name, agent_of(started)].append(item[1])

    def journal_for(self, setup: RunSetup) -> Path | None:
        """The journal of the run that this one was earlier; None for a run that is played from its beginning."""
        agent = next((item.name for item in setup.agents if item.role is AgentRole.AGENT), None)
        with self._lock:
            waiting = self._waiting.get((setup.name, agent))
            earlier = waiting.popleft() if waiting else None
        if earlier is None:
            return None
        if self._only_problems:
            return self._passed(earlier, setup)
        ended = earlier.ended
        again = ended is not None and ended.status is RunStatus.ERROR and self._retry_errors
        if again or not _same(earlier, setup):
            set_aside(earlier.path, REPLACED)
            return None
        return earlier.path

    def _passed(self, earlier: _Earlier, setup: RunSetup) -> Path | None:
        if earlier.ended is None or earlier.ended.verdict is not Verdict.PASS or not _same(earlier, setup):
            return None
        self.kept.add(earlier.started.run_id)
        return earlier.path

    def _read(self, folder: Path) -> Iterator[tuple[float, _Earlier]]:
        for path in sorted(folder.glob("*.jsonl")):
            try:
                file = read_journal(path)
            except JournalVersionError:
                raise
            except JournalError:
                self.unread.append(path)
                continue
            begins, first = file.transitions[0], file.transitions[0][0]
            if isinstance(first.event, RunStarted):
                yield first.at, _Earlier(path=path, beginning=begins, started=first.event, ended=_end_of(file))


def _end_of(file: JournalFile) -> RunFinished | None:
    last = file.transitions[-1][-1].event
    return last if isinstance(last, RunFinished) else None


def _same(earlier: _Earlier, setup: RunSetup) -> bool:
    """Whether the run would begin now as it was recorded."""
    was = earlier.started
    now = replace(setup, context=setup.context.with_seed(was.seed))
    try:
        RecordedRun([earlier.beginning]).compare_beginning(now.started(was.run_id, was.thread_id, was.attempt))
    except ResumeError:
        return False
    return True
