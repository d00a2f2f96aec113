"""The port of runtimes, and the values that cross it.

A runtime drives one test case against an agent, from start to finish, and returns the transcript. It never judges,
stores or schedules; whoever calls it does. Methods are called with their arguments by name.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel

from duologue.frozen import frozen
from duologue.models.base import Model
from duologue.runtimes.config import RunConfig


class RunMode(StrEnum):
    """How agent and user talk to each other."""

    TEXT = "text"
    VOICE = "voice"


class TextRuntimeKind(StrEnum):
    """The kinds of the runtimes that come with Duologue. Runtimes of other packages have names of their own."""

    NATIVE = "native"
    RETELL = "retell"
    CUSTOM_ENDPOINT = "custom_endpoint"
    OPENAI_CHAT = "openai_chat"
    HTTP = "http"
    LANGGRAPH = "langgraph"
    A2A = "a2a"
    MCP = "mcp"
    COMMAND = "command"


class AgentPlatform(StrEnum):
    """Where an agent is hosted, if a platform for agents hosts it."""

    RETELL = "retell"
    VAPI = "vapi"
    ELEVENLABS = "elevenlabs"
    WEBHOOK = "webhook"


class RuntimeSession(Protocol):
    """What a runtime may ask of the service that runs it. Outside a service there is none."""

    async def integration_key(self, integration_id: str) -> str | None:
        """The key of a platform that the project has saved; None if there is none."""
        ...


@frozen
class ExpectedCall:
    """A call that the agent is expected to make, and what the tool answers then.

    Attributes:
        tool: its name.
        expected_params: arguments that the call has, among others; None for any.
        mock_response: what the tool answers; None for what the tool itself says.
    """

    tool: str
    expected_params: Mapping[str, Any] | None = None
    mock_response: Any = None


@frozen
class CaseSnapshot:
    """A test case as it was when its execution began.

    Attributes:
        id: of the test case.
        description: the situation; the simulated user is told it.
        persona_context: who the user is.
        first_turn: who speaks first.
        first_message: what is said first; None to have it written.
        user_context: what the user knows and may give, by name.
        expected_outcomes: for judges; the simulated user is not told.
        expected_tool_calls: for checks, and for mocked tools.
    """

    id: str
    name: str = ""
    description: str = ""
    difficulty: Literal["normal", "hard"] = "normal"
    tags: Sequence[str] = ()
    persona_context: str | None = None
    first_turn: Literal["user", "agent"] = "user"
    first_message: str | None = None
    user_context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    expected_outcomes: Sequence[str] = ()
    expected_tool_calls: Sequence[ExpectedCall] = ()


@frozen
class AgentSnapshot:
    """An agent as it was when its execution began.

    Attributes:
        agent: the whole saved agent, for runtimes of one service; None for none.
        platform: that hosts it; None for none.
        integration_id: of the saved key of that platform.
        platform_agent_id: what the platform calls the agent.
        endpoint_url: where it answers, if it has an address.
        system_prompt, tools, model, provider: of an agent that is made of a model. Tools have the form of OpenAI's
            functions; ``platform_config`` says what else is known of one, such as ``terminating``.
        mode: whether the agent is at an ``endpoint`` or on a ``platform``.
        played_by: the model itself, where whoever runs the test case has it ready; None to find it by its name.
    """

    agent_id: str
    agent: object = None
    platform: AgentPlatform | str | None = None
    integration_id: str | None = None
    platform_agent_id: str | None = None
    endpoint_url: str | None = None
    system_prompt: str | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    mode: Literal["endpoint", "platform"] = "platform"
    model: str | None = None
    provider: str | None = None
    version: int | None = None
    played_by: Model | None = field(default=None, repr=False, compare=False)


@frozen
class RunSnapshot:
    """What all test cases of an execution share.

    Attributes:
        run_id: of the execution.
        cancel_event: once it is set, a test case ends at once, with an error; None for one that cannot be cancelled.
        company_id: whom the execution belongs to.
    """

    run_id: str
    run_config: RunConfig = field(default_factory=RunConfig)
    cancel_event: asyncio.Event | None = None
    company_id: str | None = None


@frozen
class RuntimeRunArgs:
    """What a runtime is given."""

    test_case: CaseSnapshot
    agent_snapshot: AgentSnapshot
    run_snapshot: RunSnapshot


@frozen
class ConversationTurn:
    """One message of a transcript.

    Attributes:
        index: its place, from 0.
        content: text, or parts where there are pictures or sounds; None for a message that only calls tools.
        tool_calls: in the form of OpenAI's.
        tool_call_id: of the call that this is the result of.
        turn: number of the turn that it was said in, from 0.
        latency_ms: milliseconds that the agent took; on the last message of its turn.
        timestamp: when it was said, in seconds since 1970.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: Any = None
    index: int = 0
    tool_calls: Sequence[Mapping[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    turn: int | None = None
    latency_ms: int | None = None
    timestamp: float | None = None


@frozen
class TestCaseRunResult:
    """What came of a test case. Whether it is any good, judges and checks decide.

    Attributes:
        transcript: everything that was said; empty if nothing came of it, which is never a pass.
        agent_token_usage, platform_token_usage: ``prompt_tokens``, ``completion_tokens`` and ``total_tokens`` of the
            agent, and of everything else, such as the simulated user; {} where nothing is known.
        agent_cost_usd, platform_cost_usd: as far as prices are known; ``unpriced_calls`` in the metadata counts others.
        runtime_metadata: why the conversation ended, ids of calls, addresses of recordings.
    """

    __test__ = False  # pytest would take it for a test

    transcript: Sequence[ConversationTurn] = ()
    agent_token_usage: Mapping[str, int] = field(default_factory=dict[str, int])
    platform_token_usage: Mapping[str, int] = field(default_factory=dict[str, int])
    agent_cost_usd: float = 0.0
    platform_cost_usd: float = 0.0
    runtime_metadata: Mapping[str, Any] | None = None


@frozen
class RuntimeTestResult:
    """Whether an agent can be reached, and how that was found out."""

    ok: bool
    message: str


class EvalRuntime(ABC):
    """A way to drive a test case. It is made without arguments, once in a process, and keeps nothing of a test case.

    Attributes:
        MODE, KIND: what it is found by.
        LABEL, DESCRIPTION: for people.
        CONFIG: the model of its configuration, whose field ``kind`` can only be KIND. None for the model with that
            ``kind`` in the module of the class, and for one without further fields if there is none.
        MOCKS_TOOLS: whether tools of the agent answer what the test case says.
        STARTS_PROGRAM: whether the agent is a program that its configuration names. In a service only an admin may
            configure such a runtime.
    """

    MODE: ClassVar[RunMode]
    KIND: ClassVar[str]
    LABEL: ClassVar[str]
    DESCRIPTION: ClassVar[str]
    CONFIG: ClassVar[type[BaseModel] | None] = None
    MOCKS_TOOLS: ClassVar[bool] = False
    STARTS_PROGRAM: ClassVar[bool] = False

    @abstractmethod
    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """Whether agents of that platform can be run; None for agents that no platform hosts."""

    @abstractmethod
    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """Check a configuration before it is saved.

        Raises:
            ValueError: it cannot be used with this agent; names the field.
        """

    @abstractmethod
    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        """Try whether the agent can be reached. Does not raise for an agent that cannot."""

    @abstractmethod
    async def run_test_case(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> TestCaseRunResult:
        """Drive one test case.

        Raises:
            Exception: whatever kept it from coming to its end. The test case is an error then, with that message.
        """
