"""What a model is told about an agent and its conversations. All of it is data from outside, and marked as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from duologue.frozen import frozen
from duologue.messages import JsonValue, Message
from duologue.specs.agents import Agent
from duologue.specs.prompts import Prompt, Tool
from duologue.transcripts.rendering import compact, entries_of, indented, quoted, transcript_of

_LONGEST_PROMPT = 60_000
_LONGEST_CONVERSATION = 24_000
_LONGEST_OF_ALL = 96_000
"""Characters of conversations in one request."""
_CUT = "\n[… cut: {left} more characters]"


@frozen
class ToolFacts:
    """A tool that an agent may call.

    Attributes:
        parameters: JSON Schema of the arguments.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@frozen
class AgentFacts:
    """What test cases are written from.

    Attributes:
        description: what the agent is for, as people say it.
        prompt: its system prompt; '' if it is not known.
        tools: that it may call.
    """

    name: str
    description: str = ""
    prompt: str = ""
    tools: Sequence[ToolFacts] = ()

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of its tools."""
        return tuple(tool.name for tool in self.tools)


def facts_of(agent: Agent, prompts: Sequence[Prompt] = (), tools: Sequence[Tool] = ()) -> AgentFacts:
    """What a suite, or a saved agent, says about an agent.

    Args:
        agent: the agent.
        prompts: among which its prompt is; without a name for it, all of them count.
        tools: among which its tools are.
    """
    own = [prompt for prompt in prompts if agent.prompt in {prompt.answers_to, prompt.name}] or list(prompts)
    allowed = {name for prompt in own for name in prompt.allowed_tools}
    known = [tool for tool in tools if not allowed or tool.name in allowed]
    return AgentFacts(
        name=agent.name,
        description=agent.description,
        prompt="\n\n".join(prompt.system_template for prompt in own if prompt.system_template),
        tools=[ToolFacts(name=tool.name, description=tool.description, parameters=tool.input_schema) for tool in known],
    )


def sections_of(facts: AgentFacts, conversations: Sequence[Sequence[Message]] = ()) -> str:
    """The agent and conversations for a prompt, each in a section that nothing in it can close."""
    return "\n\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in _sections(facts, conversations) if text)


def _sections(facts: AgentFacts, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[str, str]]:
    told = [f"name: {quoted(facts.name)}"]
    if facts.description:
        told.append(f"description: {quoted(facts.description)}")
    yield "agent", "\n".join(told)
    yield "agent_prompt", indented(_cut(facts.prompt, _LONGEST_PROMPT))
    yield "agent_tools", "\n".join(_tool(tool) for tool in facts.tools)
    left = _LONGEST_OF_ALL
    for messages in conversations:
        text = _cut(transcript_of(entries_of(messages)), min(left, _LONGEST_CONVERSATION))
        left -= len(text)
        yield "conversation", text
        if left <= 0:
            return


def _tool(tool: ToolFacts) -> str:
    written: JsonValue = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return compact(written)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _CUT.format(left=len(text) - longest)
