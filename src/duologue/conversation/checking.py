"""The port for checks: assertions about one turn or the whole conversation that are decided by code.

The engine only needs to know how to call one. The catalogue lives in ``duologue.checks``; a plain function works too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field
from typing import Any, Protocol, cast, runtime_checkable

from duologue.config.tracebacks import describe
from duologue.conversation.deadlines import RunTask
from duologue.conversation.state import ScenarioState
from duologue.errors import (
    BudgetExceededError,
    CheckError,
    ConfigurationError,
    JournalError,
    ResumeError,
    RunError,
)
from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, MessageAdded
from duologue.journal.journal import Journal
from duologue.models.scope import RunScope
from duologue.vocabulary import CheckStatus, Scope


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
            return CheckOutcome(status=CheckStatus.FAILED, explanation=str(error) or "assertion failed")
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
        return CheckOutcome(status=CheckStatus.FAILED, explanation=str(error) or "assertion failed")
    except (RunError, BudgetExceededError, JournalError):  # they mean the same wherever they happen
        raise
    except Exception as error:
        raise broken_check(check, error) from error


def broken_check(check: Check, error: BaseException) -> CheckError:
    """The error of a check that has raised this."""
    return CheckError(f"the check '{check.name}' broke: {describe(error)}", who=check.name)


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

    async def check_turn(self) -> None:
        """Evaluate the turn checks of the open turn, once, if the agent has said something in it."""
        view = self._journal.view
        if self._turn_checked == view.turn or not self._of_turns:
            return
        records = [record for record in view.records if record.turn == view.turn]
        if any(record.message["role"] == "assistant" for record in records):
            self._turn_checked = view.turn
            await self.evaluate(self._of_turns, records)

    async def check_conversation(self) -> None:
        """Evaluate the turn checks that are still due, then those of the whole conversation."""
        await self.check_turn()
        await self.evaluate(self._of_conversation, list(self._journal.view.records))

    async def evaluate(self, checks: Sequence[Check], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate all these checks on these messages and record each outcome.

        Raises:
            CheckError: a check broke, or found that it could not decide.
        """
        if checks and self._journal.pending:
            await self._journal.flush()
        outcomes = [await self._evaluate(check, records) for check in checks]
        broken = [outcome for outcome in outcomes if outcome.status is CheckStatus.ERROR]
        if broken:
            found = "; ".join(f"{outcome.name}: {outcome.explanation}" for outcome in broken)
            raise CheckError(f"checks could not be evaluated: {found}", who=broken[0].name)
        return outcomes

    async def _evaluate(self, check: Check, records: list[MessageAdded]) -> CheckEvaluated:
        call, journal = self._next_call(), self._journal
        turn = journal.view.turn
        if journal.recorded is not None and (recorded := await journal.recorded_outcome(call)) is not None:
            event = recorded[0].event
            if not isinstance(event, CheckEvaluated) or event.name != check.name:
                raise ResumeError(
                    f"the run cannot be resumed: call {call} was not the check '{check.name}' when it was recorded"
                )
            return event
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
        if await self._run.settle():
            raise broken_check(check, asyncio.CancelledError("it cancelled its own task"))
        self._run.check_going_on()
        return outcome


def _evaluated(check: Check, outcome: CheckOutcome, turn: int, call: str) -> CheckEvaluated:
    return CheckEvaluated(
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
    )
