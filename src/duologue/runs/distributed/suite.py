"""The test cases of a suite as units of work, and their results in the folder of the execution."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.errors import ConfigurationError, ResultsError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.journal.events import Entry
from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions
from duologue.runs.distributed.ports import Filter, WorkResult, WorkUnit
from duologue.runs.distributed.sinks import MemoryResults
from duologue.runs.distributed.suite_session import FILE_NAMES, Files, PlayCase, PlayedCase, SuiteSession
from duologue.runs.store.encoding import INDEX, decoded_plan
from duologue.runs.store.reader import read_index, read_run
from duologue.suites.execution.engine import Engine
from duologue.suites.execution.launch import Launch
from duologue.suites.execution.until_decided import TrialOrder
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import RunStatus, Termination

Execution = Coordinator[Any]


@frozen
class SuiteSource:
    """Makes a unit of each test case of a plan; its id is that of the run.

    Attributes:
        execution_id: the ids of runs derive from it.
        seconds: what earlier runs of a case took, by its group.
        definition: digests that a worker's files have to agree with; None where they are the same files.
        files: of an interrupted run, which the worker does not have; None where it has them.
    """

    execution_id: str
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    definition: Callable[[TestCase], Mapping[str, str]] | None = None
    files: Callable[[str], Files] | None = None

    async def generate(self, config: Plan) -> Sequence[WorkUnit]:
        """All units of a plan."""
        return list(self.units(config.cases))

    async def stream(self, config: Plan) -> AsyncIterator[WorkUnit]:
        """The units of a plan, one after the other."""
        for unit in self.units(config.cases):
            yield unit

    async def estimate_workload(self, config: Plan) -> int:
        """How many units a plan has."""
        return len(config)

    def units(self, cases: Iterable[TestCase], *, one_by_one: bool = False) -> Iterator[WorkUnit]:
        """The units of some cases.

        Args:
            cases: of a plan.
            one_by_one: each waits for the one before it.
        """
        usual = sum(self.seconds.values()) / len(self.seconds) if self.seconds else None
        before: tuple[str, ...] = ()
        for case in cases:
            run_id = case.run_id(self.execution_id)
            work = PlayCase(
                case=case,
                definition=self.definition(case) if self.definition else None,
                files=self.files(run_id) if self.files else (),
            )
            yield WorkUnit(
                id=run_id,
                execute=work,
                dependencies=before,
                estimated_duration=self.seconds.get(case.group, usual),
            )
            before = (run_id,) if one_by_one else ()


def seconds_in(folder: Path) -> dict[str, float]:
    """How long the runs of an execution took, by the group of their case; nothing if the folder has no index."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    with suppress(ConfigurationError, LookupError, TypeError, ValueError):
        index = read_index(folder)
        cases = {case.index: case for case in decoded_plan(index["plan"]).cases}
        for line in index["runs"]:
            if line["seconds"] > 0:
                times[cases[line["case"]].group].append(line["seconds"])
    return {group: sum(found) / len(found) for group, found in times.items()}


class SuiteResults:
    """Records the results of units of a suite in the folder of its execution, each once.

    Args:
        keep: records a result, such as :meth:`ResultFolder.run_finished`.
        failed: makes a result of a unit that could not be carried out.
        folder: of the results; None where no journals are kept.
    """

    def __init__(
        self,
        keep: Callable[[RunResult], None],
        failed: Callable[[WorkResult], RunResult | None],
        folder: Path | None,
    ) -> None:
        self._keep = keep
        self._failed = failed
        self._folder = folder
        self._seen = MemoryResults()

    async def store(self, result: WorkResult) -> None:
        """Record a result, unless the unit has one: files first, so that all that the result names is there."""
        if await self._seen.retrieve(result.work_unit_id) is not None:
            return
        played = result.data if isinstance(result.data, PlayedCase) else None
        run = played.run if played else self._failed(result)
        if played is not None and self._folder is not None:
            _write(self._folder, played.files)
        if run is not None:
            self._keep(run)
        await self._seen.store(replace(result, data=None))

    async def retrieve(self, work_unit_id: str) -> WorkResult | None:
        """The result of a unit, with the run as it is recorded."""
        found = await self._seen.retrieve(work_unit_id)
        return None if found is None else self._whole(found)

    async def query(self, criteria: Mapping[str, object]) -> Sequence[WorkResult]:
        """The results for which all this holds; ``outcome``, ``scenario`` and ``agent`` are known of each."""
        return [self._whole(result) for result in await self._seen.query(criteria)]

    def subscribe(self, filter: Filter | None = None) -> AsyncIterator[WorkResult]:
        """Results as they are recorded, without their runs."""
        return self._seen.subscribe(filter)

    def close(self) -> None:
        """End all subscriptions."""
        self._seen.close()

    def _whole(self, result: WorkResult) -> WorkResult:
        if self._folder is None:
            return result
        try:
            return replace(result, data=read_run(self._folder, result.work_unit_id))
        except ConfigurationError:  # it was not recorded, such as a cancelled one that has an earlier result
            return result


