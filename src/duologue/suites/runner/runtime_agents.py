"""Agents that a runtime drives, as participants of a run: asked turn by turn, or holding the whole conversation.

Whatever goes wrong with a runtime is an error of the run: nothing that the agent has not said is put into the
conversation, and no judge is asked about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel

from duologue.config.redaction import redacted
from duologue.config.tracebacks import describe, message_of
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentSession, HeldConversation, HeldMessage, Piece
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.errors import (
    AgentError,
    AgentReturnError,
    AgentTimeoutError,
    BudgetExceededError,
    DuologueError,
    JournalError,
    RunError,
)
from duologue.frozen import changed, frozen
from duologue.journal.notes import RuntimeReported
from duologue.messages import Message, tool_calls_of
from duologue.models.base import Model
from duologue.models.reported import report_usage
from duologue.models.scope import RunScope
from duologue.runtimes.base import (
    ConversationTurn,
    EvalRuntime,
    RunSnapshot,
    RuntimeRunArgs,
    RuntimeSession,
    TestCaseRunResult,
)
from duologue.runtimes.played import closed
from duologue.runtimes.text import TextAgent, TextRuntimeBase
from duologue.runtimes.voice.base import VoiceRuntimeBase
from duologue.specs.agents import Agent
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase
from duologue.suites.runtime_snapshots import (
    agent_snapshot,
    case_snapshot,
    found_runtime,
    run_config,
    with_address,
    with_endpoint,
)
from duologue.voice.adapter import VoiceAgentAdapter

_HANG_UP_SECONDS = 2.0
"""That a runtime may take to end a test case by itself once it is cancelled."""
_CANCEL_SECONDS = 5.0
"""That it may take to end once its task is cancelled."""
_MOST_TURNS = 10_000
"""Messages of one transcript."""


@frozen
class RuntimeSetup:
    """A runtime with everything that the test cases of a scenario have in common.

    Attributes:
        session: what the runtime may ask of the service that runs it; None outside of one.
        seconds: that a test case may take.
    """

    runtime: EvalRuntime
    config: BaseModel
    args: RuntimeRunArgs
    session: RuntimeSession | None
    seconds: float
    name: str

    @property
    def asks_by_turns(self) -> bool:
        """Whether the suite's own engine plays the conversation, and the runtime only asks its agent."""
        return self.is_voice or isinstance(self.runtime, TextRuntimeBase)

    @property
    def is_voice(self) -> bool:
        """Whether the runtime makes an agent that the suite's own engine speaks with."""
        return isinstance(self.runtime, VoiceRuntimeBase)

    def voice_agent(self, suite: Suite, scenario: Scenario) -> MakeVoiceAgent:
        """Makes the adapter for a call."""
        runtime, case = cast("VoiceRuntimeBase", self.runtime), case_snapshot(suite, scenario, None, scenario.name)

        async def make(run: RunScope) -> VoiceAgentAdapter:
            agent, expected = self.args.agent_snapshot, case.expected_tool_calls
            return await runtime.voice_agent(self.config, agent, self.session, expected)

        return make

    def agent(self, suite: Suite, scenario: Scenario, case: TestCase) -> AgentAdapter:
        """The agent of one run."""
        found = case_snapshot(suite, scenario, case.persona, case.identity)
        args = changed(self.args, test_case=found)
        if self.asks_by_turns:
            return RuntimeAgent(cast("TextRuntimeBase[Any]", self.runtime), self, args)
        return HoldingAgent(self, args)


MakeVoiceAgent = Callable[[RunScope], Awaitable[VoiceAgentAdapter]]
"""Makes the adapter for one call."""


def runtime_setup(
    suite: Suite,
    scenario: Scenario,
    agent: Agent,
    region: str,
    *,
    seconds: float | None,
    max_turns: int | None,
    session: RuntimeSession | None = None,
    model: Callable[[str], Model] | None = None,
) -> RuntimeSetup:
    """Prepare the runtime of an agent for the test cases of a scenario.

    Args:
        suite, scenario, agent, region: what is run.
        seconds: that a test case may take; None for the default of runtimes.
        max_turns: after which a conversation ends; None for the default.
        session: what the runtime may ask of the service.
        model: makes the model that plays the agent.

    Raises:
        ConfigurationError: there is no such runtime, or it cannot drive the agent.
    """
    snapshot = with_address(agent_snapshot(suite, agent, scenario, region), agent)
    runtime, config = found_runtime(agent, snapshot)
    if agent.model is not None and model is not None:
        snapshot = changed(snapshot, played_by=model(agent.model))
    run = run_config(suite, agent, seconds=seconds, max_turns=max_turns)
    return RuntimeSetup(
        runtime=runtime,
        config=with_endpoint(config, agent),
        args=RuntimeRunArgs(
            test_case=case_snapshot(suite, scenario, None, scenario.name),
            agent_snapshot=snapshot,
            run_snapshot=RunSnapshot(run_id=suite.name, run_config=run),
        ),
        session=session,
        seconds=run.seconds,
        name=agent.name,
    )


