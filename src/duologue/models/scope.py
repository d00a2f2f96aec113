"""What a participant may use of the run that it takes part in: time, chance, ids, the journal, and what it may spend.

The engine makes one :class:`RunScope` per adapter and hands it over with every call (``AgentInput.scope``). Whatever
reaches outside the process goes through it, so that each call is timed, counted, recorded and can be replayed.

A :class:`Budget` is a wish; a :class:`Ledger` keeps it, for a run and for the whole process. Every model call sets
aside what it may cost at most, estimated from the bytes of what it sends, so that many conversations at once cannot
overspend together; what it did not use is given back. A spent budget ends a run without a verdict (termination
``budget``): it says nothing about the agent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, overload

from duologue.context import Clock, Context, SystemClock
from duologue.errors import BudgetExceededError, ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import Noted
from duologue.messages import text_of
from duologue.models.base import ModelRequest
from duologue.settings import DEFAULT_MODEL_TIMEOUT

if TYPE_CHECKING:
    import asyncio

    from duologue.journal.artifacts import ArtifactStore
    from duologue.journal.journal import Journal
    from duologue.journal.notes import Note
    from duologue.models.cassette import Cassette


BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 to a token: the usual rule of thumb for text that people write."""
_TOKENS_PER_WORD = {"gpt": 1.30, "claude": 1.30, "gemini": 1.40, "llama": 1.40}
_TOKENS_PER_WORD_OF_OTHERS = 1.35


def estimate_tokens(text: str, *, per_word: float | None = None, round_up: bool = False) -> int:
    """The approximate number of tokens in a text: a quarter of its bytes in UTF-8.

    Args:
        text: any text.
        per_word: count words instead, at this many tokens each; see :func:`tokens_per_word`. For figures that have to
            agree with tools that count words.
        round_up: count the last, partial token as well, so that no text counts nothing. For limits and for setting
            tokens aside.
    """
    if per_word is not None:
        return int(len(text.split()) * per_word) + round_up
    # The length of ASCII text is known without encoding it.
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size // BYTES_PER_TOKEN + round_up


def tokens_per_word(model_names: Iterable[str]) -> float:
    """Tokens per English word for the model that goes by these names."""
    names = " ".join(model_names).casefold()
    return next((ratio for family, ratio in _TOKENS_PER_WORD.items() if family in names), _TOKENS_PER_WORD_OF_OTHERS)


DEFAULT_ANSWER_TOKENS = 1024
"""Set aside for the answer to a request that has no ``max_tokens``."""
_TOKENS_PER_MESSAGE = 4


