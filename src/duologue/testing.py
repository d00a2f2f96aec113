"""For tests of your own: time that jumps, ids that count, participants that say what you wrote, faults on purpose.

    from duologue import testing

    def test_patience() -> None:
        slow = testing.ScriptedAgent(["sorry for the wait"], seconds=3600)
        result = testing.run_virtual(duologue.arun(..., agents=[slow], context=testing.context(), agent_timeout=7200))

Nothing here waits: an hour of conversation takes as long as the code in between.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

from duologue.context import Context, SystemClock
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes
from duologue.conversation.result import ScenarioResult
from duologue.messages import Message
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import AgentRole, Verdict

__all__ = [
    "CountingIds",
    "FaultInjector",
    "ScriptedAgent",
    "ScriptedJudge",
    "ScriptedModel",
    "ScriptedUserAgent",
    "VirtualClock",
    "VirtualLoop",
    "context",
    "run_virtual",
]

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""When virtual time begins: 2023-11-14 22:13:20 UTC."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while code runs, and jumps to the next deadline when all of it waits.

    Sleeps and timeouts of everything on the loop, libraries included, obey it. Waiting for another thread or for the
    network counts as waiting, so keep those out of it, or give them no timeout.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Seconds since the loop was made, in its own time."""
        return self._offset

    def _jump(self, seconds: float) -> None:
        self._offset += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._jump(timeout)
        return ready


class VirtualClock:
    """The clock to put into a :class:`duologue.Context` on a :class:`VirtualLoop`."""

    def now(self) -> float:
        """Seconds since 1970, beginning at :data:`EPOCH`."""
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        """The running loop's own time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait in the loop's own time."""
        await SystemClock().sleep(seconds)


class CountingIds:
    """Names that count: ``run_1``, ``thread_1``, ``run_2``."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """The next id of that prefix."""
        self._counts[prefix] += 1
        return f"{prefix}_{self._counts[prefix]}"


def context(seed: int = 0) -> Context:
    """A context with a virtual clock and counting ids."""
    return Context(clock=VirtualClock(), ids=CountingIds(), seed=seed)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on a :class:`VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


Line = AgentReturnTypes | Exception | Callable[[AgentInput], AgentReturnTypes]


class _Scripted(AgentAdapter):
    """Answers with the given lines in order; the last one again and again when ``repeat`` is set."""

    repeats: ClassVar[bool] = True
    reports_tool_calls: bool | None = True

    def __init__(
        self, lines: Sequence[Line], *, repeat: bool = False, seconds: float = 0.0, name: str | None = None
    ) -> None:
        self._lines = list(lines)
        self._repeat = repeat
        self._seconds = seconds
        self._name = name
        self.inputs: list[AgentInput] = []

    @property
    def name(self) -> str:
        """The given name, or the class's."""
        return self._name or type(self).__name__

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The next line: said, called or raised."""
        self.inputs.append(input)
        if self._seconds:
            await input.scope.context.clock.sleep(self._seconds)
        position = len(self.inputs) - 1
        if position >= len(self._lines) and not (self._repeat and self._lines):
            raise RuntimeError(f"{self.name} was called {position + 1} times and has {len(self._lines)} lines")
        line = self._lines[min(position, len(self._lines) - 1)]
        if isinstance(line, Exception):
            raise line
        return line(input) if callable(line) else line


class ScriptedAgent(_Scripted):
    """An agent under test that says what you wrote.

    Args:
        lines: what it answers, call by call: text, messages, a result, an exception to raise, a function of the input.
        repeat: say the last line again when the lines are used up; otherwise that is an error.
        seconds: how long each call takes on the run's clock.
    """


class ScriptedUserAgent(_Scripted):
    """A user that says what you wrote; takes what :class:`ScriptedAgent` takes. See also ``duologue.ScriptedUser``."""

    role: ClassVar[AgentRole] = AgentRole.USER


class ScriptedJudge(_Scripted):
    """A judge that decides what you wrote: one entry a call, a verdict or ``None`` to let the conversation go on."""

    role: ClassVar[AgentRole] = AgentRole.JUDGE

    def __init__(
        self,
        decisions: Sequence[Verdict | bool | ScenarioResult | Exception | None],
        *,
        repeat: bool = False,
        seconds: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__([_decision(item) for item in decisions], repeat=repeat, seconds=seconds, name=name)


class FaultInjector(AgentAdapter):
    """Wraps an adapter and breaks some of its calls: ``{2: TimeoutError(), 3: [] }`` breaks the second and third.

    Args:
        adapter: the one to wrap; role and name are its own.
        faults: by number of the call, counted from 1: an exception to raise, or what to answer in its place.
    """

    def __init__(self, adapter: AgentAdapter, faults: dict[int, Exception | AgentReturnTypes]) -> None:
        self._adapter = adapter
        self._faults = faults
        self.calls = 0
        self.timeout = adapter.timeout
        self.reports_tool_calls = adapter.reports_tool_calls
        self.role = adapter.role  # pyright: ignore[reportAttributeAccessIssue] - a wrapper has the role of what it wraps

    @property
    def name(self) -> str:
        """The wrapped adapter's."""
        return self._adapter.name

    def describe(self) -> dict[str, Any]:
        """The wrapped adapter's description, and that it is broken on purpose."""
        return {**self._adapter.describe(), "faults": sorted(self._faults)}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The wrapped adapter's answer, or the fault."""
        self.calls += 1
        fault = self._faults.get(self.calls)
        if isinstance(fault, Exception):
            raise fault
        return await self._adapter.call(input) if fault is None else fault


def _decision(value: Verdict | bool | ScenarioResult | Exception | None) -> Line:
    if isinstance(value, (ScenarioResult, Exception)):
        return value
    if value is None:
        nothing: list[Message] = []
        return nothing
    verdict = value if isinstance(value, Verdict) else (Verdict.PASS if value else Verdict.FAIL)
    return ScenarioResult(success=verdict is Verdict.PASS, verdict=verdict, reasoning=f"scripted: {verdict.value}")
