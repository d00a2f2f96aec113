"""Runs test cases: one run each, recorded if asked for, with a result whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duologue.agents.tools.toolbox import Toolbox
from duologue.config.files import REPLACED
from duologue.config.problems import nearest
from duologue.config.tracebacks import describe
from duologue.context import Clock, Context, RandomIds, derive_seed
from duologue.conversation.deadlines import was_pressed
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult
from duologue.conversation.run import StreamChunk, chunks_of
from duologue.conversation.threads import ThreadBlocked, WorkerPool, in_worker_thread
from duologue.errors import ConfigurationError, DuologueError, JournalError, ResumeError
from duologue.frozen import changed, frozen
from duologue.journal.artifacts import JOURNALS, MEDIA, FolderArtifacts
from duologue.journal.events import Entry, ErrorInfo
from duologue.journal.journal import Listener
from duologue.journal.jsonl import JsonlJournal
from duologue.journal.run_journal import RunJournal
from duologue.models.scope import Ledger
from duologue.settings import ScenarioConfig, effective_config
from duologue.specs.suite import Suite, find_named
from duologue.suites.plan.build import TestCase
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult
from duologue.suites.runner.assessed import assessed, is_spoilt, played_again
from duologue.suites.runner.case_setup import CaseSetup, Setup
from duologue.suites.runner.definition import Definitions, RunOptions
from duologue.suites.runner.models import SuiteModels
from duologue.suites.runner.replay_setup import ReplaySetup
from duologue.suites.runner.script import Participants
from duologue.vocabulary import RunStatus, Termination, Verdict

if TYPE_CHECKING:
    from duologue.runtimes.base import RuntimeSession
    from duologue.suites.replay import RecordingIndex
    from duologue.suites.runner.isolated_agents import AgentProcesses
    from duologue.suites.runner.python_agents import MakeAgent

SPOILT = "attempt-spoilt"
"""What the name of the journal of a run ends with that its simulated user has spoilt."""
OnEvent = Callable[[TestCase, Entry], None]
Adapt = Callable[[TestCase, Participants], Participants]
"""Changes who takes part in the run of a case, or what happens in it."""


@frozen
class Execution:
    """What all runs of one execution share.

    Attributes:
        id: the ids of runs derive from it.
        options: how it is run, the suite's defaults included.
        folder: of the results: journals and media are kept in it; None to keep none.
        journal_for: where the journal of each case is kept, if not in the folder; None for a case that has none.
        ledger: what all runs spend from together.
        clock: of all runs.
        on_event: is told of every event of every run.
        run_id, thread_id: of the one run that there is; None for ids that derive from ``id``, and a new thread.
        adapt: changes the participants and the script of each run, as for a run that begins in the middle of another.
    """

    id: str
    options: RunOptions
    clock: Clock
    folder: Path | None = None
    journal_for: Callable[[TestCase], RunJournal | None] | None = None
    ledger: Ledger | None = None
    on_event: OnEvent | None = None
    run_id: str | None = None
    thread_id: str | None = None
    adapt: Adapt | None = None

    def run_id_of(self, case: TestCase) -> str:
        """The id of the run of a case."""
        return self.run_id or case.run_id(self.id)

    @cached_property
    def journals(self) -> Path | None:
        """The folder for journals."""
        return self.folder / JOURNALS if self.folder else None

    def journal_of(self, case: TestCase, run_id: str | None = None) -> RunJournal | None:
        """Where the journal of a case is kept; ``run_id`` is that of its run, where it is known already."""
        if self.journal_for is not None:
            return self.journal_for(case)
        return JsonlJournal(self.journals / f"{run_id or self.run_id_of(case)}.jsonl") if self.journals else None

    @cached_property
    def artifacts(self) -> FolderArtifacts | None:
        """Keeps media of all runs."""
        return FolderArtifacts(self.folder / MEDIA) if self.folder else None


class CaseRunner:
    """Runs test cases of one suite; what they share is prepared once.

    Args:
        suite: what is run.
        execution: what its runs belong to.
        models, toolbox, processes: models, tools and, where agents are isolated, their processes.
        definitions: what decides the results of its cases.
        recordings: gives its recordings; called only if there is a replay.
        given: agents that a program supplies, by name.
        threads: gives the threads for agents that are code which the suite names.
        session: what runtimes may ask of the service that runs them; None outside of one.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        execution: Execution,
        models: SuiteModels,
        toolbox: Toolbox,
        processes: AgentProcesses | None,
        definitions: Definitions,
        recordings: Callable[[], RecordingIndex],
        given: Mapping[str, MakeAgent] | None = None,
        threads: Callable[[], WorkerPool] = WorkerPool,
        session: RuntimeSession | None = None,
    ) -> None:
        self.suite = suite
        self.execution = execution
        self._models = models
        self._toolbox = toolbox
        self._processes = processes
        self._definitions = definitions
        self._recordings = recordings
        self._given = given or {}
        self._threads = threads
        self._session = session
        self._setups: dict[tuple[str, str, str | None, str], tuple[Setup, ScenarioConfig]] = {}

    def within(self, execution: Execution) -> CaseRunner:
        """The same runner for runs of another execution: what runs share stays prepared, options included."""
        other = copy(self)
        other.execution = execution
        return other

    def setup(self, case: TestCase) -> Setup:
        """What the case shares with others of the same scenario, agent and region, or of the same replay."""
        return self._prepared(case)[0]

    def _prepared(self, case: TestCase) -> tuple[Setup, ScenarioConfig]:
        key = (case.kind, case.scenario, case.agent, case.region)
        held = self._setups.get(key)
        if held is None:
            setup = self._replay(case) if case.kind == "replay" else self._scenario(case)
            held = self._setups[key] = setup, self._config(setup)
        return held

    def _replay(self, case: TestCase) -> Setup:
        replay = self._named("replays", case.scenario)
        return ReplaySetup(self.suite, replay, self._models, self._recordings())

    def _scenario(self, case: TestCase) -> Setup:
        scenario, agent, options = (
            self._named("scenarios", case.scenario),
            self._named("agents", case.agent),
            self.execution.options,
        )
        return CaseSetup(
            self.suite,
            scenario,
            agent,
            case.region,
            self._models,
            self._toolbox,
            self._processes,
            self._given.get(agent.name),
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            seconds=options.run_timeout,
            turn_limit=options.max_turns,
            session=self._session,
        )

    def _named(self, section: str, name: str | None) -> Any:
        found = find_named(getattr(self.suite, section), name)
        if found is None:
            known = [item.name for item in getattr(self.suite, section)]
            raise ConfigurationError(
                f"the suite '{self.suite.name}' no longer has a {section.removesuffix('s')} '{name}'"
                f"{nearest(name or '', known)}"
            )
        return found

    def thresholds(self, case: TestCase) -> dict[str, float]:
        """The share of trials that checks of a case need, by name, where it is not all of them."""
        try:
            return self.setup(case).thresholds
        except Exception:  # noqa: BLE001 - a case that cannot be prepared says so in its result
            return {}

    def definition(self, case: TestCase) -> Mapping[str, str]:
        """Digests of what decides the result of a case, by part."""
        return self._definitions.of(case)

    async def run(self, case: TestCase) -> RunResult:
        """Run one case. Whatever goes wrong is part of the result; only cancellation is raised.

        A run that its simulated user has spoilt is played a second time, and is not charged to the agent.
        """
        result = await self._run(case)
        if not result.blame or not is_spoilt(result):
            return result
        if (journal := self.execution.journal_of(case)) is not None:
            journal.set_aside(SPOILT)
        again, _ = await self._attempt(changed(case, seed=derive_seed(case.seed, SPOILT)))
        return played_again(result, again, case)

    async def _run(self, case: TestCase) -> RunResult:
        if self._continues(case):
            result, failure = await self._attempt(case, resume=True)
            if not isinstance(failure, ResumeError):
                return result
            self._set_aside(case)  # what was recorded cannot be repeated: the run starts again
        result, _ = await self._attempt(case)
        return result

    async def _attempt(self, case: TestCase, *, resume: bool = False) -> _Attempted:
        """Run one case, from its beginning or from where its journal ends."""
        begun = _Begun()
        try:
            if self._is_python(case):
                return await self._in_thread(case, begun, resume)
            return await self._play(case, begun, resume)
        except asyncio.CancelledError:
            if begun.executor is None or begun.setup is None:
                raise
            raise CaseCancelled(self._result(case, begun.setup, begun.executor)) from None

    async def _in_thread(self, case: TestCase, begun: _Begun, resume: bool) -> _Attempted:
        """Run one case whose agent is code of the user, which may block its thread."""

        async def give_up(error: Exception | None) -> _Attempted:
            if begun.executor is None or begun.setup is None:
                raise asyncio.CancelledError
            result = await begun.executor.give_up(error)
            return self._result(case, begun.setup, begun.executor, result), begun.executor.failure

        threads, loop, attempt = self._threads(), asyncio.get_running_loop(), begun.attempt
        try:
            return await in_worker_thread(
                lambda: self._play(case, begun, resume, loop, attempt),
                give_up,
                threads,
                repeatable=True,
                alone=begun.again,
            )
        except ThreadBlocked as blocked:  # by another run, for ever: this one starts again on another thread
            lost = blocked
            begun.attempt += 1
            if begun.executor is not None and begun.setup is not None:
                await give_up(lost.error)
        self._set_aside(case)
        begun.executor, begun.setup, begun.again = None, None, begun.again or lost.begun
        return await self._in_thread(case, begun, False)

    async def _play(
        self,
        case: TestCase,
        begun: _Begun,
        resume: bool,
        loop: asyncio.AbstractEventLoop | None = None,
        attempt: int = 0,
    ) -> _Attempted:
        if attempt != begun.attempt:  # its thread was blocked until now, and another has taken the run over
            raise asyncio.CancelledError
        try:
            setup, executor = begun.setup, begun.executor = self._begin(case, resume=resume, loop=loop)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and was_pressed(error):
                raise
            return self._not_begun(case, error), error  # one broken case never stops the others
        if attempt != begun.attempt:  # as before: that may have taken long
            raise asyncio.CancelledError
        try:
            result = await executor.perform()
        except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - what an agent raises to end its test, such as pytest.fail
            return self._not_begun(case, error, what="The run was broken off"), error
        return self._result(case, setup, executor, result), executor.failure

    def _is_python(self, case: TestCase) -> bool:
        """Whether the agent of a case is code that the suite names."""
        if case.kind != "scenario" or case.agent in self._given:
            return False
        agent = find_named(self.suite.agents, case.agent)
        return agent is not None and bool(agent.target) and agent.isolation != "processes"

    def _continues(self, case: TestCase) -> bool:
        """Whether an interrupted run of the case is there to be continued, defined as it is now."""
        journal = self.execution.journal_of(case) if self.execution.options.resuming else None
        if journal is None or not journal.exists:
            return False
        try:
            started = journal.read().view.started
        except JournalError:
            started = None
        recorded = started.scenario.metadata.get("definition") if started else None
        anew = self.execution.run_id_of(case) in self.execution.options.anew
        if recorded == self._definitions.of(case) and not anew:
            return True
        journal.set_aside(REPLACED)
        return False

    def _set_aside(self, case: TestCase) -> None:
        journal = self.execution.journal_of(case)
        if journal is not None:
            journal.set_aside(REPLACED)

    async def stream(self, case: TestCase) -> AsyncGenerator[StreamChunk | RunResult]:
        """Run one case and yield what happens: pieces of text, messages, and at the end the result.

        Leaving the iteration early cancels the run. A case that cannot begin yields its result only.
        """
        try:
            setup, executor = self._begin(case)
        except Exception as error:  # noqa: BLE001 - as in run
            yield self._not_begun(case, error)
            return
        async with aclosing(chunks_of(executor)) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except (DuologueError, AssertionError):
                pass  # it is in the journal, and so in the result
        yield self._result(case, setup, executor)

    def _begin(
        self, case: TestCase, *, resume: bool = False, loop: asyncio.AbstractEventLoop | None = None
    ) -> tuple[Setup, ScenarioExecutor]:
        """The run of a case, ready to begin.

        Args:
            case: what is run.
            resume: continue the run that its journal holds.
            loop: of the observers, for a run in another thread.
        """
        execution = self.execution
        setup, config = self._prepared(case)
        parts = setup.participants(case)
        if execution.adapt is not None:
            parts = execution.adapt(case, parts)
        run_id, on_event = execution.run_id_of(case), execution.on_event
        return setup, ScenarioExecutor(
            parts.name,
            parts.description,
            parts.agents,
            parts.script or None,
            set_id=self.suite.name,
            metadata={**parts.metadata, "definition": self._definitions.of(case)},
            checks=parts.checks,
            batch_run_id=execution.id,
            config=config,
            context=Context(
                clock=execution.clock, ids=CaseIds(run_id, execution.clock, execution.thread_id), seed=case.seed
            ),
            budget=execution.options.run_budget,
            ledger=execution.ledger,
            recorded_in=execution.journal_of(case, run_id),
            resume=resume,
            artifacts=execution.artifacts,
            listeners=(_on_loop(partial(on_event, case), loop),) if on_event else (),
        )

    def _config(self, setup: Setup) -> ScenarioConfig:
        options = self.execution.options
        base = effective_config(
            max_turns=options.max_turns or setup.max_turns,
            run_timeout=options.run_timeout,
            agent_timeout=setup.agent_timeout,
        )
        changes = {"verbose": False, "record": None, "seed": None, "headless": True}
        return base.model_copy(update=changes)

    def _result(
        self, case: TestCase, setup: Setup, executor: ScenarioExecutor, result: ScenarioResult | None = None
    ) -> RunResult:
        journal = executor.journal
        execution, run_id = self.execution, journal.run_id
        run = run_result(
            case,
            journal.entries,
            journal.view,
            journal=f"{JOURNALS}/{run_id}.jsonl" if execution.journals else None,
            description=setup.description,
            labels=setup.labels,
            definition=self._definitions.of(case),
            tolerated=setup.tolerated,
            result=result,
        )
        if run.self_play or run.verdict is not Verdict.PASS:
            run = assessed(run, setup)
        if not execution.folder or not run.media:
            return run
        from duologue.suites.results.media import with_media_files

        return with_media_files(run, execution.folder)

    def _not_begun(self, case: TestCase, error: BaseException, *, what: str = "The run could not begin") -> RunResult:
        """The result of a case that could not be prepared, or of which nothing is left."""
        return RunResult(
            case=case,
            run_id=self.execution.run_id_of(case),
            status=RunStatus.ERROR,
            termination=Termination.ERROR,
            reasoning=f"{what}: {str(error) if isinstance(error, DuologueError) else describe(error)}",
            error=ErrorInfo.of(error),
        )


