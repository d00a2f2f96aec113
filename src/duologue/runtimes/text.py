"""The conversation that all text runtimes share: who speaks when, what ends it, how long it may take.

It is played by the engine of every other run (``duologue.conversation``); a runtime only says how its agent is asked.
What goes wrong with the agent is an error that says what was sent and what came back, and never a line of the
transcript.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel

from duologue.config.redaction import redacted
from duologue.config.tracebacks import describe, message_of
from duologue.conversation.adapter import AgentAdapter, AgentDone, AgentInput, AttributedMessage
from duologue.errors import (
    AgentError,
    AgentTimeoutError,
    BudgetExceededError,
    DuologueError,
    JournalError,
    RunError,
    RunTimeoutError,
)
from duologue.frozen import frozen
from duologue.journal.causes import outer_call
from duologue.messages import Message, text_of, tool_calls_of
from duologue.runtimes.base import (
    AgentSnapshot,
    EvalRuntime,
    RunMode,
    RuntimeRunArgs,
    RuntimeSession,
    RuntimeTestResult,
    TestCaseRunResult,
)
from duologue.runtimes.config import RunConfig
from duologue.runtimes.played import AGENT, closed, played, probe_of, unless_cancelled
from duologue.runtimes.transcript import result_from
from duologue.settings import DEFAULT_AGENT_TIMEOUT

Agent = TypeVar("Agent")
_SHOWN = 300
"""Characters that an error shows of what was sent, and of what came back."""

Said = str | Message | Sequence[Message | AttributedMessage]
"""What an agent says in one turn: text, a chat message, or several with its tool calls and their results."""


@frozen
class AgentTurn:
    """One turn that the agent is asked for.

    Attributes:
        input: the conversation, as every participant is given it.
        index: number of the agent's turn, from 0.
        who: the agent's name, for errors.
    """

    input: AgentInput
    index: int
    who: str

    def failure(self, what: str, came_back: str | None = None, kind: type[AgentError] = AgentError) -> AgentError:
        """The error to raise when the agent fails: what went wrong, what was sent, and what came back, if anything."""
        messages = self.input.messages
        sent = "no messages"
        if messages:
            count = f"{len(messages)} message{'s' if len(messages) > 1 else ''}"
            sent = f"{count}, the last from the {messages[-1]['role']}: {_excerpt(text_of(messages[-1]))}"
        told = f"[{self.who}] {what}; sent: {sent}"
        if came_back is not None:
            told += f"; came back: {_excerpt(came_back) if came_back else 'nothing'}"
        return kind(redacted(told), who=self.who)


@frozen
class AgentReply:
    """What came of a turn, where there is more to it than words.

    Attributes:
        said: in this turn.
        ended: whether the agent has ended the conversation.
    """

    said: Said
    ended: bool = False


class TextRuntimeBase(EvalRuntime, Generic[Agent]):
    """Base of text runtimes: a heir says how its agent is prepared for a test case, and how it is asked for a turn."""

    MODE: ClassVar[RunMode] = RunMode.TEXT
    RESUMABLE: ClassVar[bool] = False
    """Whether a test case that was cut off can go on with an agent that is prepared anew: it is given the whole
    conversation with each turn, or finds it under ``turn.input.thread_id``."""
    REPEATS: ClassVar[bool] = False
    """Whether an agent that is prepared anew is brought up to date by asking it again: its models and tools answer from
    the journal then."""

    @abstractmethod
    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> Agent:
        """Whatever the turns of one test case need. May open connections; :meth:`close_text_agent` closes them.

        Raises:
            DuologueError, ValueError: it cannot be had.
        """

    @abstractmethod
    async def do_agent_turn(self, agent_config: Agent, turn: AgentTurn) -> Said | AgentReply:
        """Ask the agent for one turn. It may take as long as it likes: the time limit is kept by the caller.

        Raises:
            AgentError: it failed; see :meth:`AgentTurn.failure`.
        """

    async def close_text_agent(self, agent_config: Agent) -> None:
        """Let go of what :meth:`build_text_agent_config` has opened. Called in every case."""
        return

    def text_agent_metadata(self, agent_config: Agent) -> Mapping[str, Any]:
        """What is to be known of the test case beside its transcript. Asked for before the agent is closed."""
        return {}

    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        """Send the agent the one message ``ping``, as in a test case. It may take ten seconds."""
        return await self._probed(runtime_config, agent, session)

    async def _probed(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        try:
            self.validate_config(runtime_config, agent, session)
            result = await self.run_test_case(runtime_config, probe_of(agent), session)
        except (DuologueError, ValueError) as error:
            return RuntimeTestResult(ok=False, message=message_of(error))
        answers = [turn for turn in result.transcript if turn.role == "assistant"]
        text = next((turn.content for turn in reversed(answers) if turn.content), "a tool call")
        took = next((turn.latency_ms for turn in reversed(answers) if turn.latency_ms is not None), 0)
        return RuntimeTestResult(ok=True, message=f"answered in {took} ms: {_excerpt(str(text))}")

    async def run_test_case(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> TestCaseRunResult:
        """Let user and agent talk until one of them, a terminating tool or a limit ends it.

        Raises:
            AgentError, AgentTimeoutError: the agent failed; says what was sent and what came back.
            SimulatorError: the simulated user failed.
            RunTimeoutError: the time of the test case was over.
            RunCancelledError: it was cancelled.
        """
        return await unless_cancelled(self._played(runtime_config, args, session), args.run_snapshot.cancel_event)

    async def _played(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> TestCaseRunResult:
        clock = asyncio.get_running_loop().time
        seconds = args.run_snapshot.run_config.seconds
        ends = clock() + seconds
        async with self._prepared(runtime_config, args, session, ends) as agent:
            return await self._conversation(agent, args, ends - clock())

    @asynccontextmanager
    async def _prepared(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None, ends: float
    ) -> AsyncGenerator[Agent]:
        name = f"the {self.KIND} runtime"
        limit = asyncio.timeout_at(ends)
        try:
            async with limit:
                agent = await self.build_text_agent_config(runtime_config, args, session)
        except TimeoutError as error:
            if not limit.expired():
                raise AgentError(f"{name} could not prepare the agent: {describe(error)}") from error
            told = f"{name} did not prepare the agent within {args.run_snapshot.run_config.seconds:g} s"
            raise RunTimeoutError(told) from error
        except (DuologueError, ValueError):
            raise
        except Exception as error:
            raise AgentError(f"{name} could not prepare the agent: {describe(error)}") from error
        try:
            yield agent
        finally:
            await closed(self.close_text_agent(agent))

    async def _conversation(self, agent_config: Agent, args: RuntimeRunArgs, left: float) -> TestCaseRunResult:
        run = args.run_snapshot.run_config
        agent = TextAgent(self, args.agent_snapshot, run.agent_timeout, agent_config)
        executor, result = await played(self, agent, args, left)
        if executor.failure is not None:
            raise _as_agents(executor.failure, agent, run) from executor.failure.__cause__
        metadata = {**self.text_agent_metadata(agent_config), "termination": str(result.termination or "")}
        return result_from(executor.journal.entries, AGENT, metadata)


class TextAgent(AgentAdapter):
    """The agent of a runtime as a participant of one conversation.

    Args:
        runtime: that asks it.
        snapshot: of the agent.
        seconds: that one answer may take; None for the default.
        agent_config: what the runtime has prepared.
        name: what reports call it; None for the label of the runtime.

    Attributes:
        asked: the turn that it has not answered yet.
    """

    def __init__(
        self,
        runtime: TextRuntimeBase[Any],
        snapshot: AgentSnapshot,
        seconds: float | None,
        agent_config: object,
        name: str | None = None,
    ) -> None:
        self._runtime = runtime
        self._agent_config = agent_config
        self._name = name or str(runtime.LABEL)
        self._seconds = seconds or DEFAULT_AGENT_TIMEOUT
        self._terminating = terminating_tools(snapshot)
        # The engine's own limit comes after the one that is kept here, whose error says what was sent.
        self.timeout = self._seconds + 1
        self.asked: AgentTurn | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    async def call(self, input: AgentInput) -> list[Message | AttributedMessage] | AgentDone:
        """One turn of the agent."""
        turn = self.asked = AgentTurn(input=input, index=_turns_of(input), who=self._name)
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._runtime.do_agent_turn(self._agent_config, turn)
        except TimeoutError as error:
            raise turn.failure(f"no answer within {self._seconds:g} s", kind=AgentTimeoutError) from error
        except (RunError, BudgetExceededError, JournalError):
            raise
        except Exception as error:
            told = message_of(error) if isinstance(error, DuologueError) else describe(error)
            raise turn.failure(told) from error
        self.asked = None
        if not isinstance(reply, AgentReply):
            reply = AgentReply(said=reply)
        said = _messages(reply.said, turn, may_be_silent=reply.ended)
        return AgentDone(messages=said) if reply.ended or self._terminates(said) else said

    def _terminates(self, said: Sequence[Message | AttributedMessage]) -> bool:
        called = {call["function"]["name"] for item in said for call in tool_calls_of(_plain(item))}
        return bool(called & self._terminating)


def _turns_of(input: AgentInput) -> int:
    """How many turns the agent has had, also those of a run that was resumed."""
    records = input.scenario_state.view.records
    own = {outer_call(item.call) for item in records if item.author == input.scope.participant and item.call}
    return len(own)


def terminating_tools(agent: AgentSnapshot) -> frozenset[str]:
    """The names of the tools that end a conversation."""
    names: set[str] = set()
    for tool in agent.tools or ():
        function, platform = tool.get("function"), tool.get("platform_config")
        if isinstance(platform, Mapping) and cast("Mapping[str, Any]", platform).get("terminating") is True:
            named = cast("Mapping[str, Any]", function if isinstance(function, Mapping) else tool)
            names.add(str(named.get("name")))
    return frozenset(names)


def _messages(said: object, turn: AgentTurn, *, may_be_silent: bool) -> list[Message | AttributedMessage]:
    """What was said, as messages; silence is a failure of the agent, unless it has ended the conversation."""
    if isinstance(said, str):
        said = {"role": "assistant", "content": said}
    if isinstance(said, Mapping):
        said = [cast("Message", said)]
    if not isinstance(said, Sequence):
        raise turn.failure(f"a runtime returns messages; found {type(said).__name__}")
    made = list(cast("Sequence[Message | AttributedMessage]", said))
    if not may_be_silent and not any(_says_something(_plain(item)) for item in made):
        raise turn.failure("the answer is empty", "")
    if made and _plain(made[-1]).get("role") == "tool" and not may_be_silent:
        raise turn.failure("the turn ends with the result of a tool; expected an answer after it", str(made[-1]))
    return made


def _says_something(message: Message) -> bool:
    if message.get("role") != "assistant":
        return False
    content = message.get("content")
    said = bool(content.strip()) if isinstance(content, str) else bool(content)
    return said or bool(tool_calls_of(message))


def _plain(item: Message | AttributedMessage) -> Message:
    return item.message if isinstance(item, AttributedMessage) else item


def _as_agents(error: BaseException, agent: TextAgent, run: RunConfig) -> BaseException:
    """The failure of the conversation; where the agent was at work when the time was over, it says what was sent."""
    if isinstance(error, RunTimeoutError) and agent.asked is not None:
        what = f"no answer within the {run.seconds:g} s of the test case"
        late = agent.asked.failure(what, kind=AgentTimeoutError)
        late.timed_out, late.result = True, error.result
        return late
    return error


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
