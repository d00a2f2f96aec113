"""One call of one participant: its deadline, its answer in one form, its failures in our terms."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from duologue.config.tracebacks import Place, describe_after_name, place_of
from duologue.conversation.adapter import (
    AgentAdapter,
    AgentDone,
    AgentInput,
    AgentSession,
    AttributedMessage,
    CompleteAnswer,
    HeldConversation,
    Piece,
    UserDone,
)
from duologue.conversation.answers import WRITERS, Answer, Ended, Said, at_its_end, read_shapes, wrong_answer
from duologue.conversation.deadlines import GRACE, RunTask
from duologue.conversation.loops import other_loop_advice
from duologue.conversation.result import ScenarioResult
from duologue.errors import (
    AgentError,
    AgentReturnError,
    AgentTimeoutError,
    ArtifactError,
    BudgetExceededError,
    ConfigurationError,
    JournalError,
    JudgeError,
    RunError,
    SimulatorError,
)
from duologue.message_shapes import (
    ShapeReader,
    uses_of,
)
from duologue.messages import Message, has_plain_text, mended
from duologue.models.prices import load_prices
from duologue.settings import DEFAULT_AGENT_TIMEOUT, DEFAULT_MODEL_TIMEOUT, ScenarioConfig
from duologue.vocabulary import AgentRole

T = TypeVar("T")

logger = logging.getLogger("duologue.conversation")

CALLS_PER_ANSWER = 10
"""Model calls that a simulator or judge may need for one answer; its own timeout is that many model timeouts."""

FAILURES: dict[AgentRole, type[RunError]] = {
    AgentRole.USER: SimulatorError,
    AgentRole.AGENT: AgentError,
    AgentRole.JUDGE: JudgeError,
}


LateError = Callable[[AgentAdapter, float, str], Exception]
"""The same for a participant's call: it is given the participant and the seconds that it had, too."""

OnDelta = Callable[[str], None]
"""Told of each piece of text that a streaming agent gives."""


class CallTimeout(Exception):
    """A call took longer than it may."""


@dataclass(kw_only=True)
class Utterance:
    """What a participant has said so far in a call that is still going on.

    Attributes:
        who: its name.
        role: its role.
        on_delta: told of each piece of text.
        said: the messages that are complete.
        text: the pieces of the one that is not.
    """

    who: str
    role: AgentRole
    on_delta: OnDelta | None = None
    said: list[Said] = field(default_factory=list[Said])
    text: list[str] = field(default_factory=list[str])
    ended_by: ScenarioResult | UserDone | HeldConversation | None = None
    done: str | None = None
    """What an agent has said of its ending the conversation, if it has."""
    reader: ShapeReader = field(default_factory=ShapeReader)
    heard: Callable[[], None] | None = None
    """Called when something more was said."""

    def extend(self, piece: Piece) -> None:
        """One more piece of the answer."""
        if isinstance(piece, str):
            self.text.append(piece)
            if self.on_delta is not None:
                self.on_delta(piece)
        elif isinstance(piece, CompleteAnswer):
            self.text.clear()
            self.said.extend(read_shapes(list(piece.messages), self.role, self.who, self.reader))
        elif isinstance(piece, (ScenarioResult, UserDone, HeldConversation)):
            self.ended_by = piece
        elif isinstance(piece, AgentDone):
            self.finish_text()
            ended = normalise(piece, self.role, self.who, self.reader)
            assert isinstance(ended, Ended)
            self.said.extend(ended.said)
            self.done = ended.explanation
        else:
            self.finish_text()
            self.said.extend(cast("list[Said]", normalise(piece, self.role, self.who, self.reader)))
        if self.heard is not None:
            self.heard()

    def finish_text(self) -> bool:
        """Complete the message that the pieces of text make; whether there were any."""
        text = "".join(self.text)
        self.text.clear()
        if not text:
            return False
        self.said.extend(cast("list[Said]", normalise(text, self.role, self.who)))
        return True

    def cut_off(self) -> bool:
        """Complete the message that was being said, half of a character at its end left out; whether there was one."""
        self.text[:] = ["".join(self.text).encode("utf-8", "ignore").decode()]
        return self.finish_text()

    def finish(self) -> Answer:
        """The whole answer."""
        self.finish_text()
        if self.ended_by is None and self.done is not None:
            return Ended(self.said, self.done)
        return self.said if self.ended_by is None else normalise(self.ended_by, self.role, self.who)

    @property
    def words(self) -> int:
        """How many words of text there are so far, in this message."""
        return len("".join(self.text).split())


