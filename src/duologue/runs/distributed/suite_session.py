"""The worker's side of a suite: it has the suite, prepares it once, and runs the cases that it is given."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.config.patterns import late
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.runs.distributed.ports import WorkResult
from duologue.runs.distributed.worker_scope import WorkerScope
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.case_run import CaseCancelled, CaseRunner
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import RunStatus

if TYPE_CHECKING:
    from duologue.journal.events import Entry
    from duologue.models.mock.file import ResponseFile

FILE_NAMES = late(rf"{JOURNALS}/[^/\x00]+\.jsonl[^/\x00]*|{MEDIA}/[0-9a-f]{{64}}\.[a-z0-9]{{1,8}}")
"""Files of a run, relative to the folder of the results."""

Files = tuple[tuple[str, bytes], ...]
"""Names, relative to the folder of the results, and contents."""


@frozen
class PlayedCase:
    """What a worker gives back of a case.

    Attributes:
        run: its result.
        files: its journal, what was set aside of it, and its media, where the worker does not write into the folder of
            the results.
    """

    run: RunResult
    files: Files = ()


@frozen
class PlayCase:
    """Runs a case on a worker whose session is that of its suite.

    Attributes:
        case: what is run.
        definition: digests of what decides its result, as they are where the work is given out: a worker with other
            files must not run it. None where the files are the same.
        files: the journal of an interrupted run of it, with media, where the worker does not have them.
    """

    case: TestCase
    definition: Mapping[str, str] | None = None
    files: Files = ()

    async def __call__(self, scope: WorkerScope) -> WorkResult:
        """Run it."""
        session = scope.session
        assert isinstance(session, OpenSuite)
        return await session.play(self)


@frozen
class SuiteSession:
    """Opens a suite on a worker.

    Attributes:
        suite: as it was read, with its folder.
        execution_id: the ids of runs derive from it.
        options: how it is run, the suite's defaults included.
        path: its main file, for reports.
        mocks, mocking: mock mode, as in the engine.
        results: the folder of the results; None to keep no journals.
        in_place: the worker writes journals and media there; otherwise it sends them.
        with_events: somebody wants to know of every event.
    """

    suite: Suite
    execution_id: str
    options: RunOptions
    path: str = ""
    mocks: ResponseFile | None = None
    mocking: bool = False
    results: str | None = None
    in_place: bool = True
    with_events: bool = False

    def __call__(self, scope: WorkerScope) -> AbstractAsyncContextManager[OpenSuite]:
        """Open it."""
        return self._opened(scope)

    @asynccontextmanager
    async def _opened(self, scope: WorkerScope) -> AsyncGenerator[OpenSuite]:
        folder = self.suite.folder
        if not folder.is_dir():
            raise ConfigurationError(
                f"there is no folder {folder} here; a worker needs the files of the suite '{self.suite.name}' at the "
                "same path as the machine that gives out its cases"
            )
        own = (
            None
            if self.in_place or self.results is None
            else Path(tempfile.mkdtemp(prefix="duologue-worker-", dir=scope.folder))
        )
        results = own or (Path(self.results) if self.results is not None else None)
        try:
            engine = Engine(
                suite=self.suite, path=self.path, mocks=self.mocks, mocking=self.mocking, recordings=results
            )
            async with engine:
                yield OpenSuite(await self._runner(engine, scope), self.execution_id, own)
        finally:
            if own is not None:
                shutil.rmtree(own, ignore_errors=True)

    async def _runner(self, engine: Engine, scope: WorkerScope) -> CaseRunner:
        def tell(case: TestCase, entry: Entry) -> None:
            scope.tell(case.run_id(self.execution_id), entry)

        return await engine.case_runner(self.options, on_event=tell if self.with_events else None)


class OpenSuite:
    """A suite on a worker.

    Args:
        runner: runs its cases.
        execution_id: of the execution.
        own: the folder for journals and media that are sent; None if they are kept where they belong.
    """

    def __init__(self, runner: CaseRunner, execution_id: str, own: Path | None) -> None:
        self._runner = runner
        self._execution_id = execution_id
        self._own = own
        self._sent: set[str] = set()

    async def play(self, work: PlayCase) -> WorkResult:
        """Run a case; a cancelled one has a result, too."""
        case = work.case
        run_id = case.run_id(self._execution_id)
        if work.definition is not None and (differs := self._differs(work.definition, case)):
            return WorkResult(work_unit_id=run_id, success=False, metadata={"refused": differs})
        self._put(work.files)
        cancelled = False
        try:
            run = await self._runner.run(case)
        except CaseCancelled as stopped:
            run, cancelled = stopped.result, True
        metadata: dict[str, object] = {"outcome": run.outcome, "scenario": case.scenario, "agent": case.agent}
        return WorkResult(
            work_unit_id=run_id,
            success=run.status is RunStatus.COMPLETED,
            data=PlayedCase(run=run, files=self._files(run)),
            error=run.error,
            metadata={**metadata, "cancelled": True} if cancelled else metadata,
        )

    def _differs(self, expected: Mapping[str, str], case: TestCase) -> str:
        """Which parts of the definition of a case are others here; '' if none is."""
        here = self._runner.definition(case)
        parts = sorted(name for name in {*expected, *here} if expected.get(name) != here.get(name))
        return ", ".join(parts)

    def _put(self, files: Files) -> None:
        """Files of an interrupted run, which is continued here."""
        for name, data in files:
            assert self._own is not None
            if FILE_NAMES.fullmatch(name):
                write_atomic(self._own / name, data, permissions=OWNER_ONLY, durable=False)

    def _files(self, run: RunResult) -> Files:
        """The files of a run, which are not needed here any more. Media stay: another run may have the same."""
        own = self._own
        if own is None:
            return ()
        found: list[tuple[str, bytes]] = []
        for path in sorted((own / JOURNALS).glob(f"{run.run_id}.jsonl*")):
            found.append((f"{JOURNALS}/{path.name}", path.read_bytes()))
            path.unlink()
        said = b"".join(data for _, data in found)
        for path in sorted((own / MEDIA).glob("[0-9a-f]*")):
            if path.name not in self._sent or path.stem.encode() in said:
                found.append((f"{MEDIA}/{path.name}", path.read_bytes()))
                self._sent.add(path.name)
        return tuple(found)
