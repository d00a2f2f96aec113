"""The engine of a suite: plan it, execute it, have its results. What ``duologue run`` uses, and code that embeds it.

async with Engine.from_file("suite.yaml") as engine:
plan = engine.generate_plan(Filters(tags=["smoke"]))
execution = await engine.execute(plan)
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from platform import platform, python_version
from typing import TYPE_CHECKING, Any, Self

from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError
from duologue.models.budget import Amount, Ledger, ledger_for
from duologue.specs.suite import Replay, Suite
from duologue.suites.execution.launch import DEFAULT_CONCURRENCY, Launch
from duologue.suites.execution.observers import Observer, Observers
from duologue.suites.execution.parts import Parts, joined, parts_of
from duologue.suites.execution.settings import Settings
from duologue.suites.manifests.loading import load
from duologue.suites.plan.build import Filters, generate_plan
from duologue.suites.plan.cases import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.choosing_evals import with_evals
from duologue.suites.runner.play import JOURNALS, Options, Player
from duologue.suites.runner.shelf import ModelShelf

if TYPE_CHECKING:
    from duologue.agents.tools.toolbox import Toolbox
    from duologue.conversation.streaming import StreamChunk
    from duologue.models.base import Model
    from duologue.models.mock.file import ResponseFile
    from duologue.suites.replay import RecordingShelf


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
    """

    suite: Suite
    path: str = ""
    mocks: ResponseFile | None = None
    mocking: bool = False
    recordings: Path | None = None
    parts: Parts = field(default_factory=Parts)
    clock: Clock = field(default_factory=SystemClock)
    results: dict[str, RunResult] = field(default_factory=dict[str, RunResult])
    """Of all executions of this engine, by run id."""
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _toolbox: Toolbox | None = None
    _launch: Launch | None = None

    @cached_property
    def _recordings(self) -> RecordingShelf:
        from duologue.suites.replay import RecordingShelf

        return RecordingShelf(self.suite)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The engine of a suite file or folder.

        Raises:
            SuiteError: something is wrong with the files; the error has all of it.
        """
        return cls(suite=load(path), path=str(path))

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
            TargetError: what stands for an agent is none.
        """
        parts = parts_of(agents or {}, models or {})
        return cls(suite=joined(suite, parts), parts=parts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

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
        self, filters: Filters | None = None, *, trials: int | None = None, seed: int | None = None
    ) -> Plan:
        """The test cases; see :func:`duologue.suites.plan.generate_plan`."""
        return generate_plan(self.suite, filters, trials=trials, seed=seed, recordings=self._recorded)

    def _recorded(self, replay: Replay) -> Sequence[str]:
        return self._recordings.names(replay)

    async def execute(
        self, plan: Plan | None = None, settings: Settings | None = None, *, observers: Sequence[Observer] = ()
    ) -> ExecutionResult:
        """Run a plan to its end. One case never stops another, unless ``fail_fast`` is asked for.

        Args:
            plan: what is run; None for everything.
            settings: how.
            observers: are told of everything.

        Returns:
            The results in plan order. If it is stopped or cancelled, as much as there is, with ``interrupted`` set.
        """
        plan, settings, told = plan or self.generate_plan(), settings or Settings(), Observers(observers)
        execution_id = settings.execution_id or new_execution_id(self.clock)
        began, started_at = self.clock.monotonic(), datetime.fromtimestamp(self.clock.now(), UTC)
        player = await self._player(execution_id, settings, told)
        self._launch = launch = Launch(
            player=player,
            observers=told,
            concurrency=min(self._concurrency(settings), max(len(plan), 1)),
            fail_fast=settings.fail_fast,
            known={run.case.identity: run for run in settings.known},
        )
        told.started(plan, execution_id)
        runs = await launch.run(plan.cases)
        self.results.update({run.run_id: run for run in runs})
        execution = ExecutionResult(
            id=execution_id,
            suite=self.suite.name,
            path=self.path,
            plan=plan,
            runs=tuple(runs),
            started_at=started_at,
            seconds=self.clock.monotonic() - began,
            interrupted=launch.interrupted,
            allowance=self._allowance(settings),
            environment=self._environment(),
            thresholds=_thresholds(plan, player),
            metrics_threshold=self.suite.defaults.metrics_threshold,
        )
        told.finished(execution)
        return execution

    async def stream(self, case: TestCase, settings: Settings | None = None) -> AsyncGenerator[StreamChunk | RunResult]:
        """Run a single test case and yield what happens in it; the last thing is its result.

        Leaving the iteration early cancels the run.
        """
        settings = settings or Settings()
        player = await self._player(settings.execution_id or new_execution_id(self.clock), settings, Observers(()))
        async with aclosing(player.stream(case)) as happenings:
            async for happening in happenings:
                if isinstance(happening, RunResult):
                    self.results[happening.run_id] = happening
                yield happening

    def stop(self) -> None:
        """Begin no further case; a second call cancels those under way."""
        if self._launch:
            self._launch.stop()

    async def close(self) -> None:
        """End the programs and servers of tools, and close connections. Harmless when it was done before."""
        self._toolbox = None
        await self._open.aclose()

    async def _player(self, execution_id: str, settings: Settings, told: Observers) -> Player:
        if self._toolbox is None:
            from duologue.agents.tools.toolbox import Toolbox

            self._toolbox = await self._open.enter_async_context(Toolbox(self.suite))
        defaults = self.suite.defaults
        options = Options(
            folder=self.recordings,
            run_timeout=settings.run_timeout,
            max_turns=settings.max_turns,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            run_budget=settings.run_budget or (defaults.run_budget.as_budget() if defaults.run_budget else None),
            ledger=self._ledger(settings),
            resuming=settings.resuming,
            clock=self.clock,
            on_event=told.event if told.wants_events else None,
        )
        shelf = ModelShelf(self.suite, mocks=self.mocks, mocking=self.mocking, given=self.parts.models)
        return Player(
            with_evals(self.suite, settings.eval_types),
            execution_id=execution_id,
            shelf=shelf,
            toolbox=self._toolbox,
            recordings=lambda: self._recordings,
            options=options,
            given=self.parts.agents,
        )

    def _ledger(self, settings: Settings) -> Ledger | None:
        """What all runs spend from; what was spent before the execution was cut off counts."""
        limit = self.suite.defaults.budget
        budget = settings.budget or (limit.as_budget() if limit else None)
        if budget is None:
            return None
        ledger = ledger_for(budget, self.clock, owner="the execution")
        for spent in (run.spent for run in settings.known):
            ledger.count_earlier(Amount(money=spent.cost, tokens=spent.usage.total_tokens))
        return ledger

    def _concurrency(self, settings: Settings) -> int:
        chosen = settings.concurrency or self.suite.defaults.concurrency or DEFAULT_CONCURRENCY
        if chosen < 1:
            raise ConfigurationError(f"concurrency is {chosen}; expected at least 1")
        return chosen

    def _allowance(self, settings: Settings) -> Allowance:
        defaults = self.suite.defaults
        given = (settings.allow_undecided, defaults.allow_undecided), (settings.allow_errors, defaults.allow_errors)
        undecided, errors = (_number(suite if asked is None else asked) for asked, suite in given)
        return Allowance(undecided=undecided, errors=errors)

    def _environment(self) -> dict[str, Any]:
        from duologue import __version__

        return {
            "duologue": __version__,
            "python": python_version(),
            "platform": platform(terse=True),
            "mock": self.mocking,
            "command": " ".join(Path(part).name if index == 0 else part for index, part in enumerate(sys.argv[:1])),
        }


def new_execution_id(clock: Clock) -> str:
    """A name that sorts by time and that no other execution has."""
    from duologue.context import RandomIds

    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{RandomIds(clock).new('x')[-8:]}"


def _number(value: int | str) -> int | None:
    return None if value == "all" else int(value)


def _thresholds(plan: Plan, player: Player) -> dict[str, dict[str, float]]:
    """By group, the checks that need less than all trials."""
    found: dict[str, dict[str, float]] = {}
    for case in plan.cases:
        if case.kind == "scenario" and case.trial == 1:
            shares = player.thresholds(case)
            if shares:
                found[case.group] = shares
    return found
