"""Agents that are written in a framework, as participants of a run.

    from duologue.integrations import LangGraph

    agent = LangGraph(graph)

Every class takes the agent of its framework or a factory that makes one for each run, and the same options: see
:class:`Integration`. The frameworks are no dependencies of Duologue, and none is imported before one of its agents is
called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.conversation.adapter import AgentAdapter
    from duologue.integrations.base import Integration as Integration
    from duologue.integrations.crewai import CrewAI as CrewAI
    from duologue.integrations.google_adk import GoogleADK as GoogleADK
    from duologue.integrations.langgraph import LangGraph as LangGraph
    from duologue.integrations.llama_index import LlamaIndex as LlamaIndex
    from duologue.integrations.mcp import MCP as MCP
    from duologue.integrations.openai import OpenAIChat as OpenAIChat
    from duologue.integrations.openai_agents import OpenAIAgents as OpenAIAgents
    from duologue.integrations.pydantic_ai import PydanticAI as PydanticAI

_HOMES = {
    "CrewAI": ".crewai",
    "GoogleADK": ".google_adk",
    "Integration": ".base",
    "LangGraph": ".langgraph",
    "LlamaIndex": ".llama_index",
    "MCP": ".mcp",
    "OpenAIAgents": ".openai_agents",
    "OpenAIChat": ".openai",
    "PydanticAI": ".pydantic_ai",
}

__all__ = [  # noqa: RUF022 - checked against the table by a test
    "CrewAI",
    "GoogleADK",
    "Integration",
    "LangGraph",
    "LlamaIndex",
    "MCP",
    "OpenAIAgents",
    "OpenAIChat",
    "PydanticAI",
    "integration_of",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)


def integration_of(value: object) -> AgentAdapter | None:
    """An agent of a framework as a participant; None for a value that is none, or that needs more to be called."""
    from duologue.message_shapes import FRAMEWORKS, framework_of

    found = framework_of(value)
    if found is None or FRAMEWORKS[found][1] in {"OpenAIChat", "MCP"}:
        return None
    integration = __getattr__(FRAMEWORKS[found][1])
    return integration(value) if integration.is_agent(value) else None
