"""The engine of a suite: plan it, execute it, get its results. ``duologue run`` uses it, and so can your own code.

::

    async with Engine.from_file("suite.yaml") as engine:
        plan = engine.generate_plan(Filters(tags=["smoke"]))
        execution = await engine.execute(plan)

Agents and models that exist already in a program take the place of what the suite says of them.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from duologue.config.problems import hint, listed
from duologue.context import Clock, SystemClock
from duologue.conversation.threads import WorkerPool
from duologue.errors import ConfigurationError
from duologue.journal.artifacts import JOURNALS
from duologue.models.base import Model
from duologue.models.scope import Amount, Ledger, ledger_for
from duologue.specs.suite import Replay, Suite
from duologue.suites.execution.launch import Launch, Observer, Observers
from duologue.suites.execution.parts import Parts, joined, parts_of
from duologue.suites.manifests.loader import load
from duologue.suites.plan.build import Filters, Plan, TestCase, generate_plan
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult, Spent, total_spent
from duologue.suites.runner.case_run import Adapt, CaseRunner, Execution, OnEvent
from duologue.suites.runner.definition import Definitions, Kept, RunOptions, kept_runs_of
from duologue.suites.runner.earlier import Earlier, spent_in_journals
from duologue.suites.runner.models import SuiteModels
from duologue.vocabulary import AgentRole

if TYPE_CHECKING:
    from duologue.agents.tools.toolbox import Toolbox
    from duologue.conversation.adapter import AgentAdapter
    from duologue.conversation.run import StreamChunk
    from duologue.models.mock.file import ResponseFile
    from duologue.runtimes.base import RuntimeSession
    from duologue.suites.replay import RecordingIndex
    from duologue.suites.runner.isolated_agents import AgentProcesses


@dataclass(kw_only=True)
class Engine:
    """Runs one suite.

    Attributes:
        suite: what is run.
        path: its main file, for reports.
        mocks: the response file of mock mode.
        mocking: mock mode: every model answers from ``mocks``, or with a fixed sentence.
        recordings: the folder in which journals and media are kept; None for none.
        parts: agents and models that the program hands over; see :meth:`from_parts`.
        clock: time, for tests.
        launcher: makes what runs a plan, such as one that has other processes run its cases.
        adapt: changes the participants and the script of each run; None to play what the suite says.
        session: what runtimes may ask of the service that runs them; None outside of one.
    """

    suite: Suite
    path: str = ""
    mocks: ResponseFile | None = None
    mocking: bool = False
    recordings: Path | None = None
    parts: Parts = field(default_factory=Parts)
    clock: Clock = field(default_factory=SystemClock)
    launcher: Callable[..., Launch] = Launch
    adapt: Adapt | None = None
    session: RuntimeSession | None = None
    results: dict[str, RunResult] = field(default_factory=dict[str, RunResult])
    """Of all executions of this engine, by run id."""
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _toolbox: Toolbox | None = None
    _processes: AgentProcesses | None = None
    _launch: Launch | None = None
    _threads: WorkerPool | None = None

    @cached_property
    def _recordings(self) -> RecordingIndex:
        from duologue.suites.replay import RecordingIndex

        return RecordingIndex(self.suite)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The engine of a suite file or folder.

        Raises:
            SuiteError: something is wrong with the files; the error has all of it.
        """
        suite = load(path)
        return cls(suite=suite.within(suite.folder.absolute()), path=str(path))  # an agent may change the current one

    @classmethod
    def from_parts(
        cls, suite: Suite, *, agents: Mapping[str, Any] | None = None, models: Mapping[str, Model] | None = None
    ) -> Self:
        """The engine of a suite that a program has made or changed, with agents and models of its own.

        Args:
            suite: with or without entries for the parts; those that it does not name are added to it.
            agents: by name an AgentAdapter, its class, a function that makes one, or a function of the AgentInput that
                answers.
            models: by name; agents, simulators and judges of the suite use them by it.

        Raises:
            SuiteError: something in the suite leads nowhere.
            TargetError: the target of an agent is not an agent.
        """
        parts = parts_of(agents or {}, models or {})
        return cls(suite=joined(suite, parts), parts=parts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def with_suite(self, suite: Suite) -> Self:
        """An engine for a changed suite that has the same agents, models and tools; only this one closes them."""
        await self.case_runner()
        return replace(self, suite=suite.within(self.suite.folder), recordings=None, results={})

    def enable_mock_mode(self, path: str | Path | None = None) -> None:
        """Let every model of the suite answer from a file, or with a fixed sentence.

        Raises:
            SuiteError: the file is no response file.
        """
        from duologue.models.mock.file import ResponseFile

        self.mocks = ResponseFile.read(Path(path)) if path else None
        self.mocking = True

    def enable_recording(self, folder: str | Path) -> None:
        """Keep the journal of every run in ``folder/journals``, and its media in ``folder/media``."""
        self.recordings = Path(folder)

    def recording_path(self, run_id: str) -> Path | None:
        """The journal of a run; None where nothing is recorded."""
        return self.recordings / JOURNALS / f"{run_id}.jsonl" if self.recordings else None

    def generate_plan(
        self,
        filters: Filters | None = None,
        *,
        trials: int | None = None,
        seed: int | None = None,
        until_decided: bool = False,
    ) -> Plan:
        """The test cases; see :func:`duologue.suites.plan.generate_plan`."""
        return generate_plan(
            self.suite, filters, trials=trials, seed=seed, recordings=self._recorded, until_decided=until_decided
        )

    def _recorded(self, replay: Replay) -> Mapping[str, str | None]:
        return self._recordings.titles(replay)

    async def execute(
        self, plan: Plan | None = None, settings: RunOptions | None = None, *, observers: Sequence[Observer] = ()
    ) -> ExecutionResult:
        """Run a plan to its end. One case never stops another, unless ``fail_fast`` is asked for.

        Args:
            plan: what is run; None for everything.
            settings: how.
            observers: are told of everything.

        Returns:
            The results in plan order. If it is stopped or cancelled, as much as there is, with ``interrupted`` set.
        """
        plan = plan or self.generate_plan()
        options = (settings or RunOptions()).over(self.suite.defaults)
        told = Observers(observers)
        execution_id = options.execution_id or new_execution_id(self.clock)
        began, started_at = self.clock.monotonic(), datetime.fromtimestamp(self.clock.now(), UTC)
        on_event = told.event if told.wants_events else None
        runner = await self._runner(execution_id, options, on_event, self._ledger(options))
        thresholds = _thresholds(plan, runner)
        self._launch = launch = self.launcher(
            runner=runner,
            observers=told,
            concurrency=min(options.concurrency or 1, max(len(plan), 1)),
            fail_fast=options.fail_fast,
            known={run.case.identity: run for run in options.known},
            last=options.last,
            pass_threshold=options.pass_threshold or 1.0,
            thresholds=thresholds,
        )
        earlier = options.earlier or Earlier(started_at=started_at)
        prepared = ExecutionResult(
            id=execution_id,
            suite=self.suite.name,
            path=self.path,
            plan=plan,
            runs=tuple(options.known),
            started_at=earlier.started_at,
            seconds=earlier.seconds,
            earlier=earlier.spent,
            allowance=Allowance(
                undecided=_number(options.allow_undecided),
                errors=_number(options.allow_errors),
                pass_rate=options.pass_rate,
                pass_threshold=options.pass_threshold if any(case.until_decided for case in plan.cases) else None,
            ),
            environment=self._environment(),
            thresholds=thresholds,
            metrics_threshold=self.suite.defaults.metrics_threshold,
        )
        told.prepared(prepared)
        told.started(plan, execution_id)
        runs = await launch.run(plan.cases)
        self.results.update({run.run_id: run for run in runs})
        execution = replace(
            prepared,
            runs=tuple(runs),
            seconds=earlier.seconds + self.clock.monotonic() - began,
            earlier=earlier.spent + self._spent_aside(options, runs),
            interrupted=launch.interrupted,
        )
        told.finished(execution)
        return execution

    async def preflight(self, plan: Plan, settings: RunOptions | None = None) -> None:
        """Look for everything that the cases of a plan need: models, keys, packages, functions, servers.

        No model and no agent is called; see :mod:`duologue.suites.execution.preflight`.

        Raises:
            SuiteError: something is missing; the error has all of it.
        """
        from duologue.suites.execution.preflight import needed_by, preflight

        known = {run.case.identity for run in settings.known} if settings else set[str]()
        await preflight(
            needed_by(self.suite, (case for case in plan.cases if case.identity not in known)),
            SuiteModels(self.suite, mocks=self.mocks, mocking=self.mocking, given=self.parts.models),
            pool=self._pool,
            recordings=lambda: self._recordings,
            given=self.parts.agents,
        )

    async def stream(
        self, case: TestCase, settings: RunOptions | None = None
    ) -> AsyncGenerator[StreamChunk | RunResult]:
        """Run a single test case and yield what happens in it; the last thing is its result.

        Leaving the iteration early cancels the run.
        """
        runner = await self.case_runner(settings)
        async with aclosing(runner.stream(case)) as happenings:
            async for happening in happenings:
                if isinstance(happening, RunResult):
                    self.results[happening.run_id] = happening
                yield happening

    async def case_runner(
        self, settings: RunOptions | None = None, *, on_event: OnEvent | None = None, ledger: Ledger | None = None
    ) -> CaseRunner:
        """What runs single test cases, for whoever decides which of them are run when. It works until :meth:`close`.

        Args:
            settings: how they are run.
            on_event: is told of every event of every run.
            ledger: what all runs spend from; None for one of the budget in the settings.
        """
        options = (settings or RunOptions()).over(self.suite.defaults)
        execution_id = options.execution_id or new_execution_id(self.clock)
        return await self._runner(execution_id, options, on_event, ledger or self._ledger(options))

    async def thresholds(self, plan: Plan, settings: RunOptions | None = None) -> dict[str, dict[str, float]]:
        """By group of a plan's cases, the share of trials that checks need, by name, where it is not all of them."""
        return _thresholds(plan, await self.case_runner(settings))

    async def agent_of(self, case: TestCase) -> AgentAdapter:
        """The agent that a case rehearses, as it would take part in a run of its own. It works until :meth:`close`.

        Raises:
            ConfigurationError: the case is a recording.
        """
        runner = await self.case_runner()
        agents = runner.setup(case).participants(case).agents
        found = next((agent for agent in agents if agent.role is AgentRole.AGENT), None)
        if found is None:
            raise ConfigurationError(f"{case.title} is a recording, which has no agent to talk with")
        return found

    def stop(self) -> None:
        """Begin no further case; a second call cancels those under way."""
        if self._launch:
            self._launch.stop()

    async def close(self) -> None:
        """End the programs and servers of tools, and close connections. Harmless when it was done before."""
        self._toolbox = self._processes = None
        if self._threads is not None:
            await self._threads.close()
            self._threads = None
        await self._open.aclose()

    def _pool(self) -> WorkerPool:
        """One event loop for all agents that the suite names as code, so that they can share clients, and no other.

        Only if one of them blocks it, others are played on another thread.
        """
        if self._threads is None:
            self._threads = WorkerPool(1, idle_seconds=None)
        return self._threads

    async def _runner(
        self, execution_id: str, options: RunOptions, on_event: OnEvent | None, ledger: Ledger | None
    ) -> CaseRunner:
        if self._toolbox is None:
            from duologue.agents.tools.toolbox import Toolbox

            self._toolbox = await self._open.enter_async_context(Toolbox(self.suite))
        return CaseRunner(
            _with_evals(self.suite, options.eval_types),
            execution=Execution(
                id=execution_id,
                options=options,
                folder=self.recordings,
                ledger=ledger,
                clock=self.clock,
                on_event=on_event,
                adapt=self.adapt,
            ),
            models=SuiteModels(self.suite, mocks=self.mocks, mocking=self.mocking, given=self.parts.models),
            toolbox=self._toolbox,
            processes=self._agent_processes(),
            definitions=self._definitions(options),
            recordings=lambda: self._recordings,
            given=self.parts.agents,
            threads=self._pool,
            session=self.session,
        )

    def _agent_processes(self) -> AgentProcesses | None:
        if self._processes is None and any(agent.isolation == "processes" for agent in self.suite.agents):
            from duologue.suites.runner.isolated_agents import AgentProcesses

            self._processes = AgentProcesses()
            self._open.push_async_callback(self._processes.close)
        return self._processes

    def still_valid(self, plan: Plan, finished: Sequence[RunResult], settings: RunOptions | None = None) -> Kept:
        """Which results of an earlier launch of a plan still hold, and what has changed about the others.

        Args:
            plan: what was planned then.
            finished: the results that there are.
            settings: how the plan is run now.
        """
        options = (settings or RunOptions()).over(self.suite.defaults)
        return kept_runs_of(plan.cases, finished, self._definitions(options))

    def definition(self, case: TestCase, settings: RunOptions | None = None) -> Mapping[str, str]:
        """What decides the result of a case; see :mod:`duologue.suites.runner.definition`."""
        return self._definitions((settings or RunOptions()).over(self.suite.defaults)).of(case)

    def _definitions(self, options: RunOptions) -> Definitions:
        suite = _with_evals(self.suite, options.eval_types)
        return Definitions(suite, options, mocks=self.mocks, mocking=self.mocking)

    def _ledger(self, options: RunOptions) -> Ledger | None:
        """What all runs spend from; whatever earlier sessions of the execution have spent counts."""
        if options.budget is None:
            return None
        ledger = ledger_for(options.budget, self.clock, owner="the execution")
        earlier = [run.spent for run in options.known]
        earlier += [options.earlier.spent] if options.earlier else []
        spent = total_spent([*earlier, self._spent_aside(options, options.known)])
        ledger.count_earlier(Amount(money=spent.cost, tokens=spent.usage.total_tokens))
        return ledger

    def _spent_aside(self, options: RunOptions, results: Sequence[RunResult]) -> Spent:
        """What was spent in earlier sessions on runs, or attempts of runs, of which there is no result."""
        if not options.resuming or self.recordings is None:
            return Spent()
        return spent_in_journals(self.recordings / JOURNALS, {run.run_id for run in results})

    def _environment(self) -> dict[str, Any]:
        from duologue.config.origin import origin
        from duologue.suites.execution.configuration import configuration_of
        from duologue.version import __version__

        return {
            "duologue": __version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",
            "mock": self.mocking,
            "command": " ".join(Path(part).name if index == 0 else part for index, part in enumerate(sys.argv[:1])),
            "configuration": configuration_of(self.suite),
            **origin(self.suite.folder, os.environ),
        }


def new_execution_id(clock: Clock) -> str:
    """A name that sorts by time and that no other execution has."""
    from duologue.context import RandomIds

    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{RandomIds(clock).new('x')[-8:]}"


def _number(value: int | str | None) -> int | None:
    return None if value == "all" else int(value or 0)


def _thresholds(plan: Plan, runner: CaseRunner) -> dict[str, dict[str, float]]:
    """By group, the checks that need less than all trials."""
    found: dict[str, dict[str, float]] = {}
    for case in plan.cases:
        if case.kind == "scenario" and case.trial == 1:
            shares = runner.thresholds(case)
            if shares:
                found[case.group] = shares
    return found


def _with_evals(suite: Suite, types: Sequence[str] | None) -> Suite:
    """The suite with the evals of those types only.

    Args:
        suite: whose packs and prompts have evals.
        types: None for all, empty for none.

    Raises:
        ConfigurationError: no eval is of that type.
    """
    if types is None:
        return suite
    known = {spec.type for spec in (*suite.pack_evals, *(item for prompt in suite.prompts for item in prompt.evals))}
    for name in types:
        if name not in known:
            message = f"the suite '{suite.name}' has no eval of type '{name}'{hint(name, known)}"
            raise ConfigurationError(f"{message} It has {listed(sorted(known))}.")
    prompts = (
        prompt.changed(evals=tuple(item for item in prompt.evals if item.type in types)) for prompt in suite.prompts
    )
    chosen = tuple(item for item in suite.pack_evals if item.type in types)
    return suite.changed(pack_evals=chosen, prompts=tuple(prompts)).within(suite.folder)
