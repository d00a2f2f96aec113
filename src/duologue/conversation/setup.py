"""What a run is made of, gathered and checked once before it begins: participants, settings, and the port for checks.

Checks are assertions about one turn or the whole conversation that are decided by code. The engine only needs to know
how to call one. The catalogue lives in ``duologue.checks``; a plain function works too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from pydantic_core import PydanticSerializationError, to_json

from duologue.config.tracebacks import describe, message_of
from duologue.context import Context, fresh_seed
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.deadlines import RunTask
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.voice_state import VoiceListeners
from duologue.errors import BudgetExceededError, CheckError, ConfigurationError, JournalError, RunError
from duologue.frozen import frozen, maker
from duologue.journal.artifacts import ArtifactStore
from duologue.journal.events import CheckEvaluated, MessageAdded, ParticipantSnapshot, RunStarted, ScenarioSnapshot
from duologue.journal.journal import Journal, JournalSink
from duologue.journal.jsonl import JsonlJournal
from duologue.journal.outcomes import outcome_of
from duologue.journal.run_journal import RunJournal
from duologue.models.scope import Budget, Ledger, RunScope
from duologue.settings import ModelConfig, ScenarioConfig, env
from duologue.vocabulary import AgentRole, CassetteMode, CheckStatus, Scope

if TYPE_CHECKING:
    from duologue.models.cassette import Cassette


@frozen
class CheckInput:
    """What a check looks at.

    Attributes:
        state: the run so far.
        records: the messages in question: those of the turn for a turn check, all of them otherwise.
        turn: the turn in question; the last one for a conversation check.
        scope: clock, ids and journal of the run, for checks that ask a model.
    """

    state: ScenarioState
    records: list[MessageAdded]
    turn: int
    scope: RunScope = field(default_factory=RunScope)


@frozen
class CheckOutcome:
    """What a check found. ``score`` is between 0 and 1 where the check has one; ``explanation`` is one sentence."""

    status: CheckStatus
    score: float | None = None
    explanation: str = ""
    message_ids: list[str] = field(default_factory=list[str])
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@runtime_checkable
class Check(Protocol):
    """An assertion with a name."""

    @property
    def name(self) -> str:
        """What the report calls it: a sentence that is true when the check passes."""
        ...

    @property
    def kind(self) -> str:
        """The registered type, or ``python`` for a plain function."""
        ...

    @property
    def scope(self) -> Scope:
        """Whether it looks at each turn's answer or at the whole conversation."""
        ...

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Look, and say what was found. Raising anything but AssertionError makes the run an error."""
        ...


CheckFunction = Callable[[ScenarioState], "bool | None | CheckOutcome | Awaitable[bool | None | CheckOutcome]"]
CheckLike = Check | CheckFunction


@frozen
class FunctionCheck:
    """A plain function as a check: False or an AssertionError fails it, None and True pass."""

    function: CheckFunction
    name: str
    kind: str = "python"
    scope: Scope = Scope.CONVERSATION

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Call the function with the state."""
        try:
            value = self.function(input.state)
            if inspect.isawaitable(value):
                value = await value
        except AssertionError as error:
            return CheckOutcome(
                status=CheckStatus.FAILED, explanation=message_of(error, whole=True) or "assertion failed"
            )
        if isinstance(value, CheckOutcome):
            return value
        if value is None or isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            passed = value is not False
            return CheckOutcome(status=CheckStatus.PASSED if passed else CheckStatus.FAILED)
        raise CheckError(
            f"the check '{self.name}' returned a {type(value).__name__}; expected True, False, None or a CheckOutcome",
            who=self.name,
        )


def as_check(check: CheckLike) -> Check:
    """A check as such; a function becomes one, named by the first line of its docstring or by its own name."""
    if hasattr(check, "evaluate"):  # asking for the protocol takes longer than most checks do
        return cast("Check", check)
    if not callable(check):
        raise ConfigurationError(f"a check must be a function of the state or a Check; found {check!r}")
    doc = (inspect.getdoc(check) or "").split("\n")[0].strip().rstrip(".")
    name = doc or getattr(check, "__name__", type(check).__name__).replace("_", " ")
    return FunctionCheck(function=check, name=name)