async def answer_of(
    adapter: AgentAdapter,
    session: AgentSession | None,
    input: AgentInput,
    config: ScenarioConfig,
    watchdog: Watchdog,
    utterance: Utterance | None,
    *,
    is_async: bool = False,
) -> Answer:
    """Call the adapter and wait for its answer.

    Args:
        adapter, session, input: who is called, and with what; None for an adapter that answers all at once.
        config: what the run obeys.
        watchdog: keeps the deadline.
        utterance: what is said bit by bit; None for an adapter that answers all at once.
        is_async: ``adapter.call`` is known to be a coroutine function, as it should be.

    Raises:
        RunError: AgentError, SimulatorError or JudgeError, by role, with the cause chained.
    """
    seconds = timeout_of(adapter, config)
    try:
        if utterance is None or session is None:  # the usual case, without the detour over an iterator
            answering = adapter.call(input) if is_async else _called(adapter, input)
            value = await watchdog.bound(answering, seconds, adapter)
            answer = _as_it_is(value, adapter.role, adapter.name)
            if answer is None:
                answer = read_shapes(value, adapter.role, adapter.name, _reader(input))
            elif not isinstance(answer, ScenarioResult) or not (
                answer.usage.input_tokens or answer.usage.output_tokens
            ):
                return answer
            await _report_usage(value, input)
            return answer
        utterance.reader = _reader(input)
        return await watchdog.bound(_streamed(session, input, utterance), seconds, adapter)
    except CallTimeout as late:
        raise timed_out(adapter, seconds, waited=place_of(late)) from None
    except (BudgetExceededError, JournalError, ArtifactError):
        raise
    except ConfigurationError as error:
        if adapter.role is AgentRole.AGENT:
            raise failure(adapter, error) from error
        raise
    except RunError as error:
        error.who = error.who or adapter.name
        raise
    except (Exception, SystemExit) as error:  # a participant that ends the process would end all other runs with it
        raise failure(adapter, error) from error


def timeout_of(adapter: AgentAdapter, config: ScenarioConfig) -> float:
    """Seconds that one call of this adapter may take."""
    if adapter.timeout is not None:
        return adapter.timeout
    if adapter.role is AgentRole.AGENT:
        return config.agent_timeout or DEFAULT_AGENT_TIMEOUT
    return (config.model_timeout or DEFAULT_MODEL_TIMEOUT) * CALLS_PER_ANSWER


def failure(adapter: AgentAdapter, error: BaseException) -> RunError:
    """What broke in an adapter, as an error of its role."""
    text = describe_after_name(adapter.name, error) + other_loop_advice(error)
    return FAILURES[adapter.role](text, who=adapter.name)


def _reader(input: AgentInput) -> ShapeReader:
    reader = ShapeReader()
    reader.earlier = lambda: input.scenario_state.view.messages
    return reader


async def _streamed(session: AgentSession, input: AgentInput, utterance: Utterance) -> Answer:
    await session.send(input)
    async for piece in session.receive():
        utterance.extend(piece)
        await _report_usage(piece, input)
    return utterance.finish()


async def _report_usage(value: object, input: AgentInput) -> None:
    """Count what an answer says that models took for it, unless the adapter counts itself."""
    if isinstance(value, (str, CompleteAnswer)) or input.usage_reported:
        return
    uses = uses_of(value)
    if any(use.cost is None and use.model for use in uses):
        await load_prices(input.scope.context.clock)
    for use in uses:
        input.report_usage(
            model=use.model, input_tokens=use.input_tokens, output_tokens=use.output_tokens, cost=use.cost
        )
    input.usage_reported = False


async def _called(adapter: AgentAdapter, input: AgentInput) -> object:
    awaitable: object = adapter.call(input)
    if inspect.isawaitable(awaitable):
        return await awaitable
    raise AgentReturnError(
        f"{adapter.name}.call() returned a {type(awaitable).__name__} at once instead of something to await. "
        "Declare it as 'async def call(self, input)'.",
        who=adapter.name,
    )


def timed_out(
    adapter: AgentAdapter, seconds: float, where: str | None = None, *, waited: Place | None = None
) -> RunError:
    """The error of a participant that takes too long.

    Args:
        adapter: the participant.
        seconds: that it has.
        where: for one that does not end when it is cancelled: the line that it is at, '' if that is not known.
        waited: the line of the user's code that was waiting when it was cancelled.
    """
    text = f"{adapter.name} did not answer within {seconds:g} s"
    if waited is not None:
        text += f": it was at {waited}"
    elif where is not None:
        text += " and does not end when it is cancelled" + (f": it is at {where}" if where else "")
    if adapter.role is AgentRole.AGENT:
        error: RunError = AgentTimeoutError(
            f"{text}; if it is meant to take that long, raise agent_timeout (in a suite: the agent's 'timeout')",
            who=adapter.name,
        )
    else:
        error = FAILURES[adapter.role](text, who=adapter.name)
    error.timed_out = True
    return error


# --- its deadline -----------------------------------------------------------------------------------------------------