class RuntimeAgent(TextAgent):
    """The agent of a text runtime in one run: prepared when the run begins, and closed when it is over."""

    def __init__(self, runtime: TextRuntimeBase[Any], setup: RuntimeSetup, args: RuntimeRunArgs) -> None:
        seconds = args.run_snapshot.run_config.agent_timeout
        super().__init__(runtime, args.agent_snapshot, seconds, None, setup.name)
        self._setup = setup
        self._args = args
        self.resumable = runtime.RESUMABLE or runtime.REPEATS  # pyright: ignore[reportAttributeAccessIssue]
        self.repeats = runtime.REPEATS  # pyright: ignore[reportAttributeAccessIssue] - each runtime has its own

    def describe(self) -> dict[str, Any]:
        """Which runtime it is."""
        return {"runtime": str(self._runtime.KIND)}

    async def open(self, run: RunScope) -> AgentSession:
        """Prepare the agent."""
        args = changed(self._args, run_snapshot=changed(self._args.run_snapshot, run_id=_run_id(run)))
        try:
            config = await self._runtime.build_text_agent_config(self._setup.config, args, self._setup.session)
        except DuologueError:
            raise
        except Exception as error:
            told = message_of(error) if isinstance(error, ValueError) else describe(error)
            raise AgentError(f"[{self.name}] the agent could not be prepared: {told}", who=self.name) from error
        self._agent_config = config
        return _TextSession(self)

    async def call(self, input: AgentInput) -> Any:
        """One turn of the agent."""
        said = await super().call(input)
        self._report(input)
        return said

    def _report(self, input: AgentInput) -> None:
        metadata = dict(self._runtime.text_agent_metadata(self._agent_config))
        held = [item.note for item in input.scenario_state.view.notes if isinstance(item.note, RuntimeReported)]
        if metadata and (not held or held[-1].metadata != metadata):
            input.scope.note(RuntimeReported(runtime=str(self._runtime.KIND), metadata=metadata))

    async def close(self) -> None:
        """Let go of what was prepared."""
        await closed(self._runtime.close_text_agent(self._agent_config))


class _TextSession(AgentSession):
    """Asks the agent turn by turn while the run lasts."""

    def __init__(self, agent: RuntimeAgent) -> None:
        self._agent = agent
        self._input: AgentInput | None = None

    async def send(self, input: AgentInput) -> None:
        """Keep it for the answer."""
        self._input = input

    async def receive(self) -> AsyncIterator[Piece]:
        """The whole answer."""
        assert self._input is not None
        yield await self._agent.call(self._input)

    async def close(self) -> None:
        """The run is over."""
        await self._agent.close()


class HoldingAgent(AgentAdapter):
    """The agent of a runtime that holds the conversation of a test case by itself, with a user of its own."""

    resumable = True  # the conversation is one call: it is there as a whole, or not at all

    def __init__(self, setup: RuntimeSetup, args: RuntimeRunArgs) -> None:
        self._setup = setup
        self._args = args
        # The engine's own limit comes after the one that is kept here, and after the time that a runtime has to end.
        self.timeout = setup.seconds + _HANG_UP_SECONDS + _CANCEL_SECONDS + 1

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._setup.name

    def describe(self) -> dict[str, Any]:
        """Which runtime it is."""
        return {"runtime": str(self._setup.runtime.KIND)}

    @property
    def _who(self) -> str:
        """Begins errors."""
        return f"[{self.name}] the runtime '{self._setup.runtime.KIND}'"

    async def call(self, input: AgentInput) -> HeldConversation:
        """Let the runtime hold the conversation."""
        setup, cancel = self._setup, asyncio.Event()
        run = changed(self._args.run_snapshot, run_id=_run_id(input.scope), cancel_event=cancel)
        args = changed(self._args, run_snapshot=run)
        try:
            result: object = await _bounded(
                setup.runtime.run_test_case(runtime_config=setup.config, args=args, session=setup.session),
                cancel,
                setup.seconds,
            )
        except _Late as late:
            told = f"{self._who} did not end the test case within {setup.seconds:g} s"
            raise AgentTimeoutError(told, who=self.name) from late
        except (RunError, BudgetExceededError, JournalError):
            raise
        except Exception as error:
            told = message_of(error) if isinstance(error, DuologueError) else describe(error)
            raise AgentError(redacted(f"{self._who}: {told}"), who=self.name) from error
        found = self._checked(result)
        self._count(found, input)
        return HeldConversation(messages=_messages(found.transcript))

    def _checked(self, result: object) -> TestCaseRunResult:
        who = self._who
        if not isinstance(result, TestCaseRunResult):
            told = f"{who} returned a {type(result).__name__}; expected a TestCaseRunResult"
            raise AgentReturnError(told, who=self.name)
        turns = cast("object", result.transcript)
        if isinstance(turns, str) or not isinstance(turns, Sequence):
            told = f"{who} returned a transcript that is a {type(turns).__name__}; expected a list of ConversationTurn"
            raise AgentReturnError(told, who=self.name)
        listed = cast("Sequence[object]", turns)
        if wrong := next((item for item in listed if not isinstance(item, ConversationTurn)), None):
            told = f"{who} returned a transcript with a {type(wrong).__name__}; expected ConversationTurn"
            raise AgentReturnError(told, who=self.name)
        if len(listed) > _MOST_TURNS:
            raise AgentReturnError(
                f"{who} returned {len(listed):,} messages; expected at most {_MOST_TURNS:,}", who=self.name
            )
        if not listed:
            raise AgentError(f"{who} returned an empty transcript: there is nothing to judge", who=self.name)
        if not any(_says_something(cast("ConversationTurn", item)) for item in listed):
            raise AgentError(f"{who} returned a transcript in which the agent says nothing", who=self.name)
        return result

    def _count(self, result: TestCaseRunResult, input: AgentInput) -> None:
        """Put what the test case took, and what the runtime says of it, into the journal."""
        metadata = dict(result.runtime_metadata or {})
        user = next((index for index, item in enumerate(_participants(input)) if item == "User"), None)
        _report(input.scope, result.agent_token_usage, result.agent_cost_usd, metadata.get("model"))
        platform = replace(input.scope, who="user", participant=user)
        _report(platform, result.platform_token_usage, result.platform_cost_usd, None)
        used = {"agent": result.agent_token_usage, "platform": result.platform_token_usage}
        estimated = tuple(who for who, usage in used.items() if usage.get("estimated"))
        note = RuntimeReported(runtime=str(self._setup.runtime.KIND), metadata=_plain(metadata), estimated=estimated)
        input.scope.note(note)