async def evaluate(check: Check, input: CheckInput) -> CheckOutcome:
    """The outcome of a check.

    Raises:
        CheckError: the check broke. That says nothing about the agent, so it is never a failed check.
        BudgetExceededError: the check asked for more than is left.
    """
    try:
        return await check.evaluate(input)
    except AssertionError as error:
        return CheckOutcome(status=CheckStatus.FAILED, explanation=message_of(error, whole=True) or "assertion failed")
    except (RunError, BudgetExceededError, JournalError):  # they mean the same wherever they happen
        raise
    except Exception as error:
        raise broken_check(check, error) from error


def broken_check(check: Check, error: BaseException) -> CheckError:
    """The error of a check that has raised this."""
    return CheckError(f"the check '{check.name}' broke: {describe(error)}", who=check.name)


class CallIds:
    """Gives the calls of a run their ids. It does not know the conversation, which is free once its run is over."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._given = 0

    def next(self) -> str:
        """The id of a call that is about to be made, such as ``c3``."""
        self._given += 1
        call = f"c{self._given}"
        if self._journal.recorded is not None:
            self._journal.recorded.begin(call)
        return call


class CheckRunner:
    """Evaluates the checks of one run, and records what they find.

    Args:
        checks: of every turn and of the whole conversation.
        journal, state, run: of the run.
        scope: what checks may use of it.
        next_call: gives each evaluation the id of its call.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        *,
        journal: Journal,
        state: ScenarioState,
        run: RunTask,
        scope: RunScope,
        next_call: Callable[[], str],
    ) -> None:
        self._of_turns = [check for check in checks if check.scope is Scope.TURN]
        self._of_conversation = [check for check in checks if check.scope is Scope.CONVERSATION]
        self._journal = journal
        self._state = state
        self._run = run
        self._scope = scope
        self._next_call = next_call
        self._turn_checked = -1

    async def check_turn(self, turn: int | None = None) -> None:
        """Evaluate the turn checks of a turn (None: of the open one), once, if the agent has said something in it."""
        view = self._journal.view
        turn = view.turn if turn is None else turn
        if self._turn_checked == turn or not self._of_turns:
            return
        records = [record for record in view.records if record.turn == turn]
        if any(record.message["role"] == "assistant" for record in records):
            self._turn_checked = turn
            await self.evaluate(self._of_turns, records, turn)

    async def check_conversation(self) -> None:
        """Evaluate the turn checks that are still due, then those of the whole conversation."""
        await self.check_turn()
        await self.evaluate(self._of_conversation, list(self._journal.view.records))

    async def evaluate(
        self, checks: Sequence[Check], records: list[MessageAdded], turn: int | None = None
    ) -> list[CheckEvaluated]:
        """Evaluate all these checks on these messages and record each outcome.

        Raises:
            CheckError: a check broke, or found that it could not decide.
        """
        if self._journal.pending and not all(getattr(check, "asks_nobody", False) for check in checks):
            await self._journal.flush()
        of = self._journal.view.turn if turn is None else turn
        outcomes = [await self._evaluate(check, records, of) for check in checks]
        broken = [outcome for outcome in outcomes if outcome.status is CheckStatus.ERROR]
        if broken:
            found = "; ".join(f"{outcome.name}: {outcome.explanation}" for outcome in broken)
            raise CheckError(f"checks could not be evaluated: {found}", who=broken[0].name)
        return outcomes

    async def _evaluate(self, check: Check, records: list[MessageAdded], turn: int) -> CheckEvaluated:
        call, journal = self._next_call(), self._journal
        if journal.recorded is not None:
            differs = f"call {call} was not the check '{check.name}' when it was recorded"
            known = await outcome_of(
                journal, call, CheckEvaluated, lambda was: "" if was.name == check.name else differs
            )
            if known is not None:
                return known
        given = CheckInput(state=self._state, records=records, turn=turn, scope=self._scope.for_call(call))
        event = _evaluated(check, await self._outcome(check, given), turn, call)
        journal.append(event)
        return event

    async def _outcome(self, check: Check, given: CheckInput) -> CheckOutcome:
        try:
            outcome = await evaluate(check, given)
        except BaseException as error:
            if isinstance(error, Exception) or self._run.from_outside(error):
                raise
            await self._run.settle()
            raise broken_check(check, error) from error
        if self._run.disturbed and await self._run.settle():
            raise broken_check(check, asyncio.CancelledError("it cancelled its own task"))
        self._run.check_going_on()
        return outcome


