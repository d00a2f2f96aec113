"""Graphs of LangGraph, and the agents of LangChain, which are such graphs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, cast

from duologue.conversation.adapter import AgentInput
from duologue.errors import AgentError
from duologue.integrations.base import Driver, Integration, Said, spoken, text_for
from duologue.message_shapes import framework_of, uses_of

_ANSWERS = {"ai", "AIMessageChunk", "tool", "function"}
_SPEAKERS = ("model", "agent")
"""Nodes of the prebuilt agents whose model speaks to the user."""


class GraphDriver(Driver):
    """One thread of a graph."""

    options: LangGraph
    _interrupted: bool = False

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Its messages, as the state gets them."""
        options = self.options
        configurable = {"thread_id": input.thread_id, **options.config.get("configurable", {})}
        more = {"context": options.context} if options.context is not None else {}
        streams = input.streamed if options.streams is None else options.streams
        news = _News(options.input_key)
        states = self.agent.astream(
            self._given(input),
            {**options.config, "configurable": configurable},
            stream_mode=["values", "messages"] if streams else ["values"],
            **more,
        )
        self._interrupted = False
        async with aclosing(states):
            async for mode, data in states:
                if mode == "messages":
                    if text := _delta(*data):
                        yield text
                    continue
                for message in news.of(data):
                    yield message
                    for use in uses_of(message):
                        yield use
                for question in _interrupts(data):
                    self._interrupted = True
                    yield {"role": "assistant", "content": question}

    def _given(self, input: AgentInput) -> Any:
        if self._interrupted:
            from importlib import import_module

            return import_module("langgraph.types").Command(resume=text_for(input.new_messages))
        remembers = getattr(self.agent, "checkpointer", None)
        return {self.options.input_key: spoken(input.new_messages if remembers else input.messages)}


class LangGraph(Integration):
    """A compiled graph whose state has messages, such as one that ``create_agent`` makes.

    A graph with a checkpointer is given what is new, under the thread id of the run; one without is given the whole
    conversation. A graph that interrupts itself asks the user: the next line of the user resumes it.
    """

    framework = "LangGraph"
    package = "langgraph"
    driver = GraphDriver

    def __init__(
        self,
        agent: Any,
        *,
        config: Mapping[str, Any] | None = None,
        context: Any = None,
        input_key: str = "messages",
        **options: Any,
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the graph, or a factory: see :class:`Integration`.
            config: more of the config of each call, such as ``{"recursion_limit": 50}``.
            context: the static context of the graph, if it has one.
            input_key: the key of the messages in the state.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.config = dict(config or {})
        self.context = context
        self.input_key = input_key

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is a graph, or another runnable that takes and gives a state."""
        return framework_of(value) in {"langgraph", "langchain", "langchain_core"} and hasattr(value, "astream")

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return "a compiled graph (builder.compile(), create_agent(…))"


class _News:
    """The messages that a state has and did not have before.

    Args:
        key: of the messages in the state.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._known: set[str] | None = None
        self._count = 0

    def of(self, state: object) -> list[object]:
        """Those of the agent and its tools in this state. The first state holds what was given."""
        messages = self._messages(state)
        before, count = self._known, self._count
        names = [_id(message) for message in messages]
        self._known, self._count = {*(before or ()), *filter(None, names)}, len(messages)
        if before is None:
            return []
        new = [
            message
            for place, (message, name) in enumerate(zip(messages, names, strict=True))
            if (name not in before if name else place >= count)
        ]
        return [message for message in new if _is_answer(message)]

    def _messages(self, state: Any) -> list[object]:
        held = cast("Mapping[str, object]", state) if isinstance(state, Mapping) else None
        found: object = getattr(cast("object", state), self._key, None) if held is None else held.get(self._key)
        if found is None and held is not None and "__interrupt__" in held:
            return []
        if found is None:
            raise AgentError(
                f"the state of the graph has no '{self._key}': "
                f"found {', '.join(map(str, held or ())) or 'none'}; say which key holds the messages "
                "(input_key)"
            )
        return list(cast("Iterable[object]", found)) if isinstance(found, (list, tuple)) else [found]


def _id(message: object) -> str | None:
    found = cast("Mapping[str, object]", message).get("id") if isinstance(message, Mapping) else _attribute(message)
    return found if isinstance(found, str) else None


def _attribute(message: object) -> object:
    return getattr(message, "id", None)


def _is_answer(message: object) -> bool:
    if isinstance(message, Mapping):
        return cast("Mapping[str, object]", message).get("role") in {"assistant", "ai", "tool"}
    return getattr(message, "type", None) in _ANSWERS


def _delta(chunk: Any, about: Mapping[str, Any]) -> str:
    """The text of a chunk of a model that speaks to the user; other models of a graph may talk to themselves."""
    if getattr(chunk, "type", "") != "AIMessageChunk" or about.get("langgraph_node") not in _SPEAKERS:
        return ""
    text = getattr(chunk, "text", "")
    return text if isinstance(text, str) else str(text())


def _interrupts(state: object) -> list[str]:
    if not isinstance(state, Mapping):
        return []
    found = cast("Mapping[str, Any]", state).get("__interrupt__") or ()
    return [value if isinstance(value := item.value, str) else str(value) for item in found]