@frozen
class Budget:
    """What may be spent. None means: no limit.

    Attributes:
        money: US dollars.
        tokens: read and written together.
        seconds: of wall time.
    """

    money: float | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("money", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigurationError(f"Budget({name}={value}): expected 0 or more, or None for no limit")


@frozen
class Amount:
    """Money (US dollars) and tokens."""

    money: float = 0.0
    tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(money=self.money + other.money, tokens=self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(money=self.money - other.money, tokens=self.tokens - other.tokens)


class Ledger:
    """Keeps one budget, and through ``parent`` the one above it. Safe to use from several threads.

    Args:
        budget: what may be spent.
        owner: whose it is, for error messages: ``the run``, ``the process``.
        parent: the ledger that everything spent here is spent from as well.
    """

    def __init__(
        self, budget: Budget, *, owner: str = "the run", parent: Ledger | None = None, clock: Clock | None = None
    ) -> None:
        self.budget = budget
        self.spent = Amount()
        self.reserved = Amount()
        self._estimated = False
        self._owner = owner
        self._parent = parent
        self._clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._lock = threading.Lock()

    def reserve(self, amount: Amount) -> Reservation:
        """Set this much aside.

        Raises:
            BudgetExceededError: there is not that much left.
        """
        if self._parent is not None:
            self._parent.reserve(amount)
        try:
            with self._lock:
                self._check(amount)
                self.reserved += amount
        except BudgetExceededError:
            if self._parent is not None:
                self._parent.settle(amount, Amount())
            raise
        return Reservation(self, amount)

    def settle(self, reserved: Amount, spent: Amount) -> None:
        """Replace what was set aside by what was really spent."""
        with self._lock:
            self.reserved -= reserved
            self.spent += spent
        if self._parent is not None:
            self._parent.settle(reserved, spent)

    def estimate(self, amount: Amount) -> None:
        """Count what was set aside as spent; the errors of this ledger say that it is an estimate."""
        with self._lock:
            self.reserved -= amount
            self.spent += amount
            self._estimated = True
        if self._parent is not None:
            self._parent.estimate(amount)

    def count_earlier(self, spent: Amount, *, above: bool = True) -> None:
        """Count what was spent before the run was cut off: for the run and what is above it, but not for the process.

        Never raises: it has been spent already. The next call finds that much less left.

        Args:
            spent: how much that was.
            above: False where the budget above has counted it already.
        """
        if self is _process:
            return
        with self._lock:
            self.spent += spent
        if above and self._parent is not None:
            self._parent.count_earlier(spent)

    @property
    def limits_money(self) -> bool:
        """Whether money is limited here or above."""
        return self.budget.money is not None or (self._parent is not None and self._parent.limits_money)

    def _check(self, amount: Amount) -> None:
        budget, committed = self.budget, self.spent + self.reserved
        if budget.money is not None and committed.money + amount.money > budget.money:
            raise self._exceeded(f"${budget.money:g}", f"${committed.money:.6g}", f"${amount.money:.6g}")
        if budget.tokens is not None and committed.tokens + amount.tokens > budget.tokens:
            raise self._exceeded(f"{budget.tokens} tokens", str(committed.tokens), str(amount.tokens))
        seconds = self._clock.monotonic() - self._began
        if budget.seconds is not None and seconds > budget.seconds:
            raise BudgetExceededError(f"{self._owner} has used its {budget.seconds:g} s of time")

    def _exceeded(self, limit: str, committed: str, wanted: str) -> BudgetExceededError:
        guess = " Part of it is an estimate: a model did not report its tokens." if self._estimated else ""
        return BudgetExceededError(
            f"the budget of {self._owner} is spent: {committed} of {limit} are used or set aside, and the next model "
            f"call may take {wanted}.{guess} Raise the budget, or lower max_tokens."
        )


@dataclass(frozen=True)
class Reservation:
    """What was set aside for one call."""

    ledger: Ledger
    amount: Amount

    def settle(self, spent: Amount) -> None:
        """The call was made and used this much; the rest is given back."""
        self.ledger.settle(self.amount, spent)

    def keep(self) -> None:
        """The call was answered, and nobody said what it used: all that was set aside counts as used."""
        self.ledger.estimate(self.amount)

    def release(self) -> None:
        """The call was not made, or was not answered: everything is given back."""
        self.ledger.settle(self.amount, Amount())


_process: Ledger | None = None


def limit_process(budget: Budget | None) -> Ledger | None:
    """Set what all runs of this process may spend together from now on; None lifts it."""
    global _process  # noqa: PLW0603 - part of the process's explicit default configuration
    _process = Ledger(budget, owner="the process") if budget else None
    return _process


@overload
def ledger_for(budget: Budget, clock: Clock, *, owner: str = ..., parent: Ledger | None = ...) -> Ledger: ...


@overload
def ledger_for(
    budget: Budget | None, clock: Clock, *, owner: str = ..., parent: Ledger | None = ...
) -> Ledger | None: ...


def ledger_for(
    budget: Budget | None, clock: Clock, *, owner: str = "the run", parent: Ledger | None = None
) -> Ledger | None:
    """The ledger of a new run: its own budget, under ``parent`` or the process's; None when nothing is limited."""
    above = parent or _process
    if budget is None:
        return above
    return Ledger(budget, owner=owner, parent=above, clock=clock)


def tokens_at_most(request: ModelRequest) -> tuple[int, int]:
    """Tokens that a request may read and write: rough figures, for setting them aside.

    Tool calls, the tools themselves and the form of the answer are read as well; pictures and sounds are not counted.
    """
    read = sum(_tokens(text_of(message)) + _TOKENS_PER_MESSAGE for message in request.messages)
    calls = [call["function"] for message in request.messages for call in message.get("tool_calls") or ()]
    read += sum(_tokens(call["name"]) + _tokens(str(call["arguments"])) for call in calls)
    forms = [*map(vars, request.tools), *([request.response_schema] if request.response_schema else [])]
    read += sum(_tokens(json.dumps(form, default=str)) for form in forms)
    return read, DEFAULT_ANSWER_TOKENS if request.max_tokens is None else request.max_tokens


def _tokens(text: str) -> int:
    return estimate_tokens(text, round_up=True)


@frozen
class RunScope:
    """One participant's share of a run.

    Attributes:
        context: clock, ids and seed of the run.
        journal: of the run; None when the adapter is called outside a run, as in its own unit tests.
        who: the participant's name, used in events and errors.
        participant: its index in events; None outside a run, and for checks.
        model_timeout: seconds that one model call may take.
        ledger: the budget that calls are paid from; None where nothing is limited.
        cassette: what the outside world's answers are recorded on or replayed from; None asks the world.
        call: id of the call in progress, such as ``c3``; '' outside of one.
    """

    context: Context = field(default_factory=Context)
    journal: Journal | None = None
    who: str = "adapter"
    participant: int | None = None
    model_timeout: float = DEFAULT_MODEL_TIMEOUT
    ledger: Ledger | None = None
    cassette: Cassette | None = None
    call: str = ""
    _numbers: count[int] = field(default_factory=lambda: count(1), repr=False, compare=False)

    def of(self, who: str, participant: int, call: str = "") -> RunScope:
        """The same scope for a participant, during one of its calls or outside of them."""
        scope = self.for_call(call)
        scope.__dict__.update(who=who, participant=participant)
        return scope

    def for_call(self, call: str) -> RunScope:
        """The same scope during another call of its participant."""
        scope = object.__new__(RunScope)  # a third of the time of dataclasses.replace, once for every call of a run
        object.__setattr__(scope, "__dict__", {**self.__dict__, "call": call, "_numbers": count(1)})
        return scope

    def next_call(self) -> str:
        """The id of the next call that is made on behalf of this one: ``c3.1``, then ``c3.2``."""
        number = next(self._numbers)
        return f"{self.call}.{number}" if self.call else f"x{number}"

    @property
    def turn(self) -> int:
        """Number of the open turn."""
        return self.journal.view.turn if self.journal else 0

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps bytes that belong to the run, such as a recording; beside its journal, if it is recorded in a file."""
        if self.journal is not None:
            return self.journal.artifacts
        from duologue.journal.artifacts import MemoryArtifacts

        own: ArtifactStore = self.__dict__.setdefault("_artifacts", MemoryArtifacts())
        return own

    def note(self, note: Note) -> None:
        """Put a note of the call in progress into the journal, if there is one."""
        if self.journal is not None:
            self.journal.append(Noted(turn=self.journal.view.turn, note=note, call=self.call or None))


# The deadline of the model call that is under way, so that waiting for a provider does not count against it

CALL_DEADLINE: ContextVar[asyncio.Timeout | None] = ContextVar("duologue_model_deadline", default=None)
"""The one that :func:`stopped_clock` stops."""


@contextmanager
def stopped_clock() -> Generator[None]:
    """Time spent in this block is added to the deadline of the call, if it has one."""
    deadline = CALL_DEADLINE.get()
    due = deadline.when() if deadline else None
    if deadline is None or due is None or deadline.expired():
        yield
        return
    from asyncio import get_running_loop

    loop = get_running_loop()
    left = due - loop.time()
    deadline.reschedule(None)
    try:
        yield
    finally:
        deadline.reschedule(loop.time() + left)
