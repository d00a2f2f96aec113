"""One call of one participant: its timeout, its answer in one form, its failures in our terms."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import NamedTuple, cast

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

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
from duologue.conversation.deadlines import CallTimeout, Watchdog
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
from duologue.frozen import changed
from duologue.message_shapes import (
    FRAMEWORKS,
    ShapeError,
    ShapeReader,
    as_fields,
    broke_off,
    framework_of,
    items_of,
    parts_of,
    uses_of,
)
from duologue.messages import Message, has_plain_text, mended
from duologue.models.prices import load_prices
from duologue.settings import DEFAULT_AGENT_TIMEOUT, DEFAULT_MODEL_TIMEOUT, ScenarioConfig
from duologue.vocabulary import AgentRole

CALLS_PER_ANSWER = 10
"""Model calls that a simulator or judge may need for one answer; its own timeout is that many model timeouts."""

FAILURES: dict[AgentRole, type[RunError]] = {
    AgentRole.USER: SimulatorError,
    AgentRole.AGENT: AgentError,
    AgentRole.JUDGE: JudgeError,
}

_WRITERS = {
    AgentRole.USER: {"user", "assistant", "system"},
    AgentRole.AGENT: {"assistant"},
    AgentRole.JUDGE: {"user", "assistant", "system"},
}
"""Roles whose plain texts an answer may hold as they are."""
_SHOWN = 200
"""Characters of a wrong answer that an error shows."""


class Said(NamedTuple):
    """A message of an answer, and the model call that wrote it; '' where that is not known."""

    message: Message
    call: str = ""


class Ended(NamedTuple):
    """What an agent has said before it ended the conversation."""

    said: list[Said]
    explanation: str = ""


Answer = list[Said] | ScenarioResult | UserDone | Ended | HeldConversation
"""What a participant may answer, in its one form."""

OnDelta = Callable[[str], None]
"""Told of each piece of text that a streaming agent gives."""


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
            self.said.extend(_read(list(piece.messages), self.role, self.who, self.reader))
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
                answer = _read(value, adapter.role, adapter.name, _reader(input))
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
    reader.earlier = lambda: input.scenario_state.messages
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
    return _read(value, role, who, reader or ShapeReader()) if answer is None else answer


def _as_it_is(value: object, role: AgentRole, who: str) -> Answer | None:
    """The answer where it says all in our own words, as nearly every one does; None where its shape has to be read."""
    if isinstance(value, str):
        return [Said({"role": "user" if role is AgentRole.USER else "assistant", "content": mended(value)})]
    if isinstance(value, ScenarioResult):
        return _mended_result(value)
    if isinstance(value, UserDone):
        if role is not AgentRole.USER:
            raise _wrong(value, who, "UserDone is for simulated users; an agent ends a run with a ScenarioResult")
        return value
    if isinstance(value, AgentDone | HeldConversation):
        return _at_its_end(value, role, who)
    said: list[Said] = []
    for item in cast("list[object]", value) if isinstance(value, list) else [value]:
        message, call = (item.message, item.call) if isinstance(item, AttributedMessage) else (item, "")
        if not has_plain_text(message) or message["role"] not in _WRITERS[role]:
            return None
        said.append(Said(message.copy(), call))
    return said


def _at_its_end(value: AgentDone | HeldConversation, role: AgentRole, who: str) -> Answer:
    """An answer with which an agent has ended the conversation."""
    if role is not AgentRole.AGENT:
        raise _wrong(value, who, f"{type(value).__name__} is for agents")
    if isinstance(value, AgentDone):
        said = _read(list(value.messages), role, who, ShapeReader())
        return Ended(said, mended(value.explanation))
    messages = [
        changed(item, message=said.message)
        for item in value.messages
        for said in _read(item.message, AgentRole.JUDGE, who, ShapeReader())
    ]
    turns = [item.turn for item in messages]
    if turns != sorted(turns) or any(turn < 0 for turn in turns):
        raise _wrong(turns, who, "the turns of a conversation are numbered in order, from 0")
    return changed(value, messages=messages)


def _read(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Said]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [said for item in items for said in _said(item, role, who, reader)]


def messages_of(value: object, who: str) -> list[Message]:
    """The messages that a script or a simulated user's last words give."""
    if value is None:
        return []
    answer = normalise(value, AgentRole.USER, who)
    return [said.message for said in answer] if isinstance(answer, list) else []


def _said(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Said]:
    if isinstance(value, AttributedMessage):
        return [Said(message, value.call) for message in _messages(value.message, role, who, reader)]
    return [Said(message) for message in _messages(value, role, who, reader)]


def _messages(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Message]:
    """The chat messages that one item of an answer comes to: one, unless its shape holds several or none."""
    if has_plain_text(value) and value["role"] in _WRITERS[role]:
        return [value.copy()]
    if (parts := parts_of(value)) is not None:
        return [message for part in parts for message in _messages(part, role, who, reader)]
    item = _as_data(value, who)
    if broke_off(item):
        raise _wrong(value, who, "the answer broke off: its finish_reason is 'error'")
    try:
        items = items_of(item)
        found = [message for part in items or [item] for message in reader.read(part)]
    except ShapeError as error:
        raise _wrong(value, who, str(error)) from None
    if role is AgentRole.AGENT:
        _refuse_words_of_others(found, who)
    return found


def _as_data(value: object, who: str) -> dict[str, object]:
    """A message or an object of a framework as a mapping of its own."""
    data = as_fields(value)
    if not isinstance(data, dict) and not (is_dataclass(data) and not isinstance(data, type)):
        raise _wrong(value, who, "a list may hold chat messages only" if isinstance(value, (str, list)) else "")
    try:
        try:
            return cast("dict[str, object]", from_json(to_json(data)))
        except PydanticSerializationError:  # one of the reasons is half a character
            whole = mended(data if isinstance(data, dict) else asdict(data))
            return cast("dict[str, object]", from_json(to_json(mended(to_jsonable_python(whole)))))
    except (PydanticSerializationError, ValueError) as error:
        raise _wrong(value, who, f"it cannot be written as JSON: {error}") from error


def _refuse_words_of_others(messages: list[Message], who: str) -> None:
    """An agent speaks for itself and its tools: it puts no words into the user's mouth."""
    for message in messages:
        if message["role"] not in {"assistant", "tool"}:
            why = (
                f"the role of an agent's own messages is assistant or tool, and this one is the {message['role']}'s: "
                "return only what is new, without the messages that the agent was given"
            )
            raise _wrong(message, who, why)


def _mended_result(result: ScenarioResult) -> ScenarioResult:
    texts = {name: getattr(result, name) for name in ("reasoning", "passed_criteria", "failed_criteria")}
    changed = {name: whole for name, text in texts.items() if (whole := mended(text)) != text}
    return result.model_copy(update=changed) if changed else result


def _wrong(value: object, who: str, why: str) -> AgentReturnError:
    try:
        shown = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    reason = f" ({why})" if why else ""
    return AgentReturnError(
        f"{who}.call() returned a {type(value).__name__}: {shown}{reason}{_of_framework(value)}. "
        "Expected text, a chat message such as "
        "{'role': 'assistant', 'content': '…'}, a list of those, or a ScenarioResult.",
        who=who,
    )


def _of_framework(value: object) -> str:
    """What to do about an object of a framework that is no answer: an agent, a state, a request."""
    if inspect.isawaitable(value):
        return ", which has to be awaited"
    if (found := framework_of(value)) is None:
        return ""
    name, integration = FRAMEWORKS[found]
    return f", an object of {name} that holds no messages; duologue.integrations.{integration} calls such agents"
