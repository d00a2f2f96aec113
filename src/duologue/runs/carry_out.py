"""Carries out a claimed run: from its snapshot to its result.

What the runs of a snapshot share (models, tools, agents that are loaded) is prepared once in a process, and kept for
the runs that come next, as long as it is what they need: a run of a connector whose key was replaced uses the new one,
and one whose suite was kept in place is refused once its files have changed. A run whose journal holds events continues
from there. Whatever goes wrong with what a run needs is an error of the run, and never a verdict.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection, select

from duologue.config.access import using
from duologue.context import Clock
from duologue.errors import RunError
from duologue.models.base import Model
from duologue.runs.budgets import ExecutionBudgets
from duologue.runs.foreign_code import held_apart
from duologue.runs.outcome import finished_run
from duologue.runs.project_access import DefinitionPolicy, ProjectAccess
from duologue.runs.snapshots import Mark, PrivateValues, StoredSuite, read_snapshot
from duologue.runs.store.database.artifacts import artifacts_of, keep_media
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import DatabaseJournal, Journals, artifact_row
from duologue.runs.store.database.schema import snapshots
from duologue.runs.store.database.writer import LastLines
from duologue.runs.store.records import ClaimedRun, FinishedRun, Snapshot
from duologue.runtimes.base import RuntimeSession
from duologue.suites.execution.engine import Engine
from duologue.suites.execution.parts import parts_of
from duologue.suites.plan.build import TestCase
from duologue.suites.runner.case_run import CaseCancelled, CaseRunner

_Key = tuple[str, str]
"""The digest of a snapshot, and whose secrets it was prepared with; '' for nobody's."""
MOST_SNAPSHOTS = 16
"""Snapshots that are kept prepared although no run of theirs is under way."""


@dataclass(kw_only=True, eq=False)
class _Prepared:
    """A snapshot that is ready for its runs.

    Attributes:
        values: the credentials that it was prepared with.
        marks: of its files, if they stay where they are.
        users: runs of it that are under way.
    """

    stored: StoredSuite
    engine: Engine
    runner: CaseRunner
    values: Mapping[str, PrivateValues]
    marks: Mapping[str, Mark]
    users: int = 0