def _evaluated(check: Check, outcome: CheckOutcome, turn: int, call: str) -> CheckEvaluated:
    return maker(CheckEvaluated)(
        name=check.name,
        kind=check.kind,
        scope=check.scope,
        turn=turn,
        status=outcome.status,
        score=outcome.score,
        explanation=outcome.explanation,
        message_ids=outcome.message_ids,
        details=outcome.details,
        call=call,
        written_as=getattr(check, "written_as", ""),
    )


StepResult = ScenarioResult | None
ScriptStep = Callable[[ScenarioState], "StepResult | Awaitable[StepResult | object] | object"]

DEFAULT_SET = "default"


@frozen
class RunSetup:
    """Everything that the engine needs to play one scenario.

    Attributes:
        name, description: the scenario; the description is the situation that the simulated user is told.
        agents: who takes part.
        script: the steps; empty means that turns go on until something ends them.
        checks: assertions on every turn and on the whole conversation.
        config: what the run obeys.
        context: clock, ids and the seed of this run.
        set_id, batch_run_id, metadata: for grouping and finding runs.
        budget: what the model calls of this run may cost.
        ledger: what it spends from together with other runs; None for what the process may spend. What a resumed run
            has spent earlier is counted by whoever made it.
        cassette: where answers of the outside world are recorded or replayed, and how.
        recorded_in: where the journal of the run is kept; None for what ``config.record`` says.
        resume: continue the run that its journal holds, if it holds one.
        sinks: keep the journal as well, beside the file.
        artifacts: keeps media and other bytes of the run; None for the folder ``media`` beside the journal.
        voice: who listens to the sound of the run.
    """

    name: str
    description: str
    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...] = ()
    checks: tuple[Check, ...] = ()
    config: ScenarioConfig = field(default_factory=ScenarioConfig)
    context: Context = field(default_factory=Context)
    set_id: str = DEFAULT_SET
    batch_run_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    budget: Budget | None = None
    ledger: Ledger | None = None
    cassette: tuple[str | Path, CassetteMode] | None = None
    recorded_in: RunJournal | None = None
    resume: bool = False
    sinks: tuple[JournalSink, ...] = ()
    artifacts: ArtifactStore | None = None
    voice: VoiceListeners | None = None

    def started(self, run_id: str, thread_id: str, attempt: int = 1) -> RunStarted:
        """The frozen snapshot that the journal begins with."""
        from duologue.version import __version__

        return RunStarted(
            run_id=run_id,
            thread_id=thread_id,
            batch_run_id=self.batch_run_id,
            scenario=ScenarioSnapshot(
                name=self.name,
                description=self.description,
                script=tuple(step_name(step) for step in self.script),
                checks=tuple(check.name for check in self.checks),
                max_turns=self.config.turn_limit,
                set_id=self.set_id,
                metadata=dict(self.metadata),
            ),
            participants=tuple(_snapshot(agent) for agent in self.agents),
            settings=_settings_snapshot(self.config),
            seed=self.context.seed,
            duologue_version=__version__,
            attempt=attempt,
            code=self._code() if self.config.record or self.recorded_in else {},
        )

    def _code(self) -> dict[str, str]:
        from duologue.conversation.code_digest import code_digests

        judges = [agent for agent in self.agents if agent.role is AgentRole.JUDGE]
        return code_digests([*self.script, *self.checks, *judges])


def _snapshot(agent: AgentAdapter) -> ParticipantSnapshot:
    details = plain(agent.describe(), f"{agent.name}.describe()")
    return ParticipantSnapshot(
        name=agent.name, role=agent.role, details=details, reports_tool_calls=agent.reports_tool_calls
    )