_Attempted = tuple[RunResult, BaseException | None]
"""The result of an attempt, and what was raised in it."""


@dataclass(kw_only=True)
class _Begun:
    """A run that has begun, perhaps in another thread.

    Attributes:
        setup, executor: of the run; None until it has begun.
        attempt: how often the run was taken from a blocked thread before it began.
        again: this is the second time, because another run has blocked the thread; it gets one to itself.
    """

    setup: Setup | None = None
    executor: ScenarioExecutor | None = None
    attempt: int = 0
    again: bool = False


def _on_loop(listener: Listener, loop: asyncio.AbstractEventLoop | None) -> Listener:
    """The listener, which is called on this loop; None for wherever the run is."""
    if loop is None:
        return listener

    def tell(entry: Entry) -> None:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            listener(entry)
        else:
            loop.call_soon_threadsafe(listener, entry)

    return tell


class CaseCancelled(asyncio.CancelledError):
    """A run was cancelled; ``result`` is as much of it as there is."""

    def __init__(self, result: RunResult) -> None:
        super().__init__()
        self.result = result


class CaseIds:
    """Ids of one run: the run's own is known beforehand, and perhaps its thread; all others are random."""

    def __init__(self, run_id: str, clock: Clock, thread_id: str | None = None) -> None:
        self._known = {"run": run_id, "thread": thread_id}
        self._others = RandomIds(clock)

    def new(self, prefix: str) -> str:
        """An id that is known, or another."""
        return self._known.get(prefix) or self._others.new(prefix)