class RunCarrier:
    """Carries out claimed runs.

    Args:
        database: has their snapshots and journals.
        agents, models: that the program hands over, by the names that suites use.
        clock: of all runs.
        policy: what definitions may use of this machine; None for the usual.
    """

    def __init__(
        self,
        database: Database,
        *,
        agents: Mapping[str, Any],
        models: Mapping[str, Model],
        clock: Clock,
        policy: DefinitionPolicy | None = None,
    ) -> None:
        self._database = database
        self._access = ProjectAccess(database, policy or DefinitionPolicy(), clock)
        self._agents, self._models = agents, models
        self._clock = clock
        self._prepared: OrderedDict[_Key, _Prepared] = OrderedDict()
        self._replaced: set[_Prepared] = set()
        self._limited: set[str] = set()
        self._preparing: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()
        self._artifacts = artifacts_of(database.address)
        self._journals = Journals(database, self._artifacts)
        self._budgets = ExecutionBudgets(database, clock)
        self._folder: Path | None = None

    async def carry_out(self, run: ClaimedRun) -> tuple[FinishedRun, LastLines | None]:
        """Carry out a run. If it is cancelled once it has begun, its end says so, and nothing is raised.

        Returns:
            The end of the run, and that of its journal, which are to be recorded together.

        Raises:
            StoreError, ArtifactError: what it did cannot be recorded, which says nothing about it.
            DuologueError: it cannot be carried out here.
            asyncio.CancelledError: it was cancelled before it began.
        """
        known = await self._access.of(run.project_id)
        # What was prepared with the secrets of one project is for no other, and not for the same with other secrets.
        key = run.snapshot, f"{run.project_id} {known.version}" if known.version or known.access.is_limited else ""
        with using(known.access):
            prepared = await self._taken(key) or await self._prepare(key, known.session)
            try:
                return await self._within(prepared, run)
            finally:
                await self._leave(prepared)

    def recorded(self, run: ClaimedRun, finished: FinishedRun) -> None:
        """The end of a run is in the database."""
        self._budgets.recorded(run, finished.result)

    def holds_back(self, run: ClaimedRun) -> bool:
        """Whether the execution of a run may have only so many at once."""
        return run.snapshot in self._limited and run.execution_id is not None

    async def close(self) -> None:
        """End the programs and servers of tools, close connections, and remove the files of snapshots."""
        prepared, self._prepared = [*self._prepared.values(), *self._replaced], OrderedDict()
        self._replaced.clear()
        for item in prepared:
            await item.engine.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = None

    async def _within(self, prepared: _Prepared, run: ClaimedRun) -> tuple[FinishedRun, LastLines | None]:
        stored, case = prepared.stored, run.case
        if case.scenario in stored.refused:
            raise RunError(stored.refused[case.scenario])
        base = prepared.runner.execution
        journal = await self._journals.open(run, keep_end=True)
        execution = replace(
            base,
            id=run.execution or run.id,
            run_id=run.id,
            thread_id=run.thread_id or run.id,
            journal_for=partial(_always, journal),
            adapt=stored.fork,
            ledger=await self._budgets.ledger(run, base.options.budget),
        )
        try:
            result = await prepared.runner.within(execution).run(case)
        except CaseCancelled as cancelled:
            result = cancelled.result
        if result.media and not result.unrecorded:
            result, kept = await keep_media(result, self._artifacts)
            await self._database.writer.artifacts(run, [artifact_row(item) for item in kept])
        return finished_run(result, instruction=stored.instruction(case.scenario, case.persona)), journal.end

    async def _taken(self, key: _Key) -> _Prepared | None:
        """A snapshot that is prepared and is what runs need now, with one user more; None if there is none."""
        prepared = self._prepared.get(key)
        if prepared is None:
            return None
        self._prepared.move_to_end(key)
        prepared.users += 1  # so that nobody closes it meanwhile
        try:
            current = await self._is_current(prepared)
        except BaseException:
            await self._leave(prepared)
            raise
        if current:
            return prepared
        if self._prepared.get(key) is prepared:
            del self._prepared[key]
            self._replaced.add(prepared)
        await self._leave(prepared)
        return None

    async def _is_current(self, prepared: _Prepared) -> bool:
        """Whether a snapshot would be prepared in the same way now."""
        stored = prepared.stored
        if stored.private and await self._private_values(stored) != prepared.values:
            return False
        return not stored.digests or await asyncio.to_thread(stored.marks) == prepared.marks

    async def _leave(self, prepared: _Prepared) -> None:
        """A run is over. What was replaced meanwhile is closed by the last one."""
        prepared.users -= 1
        if not prepared.users and prepared in self._replaced:
            self._replaced.discard(prepared)
            await prepared.engine.close()

    async def _private_values(self, stored: StoredSuite) -> Mapping[str, PrivateValues]:
        return await SavedDefinitions(self._database).private_values(stored.private)

    async def _prepare(self, key: _Key, session: RuntimeSession) -> _Prepared:
        """Prepare a snapshot, once for all runs that ask for it together; with one user more."""
        lock = self._preparing.setdefault(key, asyncio.Lock())  # is gone with the last who waits for it
        async with lock:
            if (held := await self._taken(key)) is not None:
                return held
            await self._make_room()
            stored = await asyncio.to_thread(read_snapshot, await self._snapshot(key[0]))
            values = await self._private_values(stored)
            marks = await asyncio.to_thread(stored.marks)
            suite = held_apart(await asyncio.to_thread(stored.opened, self._files(), values))
            given = {agent.name: self._agents[agent.name] for agent in suite.agents if agent.name in self._agents}
            models = {model.name: self._models[model.name] for model in suite.models if model.name in self._models}
            engine = Engine(
                suite=suite,
                mocks=stored.mocks,
                mocking=stored.mocking,
                parts=parts_of(given, models),
                clock=self._clock,
                session=session,
            )
            runner = await engine.case_runner(replace(stored.options, resuming=True))
            prepared = _Prepared(stored=stored, engine=engine, runner=runner, values=values, marks=marks, users=1)
            self._prepared[key] = prepared
            if suite.defaults.concurrency is not None:
                self._limited.add(key[0])
            return prepared

    async def _make_room(self) -> None:
        """Close the snapshots that were not used for longest, if there are many."""
        idle = [key for key, item in self._prepared.items() if not item.users]
        # None may be taken up by a run while another one is being closed.
        closing = [self._prepared.pop(key) for key in idle[: max(0, len(idle) - MOST_SNAPSHOTS + 1)]]
        for item in closing:
            await item.engine.close()

    async def _snapshot(self, digest: str) -> Snapshot:
        def work(connection: Connection) -> bytes | None:
            return connection.execute(select(snapshots.c.data).where(snapshots.c.digest == digest)).scalar()

        data = await self._database.read(work)
        if data is None:
            raise RunError(f"the database has no snapshot {digest[:12]}, which the run was made from")
        return Snapshot(digest=digest, data=data)

    def _files(self) -> Path:
        """Where the files of snapshots are written."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="duologue-"))
        return self._folder


def _always(journal: DatabaseJournal, _: TestCase) -> DatabaseJournal:
    """The journal of the only case that there is."""
    return journal
