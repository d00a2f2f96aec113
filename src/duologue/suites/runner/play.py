"""Plays test cases: one run each, recorded if asked for, and folded to a result whatever comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duologue.agents.tools.toolbox import Toolbox
from duologue.config.problems import nearest
from duologue.context import Clock, Context, RandomIds, SystemClock
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.streaming import StreamChunk, chunks_of
from duologue.errors import ConfigurationError, DuologueError
from duologue.journal.events import ErrorInfo
from duologue.journal.journal import Entry
from duologue.journal.jsonl import read_journal
from duologue.models.budget import Budget, Ledger
from duologue.models.recall import Recall
from duologue.settings import ScenarioConfig, effective_config
from duologue.specs.spec import seconds_of
from duologue.specs.suite import Suite
from duologue.suites.plan.cases import TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.casting import Casting
from duologue.suites.runner.circumstances import Circumstances
from duologue.suites.runner.fold import run_result
from duologue.suites.runner.media_files import with_media_files
from duologue.suites.runner.shelf import ModelShelf
from duologue.suites.runner.targets import MakeAgent
from duologue.vocabulary import RunStatus, Termination

if TYPE_CHECKING:
    from duologue.suites.replay import RecordingShelf
    from duologue.suites.runner.replaying import ReplayCasting

JOURNALS = "journals"
PARTIAL = ".partial"
"""What is appended to the name of a journal that breaks off, once its run is begun again."""
OnEvent = Callable[[TestCase, Entry], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How runs are played.

    Attributes:
        folder: of the results: journals and media are kept in it; None to keep none.
        run_timeout: seconds for one run; None for what the suite says, or no limit.
        max_turns: turns after which a free conversation ends; None for what the scenario says.
        temperature, max_tokens: of agents made of a model; None for what the suite says.
        run_budget: what the model calls of one run may cost.
        ledger: what all runs spend from together.
        resuming: an earlier launch was cut off; its journals are in ``folder``, each ``….partial``.
        clock: of all runs.
        on_event: told of every event of every run.
    """

    folder: Path | None = None
    run_timeout: float | None = None
    max_turns: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    run_budget: Budget | None = None
    ledger: Ledger | None = None
    resuming: bool = False
    clock: Clock = field(default_factory=SystemClock)
    on_event: OnEvent | None = None

    @property
    def journals(self) -> Path | None:
        """The folder for journals."""
        return self.folder / JOURNALS if self.folder else None