def _write(folder: Path, files: Files) -> None:
    for name, data in files:
        path = folder / name
        if not FILE_NAMES.fullmatch(name):
            raise ResultsError(f"a worker sent a file '{name[:200]}', which is none of a run; nothing was written")
        if name.startswith(MEDIA) and path.is_file():
            continue  # it is named after its content
        try:
            write_atomic(path, data, permissions=OWNER_ONLY, durable=False)
        except OSError as error:
            raise ResultsError(f"{path} cannot be written: {error.strerror or error}") from error


def files_of_run(folder: Path, run_id: str) -> Files:
    """The journal of a run that was cut off, with the media that it names; nothing if there is none."""
    path = folder / JOURNALS / f"{run_id}.jsonl"
    try:
        journal = path.read_bytes()
    except OSError:
        return ()
    media = folder / MEDIA
    named = [item for item in media.iterdir() if item.stem.encode() in journal] if media.is_dir() else []
    return (
        (f"{JOURNALS}/{path.name}", journal),
        *(
            (f"{MEDIA}/{item.name}", item.read_bytes())
            for item in named
            if FILE_NAMES.fullmatch(f"{MEDIA}/{item.name}")
        ),
    )


@frozen
class Workers:
    """Who runs the cases of a suite.

    Attributes:
        make: makes the executor, given units for each worker at once, and its options.
        count: how many workers there are; None where they belong to somebody else.
        concurrency: cases at once on all of them; None for what the default is.
        in_place: they write into the folder of the results.
        earlier: the folder of an earlier execution, which says how long cases take; None for none.
    """

    make: Callable[[int, ExecutorOptions], Execution]
    count: int | None = None
    concurrency: int | None = None
    in_place: bool = True
    earlier: Path | None = None


CASES_OF_A_WORKER = 8
"""At once, unless somebody says how many cases there may be."""