async def hold_conversation(state: ScenarioState) -> ScenarioResult | None:
    """The step of a scenario whose runtime holds the conversation by itself."""
    executor = cast("Any", state.executor)
    ended = await executor.agent()
    for turn in range(state.view.turn):  # those of the last turn come with the end of the run
        await executor.conversation.checks.check_turn(turn)
    return ended


class _Late(Exception):
    """The time of the test case is over."""


async def _bounded(running: Coroutine[Any, Any, object], cancel: asyncio.Event, seconds: float) -> object:
    """What comes of it in time. One that is late or cancelled is told, and ended if it does not end by itself."""
    task = asyncio.ensure_future(running)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise _Late
        return task.result()
    finally:
        if not task.done():
            cancel.set()
            await asyncio.wait({task}, timeout=_HANG_UP_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # seen


def _messages(transcript: Sequence[ConversationTurn]) -> list[HeldMessage]:
    """The messages of a transcript, with their turns: as it says, or a new one with each message of the user."""
    made: list[HeldMessage] = []
    turn = 0
    for item in transcript:
        if item.turn is not None:
            turn = max(turn, item.turn)
        elif item.role == "user" and any(held.message["role"] in {"user", "assistant"} for held in made):
            turn += 1
        seconds = None if item.latency_ms is None else item.latency_ms / 1000
        made.append(HeldMessage(message=_message(item), turn=turn, seconds=seconds))
    return made


def _message(item: ConversationTurn) -> Message:
    message: dict[str, Any] = {"role": str(item.role), "content": item.content}
    if item.tool_calls:
        message["tool_calls"] = [dict(call) for call in item.tool_calls]
    if item.tool_call_id is not None:
        message["tool_call_id"] = item.tool_call_id
    if item.name is not None:
        message["name"] = item.name
    return cast("Message", message)


def _says_something(item: ConversationTurn) -> bool:
    if item.role != "assistant":
        return False
    said = bool(item.content.strip()) if isinstance(item.content, str) else bool(item.content)
    return said or bool(tool_calls_of(_message(item)))


def _report(scope: RunScope, usage: Mapping[str, Any], cost: float, model: object) -> None:
    read, wrote = (_count_of(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if not read and not wrote:
        read = _count_of(usage.get("total_tokens"))
    if not (read or wrote or cost):
        return
    report_usage(
        scope,
        input_tokens=read,
        output_tokens=wrote,
        model=model if isinstance(model, str) else None,
        cost=cost or None,
    )


def _count_of(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _participants(input: AgentInput) -> list[str]:
    started = input.scenario_state.view.started
    return [item.role.value for item in started.participants] if started else []


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as JSON; what is none is written as text."""
    from pydantic_core import to_jsonable_python

    return cast("dict[str, Any]", to_jsonable_python(dict(metadata), fallback=repr))


def _run_id(scope: RunScope) -> str:
    started = scope.journal.view.started if scope.journal is not None else None
    return (started.batch_run_id or started.run_id) if started is not None else "run"
