"""One call of one participant: its input, its timeout, its answer in one form, its failures in our terms."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable

from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.answers import Answer, normalise
from duologue.conversation.watchdog import CallTimeout, Watchdog
from duologue.errors import (
    AgentError,
    AgentReturnError,
    AgentTimeoutError,
    BudgetExceededError,
    ConfigurationError,
    JournalError,
    JudgeError,
    RunError,
    SimulatorError,
)
from duologue.messages import Message
from duologue.settings import DEFAULT_AGENT_TIMEOUT, DEFAULT_MODEL_TIMEOUT, ScenarioConfig
from duologue.vocabulary import AgentRole

CALLS_PER_ANSWER = 10
"""Model calls that a simulator or judge may need for one answer; its own timeout is that many model timeouts."""

FAILURES: dict[AgentRole, type[RunError]] = {
    AgentRole.USER: SimulatorError,
    AgentRole.AGENT: AgentError,
    AgentRole.JUDGE: JudgeError,
}

OnDelta = Callable[[str], None]
"""Told of each piece of text that a streaming agent gives."""


async def call(
    adapter: AgentAdapter,
    input: AgentInput,
    config: ScenarioConfig,
    watchdog: Watchdog,
    on_delta: OnDelta | None = None,
) -> Answer:
    """Call the adapter and wait for its answer.

    Raises:
        RunError: AgentError, SimulatorError or JudgeError, by role, with the cause chained.
    """
    seconds = timeout_of(adapter, config)
    try:
        value = await watchdog.bound(_invoke(adapter, input, on_delta), seconds)
        return normalise(value, adapter.role, adapter.name)
    except CallTimeout as error:
        raise _timed_out(adapter, seconds) from error.__cause__
    except (BudgetExceededError, JournalError):
        raise
    except ConfigurationError as error:
        if adapter.role is AgentRole.AGENT:
            raise _failed(adapter, error) from error
        raise
    except RunError as error:
        error.who = error.who or adapter.name
        raise
    except (Exception, SystemExit) as error:  # a participant that ends the process would end all other runs with it
        raise _failed(adapter, error) from error


def timeout_of(adapter: AgentAdapter, config: ScenarioConfig) -> float:
    """Seconds that one call of this adapter may take."""
    if adapter.timeout is not None:
        return adapter.timeout
    if adapter.role is AgentRole.AGENT:
        return config.agent_timeout or DEFAULT_AGENT_TIMEOUT
    return (config.model_timeout or DEFAULT_MODEL_TIMEOUT) * CALLS_PER_ANSWER


async def _invoke(adapter: AgentAdapter, input: AgentInput, on_delta: OnDelta | None) -> object:
    if on_delta is not None:
        pieces = adapter.stream(input)
        if pieces is not None:
            return await _collect(pieces, on_delta)
    awaitable: object = adapter.call(input)
    if inspect.isawaitable(awaitable):
        return await awaitable
    raise AgentReturnError(
        f"{adapter.name}.call() returned a {type(awaitable).__name__} at once instead of something to await. "
        "Declare it as 'async def call(self, input)'.",
        who=adapter.name,
    )


async def _collect(pieces: AsyncIterator[str | Message], on_delta: OnDelta) -> list[Message]:
    """The messages that a streaming agent gave: text pieces joined, whole messages as they are."""
    messages: list[Message] = []
    text: list[str] = []
    async for piece in pieces:
        if isinstance(piece, str):
            text.append(piece)
            on_delta(piece)
            continue
        _flush(text, messages)
        messages.append(piece)
    _flush(text, messages)
    return messages


def _flush(text: list[str], messages: list[Message]) -> None:
    if text:
        messages.append({"role": "assistant", "content": "".join(text)})
        text.clear()


def _timed_out(adapter: AgentAdapter, seconds: float) -> RunError:
    text = f"{adapter.name} did not answer within {seconds:g} s"
    if adapter.role is AgentRole.AGENT:
        return AgentTimeoutError(f"{text}; raise agent_timeout if it is meant to take that long", who=adapter.name)
    return FAILURES[adapter.role](text, who=adapter.name)


def _failed(adapter: AgentAdapter, error: BaseException) -> RunError:
    text = f"it called sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    text = text or type(error).__name__
    return FAILURES[adapter.role](f"[{adapter.name}] {text}", who=adapter.name)
