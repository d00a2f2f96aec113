"""Agents that agents may call, one tool for each skill: ``a2a_<agent>_<skill>`` or ``a2a__<agent>__<skill>``.

A mock agent answers in this process, from the rules of the suite. A remote one is asked in the A2A protocol, over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

from duologue.agents.tools.a2a_mock import MockA2aAgent
from duologue.agents.tools.bound_tool import BoundTool, schema_of
from duologue.agents.tools.call import CallContext, Result, Run, ToolFault
from duologue.frozen import frozen
from duologue.messages import JsonValue
from duologue.models.base import ToolSpec
from duologue.specs.agent_definition import ToolSource
from duologue.specs.suite import A2aAgent, ToolFilter

if TYPE_CHECKING:
    from duologue.agents.tools.a2a_client import RemoteAgent
    from duologue.agents.tools.web import Web

_QUERY = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the agent is asked, in words."}},
    "required": ["query"],
}


@frozen
class Skill:
    """Something that an agent can do.

    Attributes:
        id: what its agent calls it.
        description: for the model that may use it.
    """

    id: str
    description: str


class Callee(Protocol):
    """An agent that can be asked."""

    async def ask(self, skill: str, query: str) -> Result:
        """What it answers. Raises ToolFault."""
        ...


class A2aAgents:
    """The A2A agents of a suite. Cards of remote agents are fetched when a name asks for it."""

    def __init__(self, suite: ToolSource, network: Callable[[], Web]) -> None:
        self._remote = [(agent, _remote_agent(agent, network)) for agent in suite.a2a_agents if agent.url]
        self._mocks = [agent for agent in suite.a2a_agents if not agent.url]
        self._known: dict[str, Skill] | None = None
        self._prepared: dict[str, BoundTool] = {}

    @property
    def remote(self) -> bool:
        """Whether there are remote agents."""
        return bool(self._remote)

    @property
    def names(self) -> set[str]:
        """The names of the skills that are known by now."""
        return {name for name in self._skills() if "__" not in name}

    def find(self, name: str) -> BoundTool | None:
        """The skill of a mock agent; None if there is none of that name."""
        return self._prepared[name] if name in self._skills() else None

    def spec(self, name: str) -> ToolSpec | None:
        """The skill of a mock agent as a tool for a model; None if there is none of that name."""
        skill = self._skills().get(name)
        return skill and ToolSpec(name=name, description=skill.description, parameters=_QUERY, strict=False)

    def also_called(self, name: str) -> tuple[str, ...]:
        """The names of both forms that the skill of a remote agent has under the name of the suite."""
        for written, _ in self._remote:
            owner = _slug(written.name)
            for mark in ("__", "_"):
                skill = name.removeprefix(f"a2a{mark}{owner}{mark}")
                if skill != name:
                    return (f"a2a_{owner}_{skill}", f"a2a__{owner}__{skill}")
        return ()

    async def discover(self, name: str) -> Run | None:
        """Runs the skill of a remote agent; None if none of them has it. Raises ToolFault if one cannot be asked."""
        async for agent, skill, known in self._remote_skills(name):
            if name in known:
                return _asking(agent, skill.id, name)
        return None

    async def described(self, name: str) -> dict[str, Any] | None:
        """Name, description and parameters of the skill of a remote agent; None if none of them has it."""
        async for _, skill, known in self._remote_skills(name):
            if name in known:
                return {"name": name, "description": skill.description, "parameters": _QUERY}
        return None

    async def _remote_skills(self, name: str) -> AsyncIterator[tuple[RemoteAgent, Skill, tuple[str, ...]]]:
        if not name.startswith("a2a_"):
            return
        broken: ToolFault | None = None
        for written, agent in self._remote:
            try:
                card = await agent.card()
            except ToolFault as fault:
                broken = fault
                continue
            for skill in skills_in(card, written):
                yield agent, skill, names_of(written, card, skill)
        if broken is not None:
            raise broken

    def _skills(self) -> dict[str, Skill]:
        """The skills of mock agents, by every name that they have."""
        if self._known is None:
            self._known = known = dict[str, Skill]()
            for written in self._mocks:
                agent, card = MockA2aAgent(written), written.card or {}
                for skill in skills_in(card, written):
                    names = names_of(written, card, skill)
                    prepared = _prepared(names, skill, agent)
                    for name in names:
                        known.setdefault(name, skill)
                        self._prepared.setdefault(name, prepared)
        return self._known


def _prepared(names: tuple[str, ...], skill: Skill, agent: Callee) -> BoundTool:
    arguments = schema_of(_QUERY, tool=names[0], field="input_schema")
    return BoundTool(
        names=names, arguments=arguments, results=None, run=_asking(agent, skill.id, names[0]), outside=False
    )


def _remote_agent(agent: A2aAgent, network: Callable[[], Web]) -> RemoteAgent:
    from duologue.agents.tools.a2a_client import RemoteAgent

    return RemoteAgent(agent, network())


def skills_in(card: dict[str, Any], agent: A2aAgent) -> Iterator[Skill]:
    """The skills of an agent that the suite lets through."""
    written: Any = card.get("skills")
    items = cast("list[Any]", written) if isinstance(written, list) else []
    for item in (cast("dict[str, Any]", item) for item in items if isinstance(item, dict)):
        skill = Skill(id=str(item.get("id") or item.get("name")), description=_description(card, item))
        if _let_through(skill.id, agent.skill_filter):
            yield skill


def names_of(agent: A2aAgent, card: dict[str, Any], skill: Skill) -> tuple[str, ...]:
    """What a skill is called as a tool: with the name of the suite, or with that of the agent's own card."""
    owners = [_slug(agent.name), _slug(str(card.get("name") or agent.name))]
    owners += [owner.lower() for owner in owners]
    names = [f"a2a{mark}{owner}{mark}{_slug(skill.id)}" for owner in owners for mark in ("_", "__")]
    return tuple(dict.fromkeys(names))


def _asking(agent: Callee, skill: str, name: str) -> Run:
    async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
        query = arguments.get("query")
        if not isinstance(query, str):
            raise ToolFault(f"tool {name} validation error (args_invalid): 'query' must be a text; found {query!r}")
        return await agent.ask(skill, query)

    return run


def _description(card: dict[str, Any], skill: dict[str, Any]) -> str:
    text = str(skill.get("description") or skill.get("name") or skill.get("id"))
    return f"{text} (asks the agent {card['name']})" if card.get("name") else text


def _let_through(skill: str, rule: ToolFilter | None) -> bool:
    if rule is None:
        return True
    return skill not in rule.blocklist and (not rule.allowlist or skill in rule.allowlist)


def _slug(name: str) -> str:
    """A name with nothing in it that the names of tools must not have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")
