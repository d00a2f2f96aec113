"""The port for checks: assertions about one turn or the whole conversation that are decided by code.

The engine only needs to know how to call one. The catalogue lives in ``duologue.checks``; a plain function works too.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any, Protocol, cast, runtime_checkable

from duologue.conversation.state import ScenarioState
from duologue.errors import BudgetExceededError, CheckError, ConfigurationError, JournalError, RunError
from duologue.frozen import frozen
from duologue.journal.events import MessageAdded
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
        raise CheckError(f"the check '{check.name}' broke: {type(error).__name__}: {error}", who=check.name) from error