@dataclass(kw_only=True)
class DistributedLaunch(Launch):
    """Runs a plan on workers.

    Attributes:
        engine: of the suite.
        at: who they are.
    """

    engine: Engine
    at: Workers
    _executor: Execution = field(init=False)
    _source: SuiteSource = field(init=False)
    _cases: dict[str, TestCase] = field(default_factory=dict[str, TestCase])

    def __post_init__(self) -> None:
        execution, at = self.runner.execution, self.at
        apart = not at.in_place and execution.folder is not None
        self._source = SuiteSource(
            execution_id=execution.id,
            seconds=seconds_in(at.earlier) if at.earlier else {},
            definition=None if at.in_place else self.runner.definition,
            files=self._files if apart and execution.options.resuming else None,
        )
        concurrency, count = at.concurrency, at.count
        total = concurrency or (None if count is None else count * CASES_OF_A_WORKER)
        self._executor = at.make(
            math.ceil((total or CASES_OF_A_WORKER) / (count or 1)),
            ExecutorOptions(
                sink=SuiteResults(self._record, self._broken, execution.folder),
                session=self._session(),
                limit=None if count and total and total % count == 0 else total,  # the workers keep it then
                on_started=self._begins,
                on_message=self._told if self.observers.wants_events else None,
                clock=execution.clock,
            ),
        )

    async def run(self, cases: Iterable[TestCase]) -> list[RunResult]:
        """The results in plan order; cases that were not begun have none."""
        cases = list(cases)
        self._cases = {case.run_id(self.runner.execution.id): case for case in cases}
        async with self._executor:
            return await super().run(cases)

    def stop(self) -> None:
        """Begin no further case; those under way go on. A second call cancels them."""
        super().stop()
        self._executor.stop()

    def _start(self, cases: Iterable[TestCase], concurrency: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._execute(cases, one_by_one=concurrency == 1))]

    async def _in_order(self, order: TrialOrder) -> None:
        """Round by round: the workers are given all trials at once that may be started, and what they decide counts."""
        while not self._stopping and (cases := list(iter(order.take, None))):
            await self._all_done(cases, self.concurrency)

    async def _execute(self, cases: Iterable[TestCase], *, one_by_one: bool) -> None:
        await self._executor.execute(self._source.units(cases, one_by_one=one_by_one))

    def _session(self) -> SuiteSession:
        engine, execution, at = self.engine, self.runner.execution, self.at
        return SuiteSession(
            suite=_shared(self.runner.suite, at.count or 1),
            execution_id=execution.id,
            options=replace(_of_worker(execution.options), execution_id=execution.id),
            path=engine.path,
            mocks=engine.mocks,
            mocking=engine.mocking,
            results=str(execution.folder) if execution.folder else None,
            in_place=at.in_place,
            with_events=self.observers.wants_events,
        )

    def _files(self, run_id: str) -> Files:
        folder = self.runner.execution.folder
        return files_of_run(folder, run_id) if folder else ()

    def _begins(self, unit: WorkUnit) -> None:
        self.observers.run_started(self._cases[unit.id])

    def _told(self, run_id: str, message: object) -> None:
        if isinstance(message, Entry):
            self.observers.event(self._cases[run_id], message)

    def _record(self, run: RunResult) -> None:
        self._keep(run)
        if self._ends(run):
            self._stopping = True
            self._executor.stop()

    def _broken(self, result: WorkResult) -> RunResult | None:
        """The result of a case that no worker could run; None for one that was cancelled before it began."""
        case = self._cases[result.work_unit_id]
        if "refused" in result.metadata:
            raise ConfigurationError(
                f"the worker {result.metadata.get('worker')} has other files than this machine: "
                f"{result.metadata['refused']} of '{case.title}' differ there. A worker needs the same files of the "
                "suite, and the same code; mend that, and continue with --resume"
            )
        if result.metadata.get("cancelled") or result.error is None:
            return None
        return RunResult(
            case=case,
            run_id=result.work_unit_id,
            status=RunStatus.ERROR,
            termination=Termination.ERROR,
            reasoning=result.error.message,
            error=result.error,
            definition=self.runner.definition(case),
        )


def _of_worker(options: RunOptions) -> RunOptions:
    """What a worker has to know; a run whose worker has died is continued by the next."""
    return replace(options, known=(), last=(), earlier=None, budget=None, resuming=True)


def _shared(suite: Any, workers: int) -> Any:
    """The suite with the share of a worker in the rate limits of its models."""
    if workers == 1 or not any(model.rate_limit for model in suite.models):
        return suite
    models = [
        model.changed(rate_limit=model.rate_limit.changed(rps=model.rate_limit.rps / workers)) if model.rate_limit
        else model
        for model in suite.models
    ]  # fmt: skip
    return suite.changed(models=tuple(models)).within(suite.folder)


def newest_execution(folder: Path, suite: str) -> Path | None:
    """The last execution of a suite among those right below a folder; None if there is none that has an index."""
    if not folder.is_dir():
        return None
    for path in sorted((item for item in folder.iterdir() if (item / INDEX).is_file()), reverse=True)[:5]:
        with suppress(ConfigurationError, LookupError):
            if read_index(path)["suite"] == suite:
                return path
    return None