class Watchdog:
    """Bounds the calls of one run, which mostly come one after the other, at the price of one timer.

    ``asyncio.timeout`` sets and cancels a timer for each call. With ten thousand conversations of many short calls
    those timers, most of them far in the future, cost more than the engine itself. A watchdog keeps one timer and
    looks, when it rings, whether the call of the moment is really late.
    """

    def __init__(self, run: RunTask, late_error: LateError) -> None:
        self._run = run
        self._late_error = late_error
        self._adapter: AgentAdapter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._seconds = 0.0
        self._rang = False
        run.watchdogs.append(self)

    async def bound(self, awaitable: Awaitable[T], seconds: float, adapter: AgentAdapter) -> T:
        """Wait for it, for at most that long.

        Args:
            awaitable: what is waited for.
            seconds: that it may take.
            adapter: whose call it is.

        Raises:
            CallTimeout: it took longer.
        """
        if self._task is not None:
            # A call in the background is being watched: this one gets a watchdog of its own.
            other = Watchdog(self._run, self._late_error)
            try:
                return await other.bound(awaitable, seconds, adapter)
            finally:
                other.close()
        run = self._run
        loop, lane, time = run.loop, run.lane, run.loop.time
        task = asyncio.current_task(loop)
        assert task is not None
        now = time()
        self._adapter, self._seconds, self._task, self._rang = adapter, seconds, task, False
        # As RunTask.time, written out: this is done for every call of every run.
        self._deadline = now - lane.blocked + run.blocked + seconds
        if self._timer is None or self._timer.when() > now + seconds:
            self._set_timer(seconds)
        try:
            value = await awaitable
        except BaseException as raised:
            late = self._rang or run.time() > self._deadline
            if late and not run.from_outside(raised):
                raise CallTimeout from raised
            raise
        finally:
            self._task = None
        if self._rang or time() - lane.blocked + run.blocked > self._deadline:
            await run.settle()
            raise CallTimeout
        if task.cancelling() and await run.settle():
            raise asyncio.CancelledError("it cancelled its own task")
        return value

    def close(self) -> None:
        """No more calls: drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self in self._run.watchdogs:
            self._run.watchdogs.remove(self)

    def overdue(self, time: float) -> bool:
        """Whether there is a call that should have ended by that time."""
        return self._task is not None and time > self._deadline

    def error(self) -> Exception:
        """The error of the call of the moment, if it does not end at its deadline."""
        assert self._adapter is not None
        return self._late_error(self._adapter, self._seconds, self._run.where())

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._run.loop.call_later(seconds, self._ring, context=self._run.lane.context)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        left = self._deadline - self._run.time()
        if left <= 0 and self._rang:
            self._run.give_up(self.error())
            return
        if left <= 0:
            self._rang = True
            left = min(GRACE, self._seconds / 2)
            self._deadline += left
            self._task.cancel()
        self._set_timer(left)


async def bounded(closing: Awaitable[None], seconds: float) -> None:
    """Wait for the end of a session, but not for ever; what goes wrong there changes nothing about the run."""
    try:
        async with asyncio.timeout(seconds):
            await closing
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        logger.exception("a session cancelled itself while it was interrupted or closed")
    except (Exception, SystemExit):
        logger.exception("a session could not be interrupted or closed")


# --- one form for all answers ----------------------------------------------------------------------------------------


def normalise(value: object, role: AgentRole, who: str, reader: ShapeReader | None = None) -> Answer:
    """The answer in its one form.

    Messages are copied through JSON: what an adapter does to its own objects later cannot change the conversation.
    U+FFFD stands for each half of a character, which no file and no request could hold.
    Messages and items in the shapes of providers and frameworks become chat messages; ``reader`` knows the tool calls
    of earlier pieces of the same answer.

    Raises:
        AgentReturnError: it is none of the things that ``call`` may return.
    """
    answer = _as_it_is(value, role, who)
    return read_shapes(value, role, who, reader or ShapeReader()) if answer is None else answer


def _as_it_is(value: object, role: AgentRole, who: str) -> Answer | None:
    """The answer where it says all in our own words, as nearly every one does; None where its shape has to be read."""
    if isinstance(value, str):
        return [Said({"role": "user" if role is AgentRole.USER else "assistant", "content": mended(value)})]
    if isinstance(value, ScenarioResult):
        return _mended_result(value)
    if isinstance(value, UserDone):
        if role is not AgentRole.USER:
            raise wrong_answer(value, who, "UserDone is for simulated users; an agent ends a run with a ScenarioResult")
        return value
    if isinstance(value, AgentDone | HeldConversation):
        return at_its_end(value, role, who)
    said: list[Said] = []
    for item in cast("list[object]", value) if isinstance(value, list) else [value]:
        message, call = (item.message, item.call) if isinstance(item, AttributedMessage) else (item, "")
        if not has_plain_text(message) or message["role"] not in WRITERS[role]:
            return None
        said.append(Said(message.copy(), call))
    return said


def messages_of(value: object, who: str) -> list[Message]:
    """The messages that a script or a simulated user's last words give."""
    if value is None:
        return []
    if has_plain_text(value) and value["role"] in WRITERS[AgentRole.USER]:
        return [value.copy()]
    answer = normalise(value, AgentRole.USER, who)
    return [said.message for said in answer] if isinstance(answer, list) else []


def _mended_result(result: ScenarioResult) -> ScenarioResult:
    texts = {name: getattr(result, name) for name in ("reasoning", "passed_criteria", "failed_criteria")}
    changed = {name: whole for name, text in texts.items() if (whole := mended(text)) != text}
    return result.model_copy(update=changed) if changed else result