def plain(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """That mapping, once it is known to be JSON data; journals hold nothing else."""
    try:
        to_json(value)
    except (PydanticSerializationError, ValueError) as error:
        raise ConfigurationError(f"{what} holds something that is no JSON data: {error}") from error
    return dict(value)


def whole_number(value: object, what: str, of: str) -> int | None:
    """That number, once it is known to be at least 1; None where none is given."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{what}: found {value!r}; expected a whole number from 1, of {of}")
    return value


def checked_text(value: object, what: str) -> str:
    """That text, once it is known to be one."""
    if not isinstance(value, str):
        raise ConfigurationError(f"the {what} of a scenario is {value!r}; expected a string")
    return value


def checked_agents(agents: Sequence[object]) -> tuple[AgentAdapter, ...]:
    """The participants, once each of them is known to be one."""
    for index, agent in enumerate(agents):
        if isinstance(agent, type):
            raise ConfigurationError(
                f"agents[{index}] is the class {agent.__name__}; expected an object: {agent.__name__}()"
            )
        if not isinstance(agent, AgentAdapter):
            raise ConfigurationError(
                f"agents[{index}] is a {type(agent).__name__}; expected an AgentAdapter. Subclass "
                "duologue.AgentAdapter and write 'async def call(self, input)'."
            )
    return tuple(agents)  # pyright: ignore[reportReturnType]


def checked_script(script: Sequence[object] | None) -> tuple[ScriptStep, ...]:
    """The steps, once each of them can be called."""
    for index, step in enumerate(script or ()):
        if not callable(step):
            raise ConfigurationError(
                f"script[{index}] is a {type(step).__name__}; expected a step such as duologue.user(…) or a function "
                "of the state"
            )
    return tuple(script or ())  # pyright: ignore[reportReturnType]


def context_for(config: ScenarioConfig, context: Context | None) -> Context:
    """The run's context: the given one, else the system's under the configured or a fresh seed."""
    if context is None:
        return Context(seed=fresh_seed() if config.seed is None else config.seed)
    return context if config.seed is None else context.with_seed(config.seed)


def journal_for(setup: RunSetup, run_id: str) -> RunJournal | None:
    """Where the journal of this run is kept: the ``.jsonl`` file itself, or a file of its own in a folder."""
    if setup.recorded_in is not None or setup.config.record is None:
        return setup.recorded_in
    path = Path(setup.config.record).absolute()  # code of the run may change the current folder
    return JsonlJournal(path if path.suffix == ".jsonl" else path / f"{run_id}.jsonl")


_earlier: Callable[[RunSetup], Path | None] | None = None


@contextmanager
def taking_up(journal_for: Callable[[RunSetup], Path | None] | None) -> Generator[None]:
    """Within, every run of the process that begins asks for the journal of the run that it was in an earlier launch."""
    global _earlier  # noqa: PLW0603 - the default configuration of the process, as observers are
    before, _earlier = _earlier, journal_for
    try:
        yield
    finally:
        _earlier = before


def earlier_journal(setup: RunSetup) -> Path | None:
    """The journal of the run that this one was in an earlier launch; None if nobody continues one."""
    return None if _earlier is None or setup.resume else _earlier(setup)


def cassette_for(setup: RunSetup) -> Cassette | None:
    """A tape of its own for a new run; a run with a ``cache_key`` has one among the remembered calls."""
    if setup.cassette is None and not setup.config.cache_key:
        return None
    from duologue.conversation.cache import cache_folder
    from duologue.models.cassette import Cassette, cassette_path

    if setup.cassette is not None:
        place, mode = setup.cassette
        path = cassette_path(Path(place).absolute(), setup.name)
        if setup.resume and mode is CassetteMode.RECORD and path.exists():
            mode = CassetteMode.AUTO  # the tape that the interrupted run began is recorded to its end
        return Cassette(path, mode)
    scenario = f"{setup.config.cache_key}\n{setup.name}\n{setup.description}"
    return Cassette(cassette_path(cache_folder(), scenario), CassetteMode.AUTO)


def batch_id(given: str | None) -> str | None:
    """The batch that a run belongs to: given, or from the environment."""
    return given or env("BATCH_RUN_ID")


def step_name(step: ScriptStep) -> str:
    """What a step is called in the journal and in reports."""
    return getattr(step, "__name__", type(step).__name__)


def _settings_snapshot(config: ScenarioConfig) -> dict[str, Any]:
    """The settings as plain data, without keys."""
    snapshot: dict[str, Any] = {}
    for name, value in vars(config).items():
        if value is None or name in _LEFT_OUT:
            continue
        if isinstance(value, ModelConfig):
            # Addresses, headers and options of providers may hold keys: they stay out of journals.
            value = value.model_dump(include={"model", "temperature", "max_tokens"}, exclude_none=True)
        snapshot[name] = str(value) if isinstance(value, Path) else value
    return snapshot


_LEFT_OUT = {"observability", "verbose", "debug", "headless", "record"}
"""Settings that do not change what happens in a conversation."""