class Player:
    """Plays test cases of one suite; what they share is prepared once.

    Args:
        suite: what is played.
        execution_id: the ids of runs derive from it.
        shelf, toolbox: models and tools of the suite.
        recordings: gives its recordings; asked only if there is a replay.
        given: agents that a program hands over, by name.
        options: how.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        execution_id: str,
        shelf: ModelShelf,
        toolbox: Toolbox,
        recordings: Callable[[], RecordingShelf],
        options: Options,
        given: Mapping[str, MakeAgent] | None = None,
    ) -> None:
        self.suite = suite
        self.execution_id = execution_id
        self._shelf = shelf
        self._toolbox = toolbox
        self._recordings = recordings
        self._options = options
        self._given = given or {}
        self._castings: dict[tuple[str, str, str | None, str], Casting | ReplayCasting] = {}
        self._configs: dict[tuple[str, str], ScenarioConfig] = {}

    def casting(self, case: TestCase) -> Casting | ReplayCasting:
        """What the case shares with others of the same scenario, agent and region, or of the same replay."""
        key = (case.kind, case.scenario, case.agent, case.region)
        held = self._castings.get(key)
        if held is None:
            held = self._castings[key] = self._cast(case)
        return held

    def _cast(self, case: TestCase) -> Casting | ReplayCasting:
        if case.kind == "replay":
            from duologue.suites.runner.replaying import ReplayCasting

            replay = self._named("replays", case.scenario)
            return ReplayCasting(self.suite, replay, self._shelf, self._recordings())
        scenario, agent = self._named("scenarios", case.scenario), self._named("agents", case.agent)
        given, options = self._given.get(agent.name), self._options
        made = Casting(self.suite, scenario, agent, case.region, self._shelf, self._toolbox, given)
        return replace(made, temperature=options.temperature, max_tokens=options.max_tokens)

    def _named(self, section: str, name: str | None) -> Any:
        found = self.suite.named(section, name)
        if found is None:
            known = [item.name for item in getattr(self.suite, section)]
            raise ConfigurationError(
                f"the suite '{self.suite.name}' has no {section.removesuffix('s')} '{name}' any more"
                f"{nearest(name or '', known)}"
            )
        return found

    def thresholds(self, case: TestCase) -> dict[str, float]:
        """The share of trials that checks of a case need, by name, where it is not all of them."""
        try:
            return self.casting(case).thresholds
        except Exception:  # noqa: BLE001 - a case that cannot be prepared has told so in its result
            return {}

    async def play(self, case: TestCase) -> RunResult:
        """Play one case. Whatever goes wrong is part of the result; only cancellation is raised."""
        try:
            casting = self.casting(case)
            executor = self._executor(case, casting)
        except Exception as error:  # noqa: BLE001 - one broken case never stops the others
            return not_begun(case, case.run_id(self.execution_id), error)
        try:
            await executor.perform()
        except asyncio.CancelledError:
            raise Cancelled(self._result(case, casting, executor)) from None
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - what an agent raises that is no Exception, such as pytest.fail
            return not_begun(case, case.run_id(self.execution_id), error, told="The run was broken off")
        return self._result(case, casting, executor)

    async def stream(self, case: TestCase) -> AsyncGenerator[StreamChunk | RunResult]:
        """Play one case and yield what happens: pieces of text, messages, and at the end the result.

        Leaving the iteration early cancels the run. A case that cannot begin gives its result only.
        """
        try:
            casting = self.casting(case)
            executor = self._executor(case, casting)
        except Exception as error:  # noqa: BLE001 - as in play
            yield not_begun(case, case.run_id(self.execution_id), error)
            return
        async with aclosing(chunks_of(executor)) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except (DuologueError, AssertionError):
                pass  # it is in the journal, and so in the result
        yield self._result(case, casting, executor)

    def _executor(self, case: TestCase, casting: Casting | ReplayCasting) -> ScenarioExecutor:
        options, told = self._options, self._options.on_event
        run_id = case.run_id(self.execution_id)
        return casting.executor(
            case,
            Circumstances(
                execution_id=self.execution_id,
                config=self._config(casting),
                context=Context(clock=options.clock, ids=CaseIds(run_id, options.clock), seed=case.seed),
                budget=options.run_budget,
                ledger=options.ledger,
                recall=self._recall(run_id) if options.resuming else None,
                listeners=(lambda entry: told(case, entry),) if told else (),
            ),
        )

    def _recall(self, run_id: str) -> Recall | None:
        """What models answered in a run of this name that was cut off."""
        partial = (self._options.journals or Path()) / f"{run_id}.jsonl{PARTIAL}"
        if not partial.exists():
            return None
        return Recall(entry.event for entry in read_journal(partial).entries)

    def _config(self, casting: Casting | ReplayCasting) -> ScenarioConfig:
        scenario, agent = (casting.scenario, casting.agent) if isinstance(casting, Casting) else (None, None)
        key = (scenario.name, agent.name) if scenario and agent else ("", "")
        held = self._configs.get(key)
        if held is None:
            limit = self._options.run_timeout
            if limit is None and self.suite.defaults.run_timeout:
                limit = seconds_of(self.suite.defaults.run_timeout)
            base = effective_config(
                max_turns=self._options.max_turns or (scenario.max_turns if scenario else None),
                run_timeout=limit,
                agent_timeout=agent.timeout if agent else None,
            )
            changes = {"verbose": False, "record": self._options.journals, "seed": None, "headless": True}
            held = self._configs[key] = base.model_copy(update=changes)
        return held

    def _result(self, case: TestCase, casting: Casting | ReplayCasting, executor: ScenarioExecutor) -> RunResult:
        stage = executor.stage
        run_id = stage.journal.run_id
        result = run_result(
            case,
            stage.journal.entries,
            stage.view,
            journal=f"{JOURNALS}/{run_id}.jsonl" if self._options.journals else None,
            description=casting.description,
            labels=casting.labels,
            tolerated=casting.tolerated,
        )
        folder = self._options.folder
        return with_media_files(result, folder) if folder and result.media else result


class Cancelled(asyncio.CancelledError):
    """A run was cancelled; ``result`` is as much of it as there is."""

    def __init__(self, result: RunResult) -> None:
        super().__init__()
        self.result = result


class CaseIds:
    """Ids of one run: the run's own is known beforehand, all others are made up."""

    def __init__(self, run_id: str, clock: Clock) -> None:
        self._run_id = run_id
        self._others = RandomIds(clock)

    def new(self, prefix: str) -> str:
        """The run's id, or another."""
        return self._run_id if prefix == "run" else self._others.new(prefix)


def not_begun(case: TestCase, run_id: str, error: BaseException, *, told: str = "The run could not begin") -> RunResult:
    """The result of a case that could not be prepared, or of which nothing is left."""
    causes = [f"{type(error.__cause__).__name__}: {error.__cause__}"] if error.__cause__ else []
    info = ErrorInfo(type=type(error).__name__, message=str(error), causes=causes)
    return RunResult(
        case=case,
        run_id=run_id,
        status=RunStatus.ERROR,
        termination=Termination.ERROR,
        reasoning=f"{told}: {error}",
        error=info,
    )
