"""What all runtimes in voice share: keys, time limits, a test of the connection, and the conversation.

Subclasses say which adapter they make of their configuration. The conversation is played by the engine of every other
run; what goes wrong with the agent is an error of the test case, and never a line of its transcript.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, cast

from pydantic import BaseModel, Field

from duologue.config.spec import UpToADay
from duologue.config.templates import expand
from duologue.config.tracebacks import message_of
from duologue.context import SystemClock
from duologue.errors import ConfigurationError, DuologueError
from duologue.frozen import frozen
from duologue.runtimes.base import (
    AgentPlatform,
    AgentSnapshot,
    EvalRuntime,
    ExpectedCall,
    RunMode,
    RuntimeRunArgs,
    RuntimeSession,
    RuntimeTestResult,
    TestCaseRunResult,
)
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.played import AGENT, played, unless_cancelled
from duologue.runtimes.transcript import result_from
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.duplex.line import connect, disconnect
from duologue.voice.duplex.threads import on_voice_loop

_LIMITS = {
    "answer_within": "response_timeout",
    "silence": "response_tail_silence",
    "longest_turn": "response_max_duration",
    "connect_within": "connect_timeout",
}
"""Attributes of adapters, by the field of a runtime or a scenario that sets them."""


def set_limits(adapter: VoiceAgentAdapter, limits: BaseModel) -> None:
    """Give an adapter those of its time limits that a runtime's configuration, or the call of a scenario, has."""
    for name, attribute in _LIMITS.items():
        if (value := getattr(limits, name, None)) is not None:
            setattr(adapter, attribute, value)


class VoiceRuntimeConfig(RuntimeConfig):
    """Base of the configurations of runtimes in voice."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers", "api_key")

    answer_within: UpToADay | None = None
    """Time in which the agent must have begun to speak. Default: 60 seconds."""
    silence: UpToADay | None = None
    """Silence that ends a turn of the agent, where its side does not tell. Default: 0.6 seconds."""
    longest_turn: UpToADay | None = None
    """Time that the agent may speak in one turn before it is given up. Default: 30 seconds."""
    connect_within: UpToADay | None = None
    """Time in which the connection must be open. Default: 15 seconds."""


class KeyedVoiceConfig(VoiceRuntimeConfig):
    """Base of the configurations of runtimes whose platform wants a key."""

    api_key: str | None = Field(default=None, repr=False)
    """Key of the platform. Default: that of the project's integration, else the usual environment variable."""


@frozen
class VoiceCallSetup:
    """What an adapter is made for.

    Attributes:
        agent: that is called.
        key: of the platform; '' where none is needed.
        expected: calls of tools, with what mocked tools answer.
    """

    agent: AgentSnapshot
    key: str = field(default="", repr=False)
    expected: Sequence[ExpectedCall] = ()


class VoiceRuntimeBase(EvalRuntime):
    """Base of runtimes in voice.

    Attributes:
        PLATFORMS: that host agents which it can call.
        KEY: variable of the environment with the key, where one is needed.
    """

    MODE: ClassVar[RunMode] = RunMode.VOICE
    PLATFORMS: ClassVar[tuple[str | None, ...]] = (None, AgentPlatform.WEBHOOK)
    KEY: ClassVar[str | None] = None

    @abstractmethod
    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """The adapter for one call.

        Args:
            runtime_config: of the class that ``CONFIG`` names.
            call: whom it is for.

        Raises:
            ConfigurationError: something that it needs is missing.
        """

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """Look for what ``make`` needs, apart from the key. Values may refer to the environment.

        Raises:
            ValueError, ConfigurationError: names the field.
        """
        return

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For agents of its platforms."""
        return platform in self.PLATFORMS

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """What it needs is there, and a key or somebody who has it."""
        self.check(self.own(runtime_config), agent)
        if self.KEY is None or (session is not None and agent.integration_id):
            return
        written = cast("KeyedVoiceConfig", runtime_config).api_key
        if not (written or _variable(self.KEY)):
            raise self._no_key()

    async def voice_agent(
        self,
        runtime_config: BaseModel,
        agent: AgentSnapshot,
        session: RuntimeSession | None,
        expected: Sequence[ExpectedCall] = (),
    ) -> VoiceAgentAdapter:
        """The adapter for one call, with the key of its integration and the time limits of the configuration.

        Raises:
            ConfigurationError: something that it needs is missing.
        """
        config = self.own(runtime_config)
        key = await self._key(config, agent, session)
        adapter = self.make(config, VoiceCallSetup(agent=agent, key=key, expected=expected))
        set_limits(adapter, config)
        return adapter

    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        """Call the agent and hang up. Nothing is said."""
        clock = SystemClock()
        began = clock.monotonic()
        try:
            self.validate_config(runtime_config, agent, session)
            adapter = await self.voice_agent(runtime_config, agent, session)
            await on_voice_loop(_reach(adapter))
        except (DuologueError, ValueError) as error:
            return RuntimeTestResult(ok=False, message=message_of(error))
        return RuntimeTestResult(ok=True, message=f"connected in {(clock.monotonic() - began) * 1000:.0f} ms")

    async def run_test_case(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> TestCaseRunResult:
        """Let user and agent speak until one of them or a limit ends it.

        Raises:
            AgentError: the agent cannot be reached, says nothing, or hangs up too early.
            SimulatorError: the simulated user failed.
            RunTimeoutError: the time of the test case was over.
            RunCancelledError: it was cancelled.
        """
        return await unless_cancelled(self._played(runtime_config, args, session), args.run_snapshot.cancel_event)

    async def _played(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> TestCaseRunResult:
        expected = args.test_case.expected_tool_calls
        adapter = await self.voice_agent(runtime_config, args.agent_snapshot, session, expected)
        executor, result = await played(self, adapter, args, args.run_snapshot.run_config.seconds)
        if executor.failure is not None:
            raise executor.failure
        metadata = {"termination": str(result.termination or "")}
        return result_from(executor.journal.entries, AGENT, metadata)

    def own(self, runtime_config: BaseModel) -> VoiceRuntimeConfig:
        """The configuration, if it is of this runtime.

        Raises:
            ConfigurationError: it is another's.
        """
        expected = self.CONFIG
        assert expected is not None, "each of these runtimes has one"
        if not isinstance(runtime_config, expected):
            found = type(runtime_config).__name__
            raise ConfigurationError(f"runtime: the {self.KIND} runtime needs a {expected.__name__}; found {found}")
        return cast("VoiceRuntimeConfig", runtime_config)

    async def _key(self, config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> str:
        if self.KEY is None:
            return ""
        integration = agent.integration_id
        key = await session.integration_key(integration) if session is not None and integration else None
        key = key or expand(cast("KeyedVoiceConfig", config).api_key or "", secret=True) or _variable(self.KEY)
        if not key:
            raise self._no_key()
        return key

    def _no_key(self) -> ConfigurationError:
        return ConfigurationError(
            f"runtime.api_key: the {self.KIND} runtime needs a key; set {self.KEY}, or give the agent the integration "
            "that has it"
        )


async def _reach(adapter: VoiceAgentAdapter) -> None:
    await connect(adapter)
    await disconnect(adapter)


def _variable(name: str) -> str:
    return expand(f"${{{name}:-}}", secret=True)


def needed(value: Any, field: str, runtime: EvalRuntime, what: str) -> Any:
    """The value of a field that the configuration or the agent has to have.

    Raises:
        ConfigurationError: there is none.
    """
    if value in (None, ""):
        raise ConfigurationError(f"runtime.{field}: the {runtime.KIND} runtime needs {what}; give it here")
    return value
