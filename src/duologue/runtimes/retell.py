"""An agent of Retell in its text playground (``POST /agent-playground-completion/{agent_id}``).

The playground keeps nothing: each request has the whole conversation, the state that the agent is in, and the dynamic
variables. What tools answer is mocked where the test case says so. There is no sound, and so no latency of a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, cast
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field

from duologue.agents.http.agent import HttpAgent
from duologue.agents.http.completions import ContractError, fields_of, json_object
from duologue.agents.http.presets import Outgoing
from duologue.config.spec import EMPTY
from duologue.config.templates import expand
from duologue.errors import ConfigurationError
from duologue.frozen import changed
from duologue.messages import Message, assistant_message, text_of, tool_call, tool_calls_of, tool_message
from duologue.runtimes.base import (
    AgentPlatform,
    AgentSnapshot,
    ExpectedCall,
    RuntimeRunArgs,
    RuntimeSession,
    TextRuntimeKind,
)
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached, Url
from duologue.runtimes.text import AgentReply, AgentTurn, Said

_STATE = ("current_state", "current_node_id", "dynamic_variables")
"""What the playground answers and wants to be sent again."""
_UNSPOKEN = {"node_transition", "state_transition", "injected", "sms"}
"""Roles of messages that nobody says."""


class RetellRuntimeConfig(HttpRuntimeConfig):
    """An agent of Retell."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers", "api_key")

    kind: Literal["retell"] = "retell"
    """Always ``retell``."""
    url: Url | None = "https://api.retellai.com"
    """URL of the API."""
    agent_id: str | None = None
    """The agent's ID at Retell. Default: the agent's ``platform_agent_id``."""
    version: int | str | None = None
    """Version of the agent. Default: the latest."""
    api_key: str | None = Field(default="${RETELL_API_KEY:-}", repr=False)
    """Key of the API. Default: that of the project's integration, else the variable ``RETELL_API_KEY``."""
    dynamic_variables: dict[str, str] = EMPTY
    """Values for dynamic variables of the agent."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    """How often a request is repeated that Retell refuses with status 429 or 503."""


class RetellRuntime(HttpRuntimeBase):
    """Talks to an agent of Retell in writing."""

    KIND: ClassVar[str] = TextRuntimeKind.RETELL
    LABEL: ClassVar[str] = "Retell"
    DESCRIPTION: ClassVar[str] = "An agent of Retell in its text playground"
    CONFIG: ClassVar[type[BaseModel] | None] = RetellRuntimeConfig
    MOCKS_TOOLS: ClassVar[bool] = True
    RESUMABLE: ClassVar[bool] = False  # the state of the conversation is kept by whoever asks

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For agents of Retell."""
        return platform == AgentPlatform.RETELL

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """There is an agent, and a key or somebody who has it."""
        super().validate_config(runtime_config, agent, session)
        config = cast("RetellRuntimeConfig", runtime_config)
        _agent_id(config, agent)
        if not (session is not None and agent.integration_id) and not _key(config):
            raise _no_key()

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> HttpAgent:
        """The agent, with the key of its integration."""
        config = cast("RetellRuntimeConfig", runtime_config)
        integration = args.agent_snapshot.integration_id
        key = await session.integration_key(integration) if session is not None and integration else None
        key = key or _key(config)
        if not key:
            raise _no_key()
        headers = {**config.headers, "Authorization": f"Bearer {key}"}
        return await super().build_text_agent_config(config.changed(headers=headers), args, session)

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks the playground."""
        config = cast("RetellRuntimeConfig", runtime_config)
        version = f"?{urlencode({'version': config.version})}" if config.version is not None else ""
        path = f"/agent-playground-completion/{quote(_agent_id(config, args.agent_snapshot), safe='')}{version}"
        case, mocked = args.test_case, args.run_snapshot.run_config.tool_mode == "mock"
        variables = {**config.dynamic_variables}
        mocks = [_mock(call) for call in case.expected_tool_calls if call.mock_response is not None] if mocked else []
        return _PlaygroundAgent(changed(reached, url=reached.url.rstrip("/") + path), self.LABEL, variables, mocks)

    async def do_agent_turn(self, agent_config: HttpAgent, turn: AgentTurn) -> Said | AgentReply:
        """Send the conversation, and what the playground has to be told again."""
        said = await super().do_agent_turn(agent_config, turn)
        ended = cast("_PlaygroundAgent", agent_config).ended
        return AgentReply(said=cast("Said", said), ended=ended)

    def text_agent_metadata(self, agent_config: HttpAgent) -> Mapping[str, Any]:
        """The state in which the conversation has ended."""
        state = cast("_PlaygroundAgent", agent_config).state
        return {name: state[name] for name in ("current_state", "current_node_id") if name in state}


class _PlaygroundAgent(HttpAgent):
    """An agent of Retell in one test case.

    Attributes:
        state: what is sent again.
        ended: whether it has ended the conversation.
    """

    def __init__(self, reached: Reached, name: str, variables: dict[str, str], mocks: list[dict[str, Any]]) -> None:
        super().__init__(
            reached.url,
            preset="message",
            headers=reached.headers,
            name=name,
            timeout=reached.seconds,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
            reports_tool_calls=True,
        )
        self.state: dict[str, Any] = {"dynamic_variables": variables} if variables else {}
        self.ended = False
        self._mocks = mocks

    def _body(self, out: Outgoing) -> dict[str, Any]:
        messages = [item for message in out.messages for item in _to_retell(message)]
        return {"messages": messages, **self.state, **({"tool_mocks": self._mocks} if self._mocks else {})}

    def _read(self, text: str, media_type: str) -> tuple[object, list[Message], Sequence[object]]:
        body = json_object(text, "the body")
        written = body.get("messages")
        if not isinstance(written, list):
            raise ContractError("expected a list 'messages' with the new messages; found none")
        messages = [item for index, one in enumerate(cast("list[Any]", written)) for item in _from_retell(one, index)]
        self.state |= {name: body[name] for name in _STATE if body.get(name) is not None}
        self.ended = body.get("call_ended") is True
        return body, messages, ()


def _to_retell(message: Message) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        id = message.get("tool_call_id", "")
        return [{"role": "tool_call_result", "tool_call_id": id, "content": text_of(message)}]
    said: list[dict[str, Any]] = []
    if text := text_of(message):
        said.append({"role": "agent" if message["role"] == "assistant" else "user", "content": text})
    for call in tool_calls_of(message):
        function = call["function"]
        said.append(
            {
                "role": "tool_call_invocation",
                "tool_call_id": call["id"],
                "name": function["name"],
                "arguments": function["arguments"],
            }
        )
    return said


def _from_retell(item: object, index: int) -> list[Message]:
    fields, place = fields_of(item), f"messages[{index}]"
    role = fields.get("role")
    if role in _UNSPOKEN or role == "user":
        return []
    if role == "agent":
        return [assistant_message(_text(fields, "content", place))]
    if role == "tool_call_invocation":
        name, id = _text(fields, "name", place), _text(fields, "tool_call_id", place)
        return [assistant_message(None, [tool_call(name, _text(fields, "arguments", place), id)])]
    if role == "tool_call_result":
        return [tool_message(_text(fields, "tool_call_id", place), _text(fields, "content", place))]
    raise ContractError(f"{place}.role must be 'agent', 'tool_call_invocation' or 'tool_call_result'; found {role!r}")


def _text(fields: Mapping[str, Any], name: str, place: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ContractError(f"{place}.{name} must be text; found {type(value).__name__}")
    return value


def _mock(call: ExpectedCall) -> dict[str, Any]:
    params = call.expected_params
    rule = {"type": "partial_match", "args": dict(params)} if params else {"type": "any"}
    answer = call.mock_response
    output = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return {"tool_name": call.tool, "input_match_rule": rule, "output": output}


def _agent_id(config: RetellRuntimeConfig, agent: AgentSnapshot) -> str:
    if id := config.agent_id or agent.platform_agent_id:
        return id
    raise ConfigurationError(
        "runtime.agent_id: the retell runtime needs the ID of the agent at Retell; give it here, or give the agent a "
        "platform_agent_id"
    )


def _key(config: RetellRuntimeConfig) -> str:
    try:
        return expand(config.api_key or "", secret=True)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.api_key: {error}") from error


def _no_key() -> ConfigurationError:
    return ConfigurationError(
        "runtime.api_key: the retell runtime needs a key of Retell; save an integration with one, or set the "
        "environment variable RETELL_API_KEY"
    )
