"""Objects of frameworks, known by the names of their modules and fields: nothing is imported for them.

A result of a run holds the messages of that run, also those that were given to it; what is new comes after the last
message of the user.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, cast

from pydantic import BaseModel

from duologue.message_shapes._fields import Fields, role_of, unwrapped

FRAMEWORKS = {
    "langgraph": ("LangGraph", "LangGraph"),
    **dict.fromkeys(("langchain_core", "langchain"), ("LangChain", "LangGraph")),
    **dict.fromkeys(("agents.agent", "agents.items", "agents.result"), ("the OpenAI Agents SDK", "OpenAIAgents")),
    "pydantic_ai": ("PydanticAI", "PydanticAI"),
    "crewai": ("CrewAI", "CrewAI"),
    "google.adk": ("Google ADK", "GoogleADK"),
    **dict.fromkeys(("llama_index", "workflows.events"), ("LlamaIndex", "LlamaIndex")),
    "openai": ("the OpenAI SDK", "OpenAIChat"),
    "mcp": ("MCP", "MCP"),
}
"""By the package of an object's class: the framework's name in errors, and its class in ``duologue.integrations``."""


def framework_of(value: object) -> str | None:
    """The package, a key of ``FRAMEWORKS``, that the class of an object or one of its bases is from."""
    for kind in type(value).__mro__:
        names = kind.__module__.split(".")
        for name in (".".join(names[:2]), names[0]):
            if name in FRAMEWORKS:
                return name
    return None


def parts_of(value: object) -> list[object] | None:
    """The messages and items in the result of a framework's run; None for a value that is no such result."""
    if isinstance(value, (str, bytes)) or (isinstance(value, dict) and "messages" not in value):
        return None
    if isinstance(value, dict):
        return _state_parts(cast("dict[str, object]", value))
    read = _READERS.get(framework_of(value) or "")
    return None if read is None else read(value)


def as_fields(value: object) -> object:
    """A model or a data class as a mapping; anything else as it is."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, warnings=False)
    if isinstance(value, (Mapping, str)) or not hasattr(value, "to_input_item"):
        return cast("object", value)
    return cast("Any", value).to_input_item()


# --- results, by framework -------------------------------------------------------------------------------------------


def _state_parts(state: dict[str, object]) -> list[object] | None:
    """The state of a LangGraph graph."""
    messages = state["messages"]
    if "role" in state or not isinstance(messages, list):
        return None
    return after_user(cast("list[object]", messages))


def after_user(messages: Sequence[object]) -> list[object]:
    """The messages after the last one of the user."""
    for place in range(len(messages) - 1, -1, -1):
        item = as_fields(messages[place])
        if isinstance(item, Mapping) and role_of(unwrapped(cast("Fields", item))) == "user":
            return list(messages[place + 1 :])
    return list(messages)


def _agents_parts(result: Any) -> list[object] | None:
    """A result of the OpenAI Agents SDK."""
    if not hasattr(result, "new_items") or not hasattr(result, "final_output"):
        return None
    parts: list[object] = []
    for item in result.new_items:
        fields = dict(item.to_input_item())
        if item.type == "tool_call_output_item" and not isinstance(fields.get("output"), str):
            fields["output"] = _tool_output(getattr(item, "output", fields.get("output")))
        parts.append(fields)
    spoken = any(item.type == "message_output_item" for item in result.new_items)
    return parts if spoken or result.final_output is None else [*parts, spoken_output(result.final_output)]


def _tool_output(output: Any) -> object:
    """The text in what a tool of an MCP server answered; other output as it is."""
    items = cast("list[object]", output) if isinstance(output, list) else [cast("object", output)]
    texts = [cast("Fields", item).get("text") for item in items if isinstance(item, Mapping)]
    if texts and len(texts) == len(items) and all(isinstance(text, str) for text in texts):
        return "\n".join(map(str, texts))
    return cast("object", output)


def spoken_output(output: object) -> dict[str, object]:
    """An output as a message of the agent: text as it is, data as JSON."""
    if isinstance(output, str):
        return {"role": "assistant", "content": output}
    data = asdict(output) if is_dataclass(output) and not isinstance(output, type) else as_fields(output)
    return {"role": "assistant", "content": json.dumps(data, ensure_ascii=False, default=str)}


def _pydantic_ai_parts(result: Any) -> list[object] | None:
    """A result of PydanticAI. The call of its output tool is no tool call of the agent: it is the answer."""
    if not callable(getattr(result, "new_messages", None)):
        return None
    output_tool = getattr(result, "_output_tool_name", None)
    parts: list[object] = []
    for message in result.new_messages():
        kept: list[Any] = [part for part in message.parts if _is_said(part, output_tool)]
        if kept:
            held: list[object] = [vars(part) for part in kept]
            parts.append({"kind": message.kind, "parts": held})
    return parts if output_tool is None else [*parts, spoken_output(getattr(result, "output", None))]


def _is_said(part: Any, output_tool: str | None) -> bool:
    """Whether a part is of the agent or its tools: prompts and wishes for another answer are for the model."""
    name = getattr(part, "tool_name", None)
    if part.part_kind in {"user-prompt", "system-prompt", "instruction"} or (name and name == output_tool):
        return False
    return part.part_kind != "retry-prompt" or bool(name)


def _crewai_parts(result: Any) -> list[object] | None:
    """An output of an agent, a task or a crew of CrewAI."""
    if not hasattr(result, "raw"):
        return None
    tasks = getattr(result, "tasks_output", None)
    parts = [item for task in tasks for item in _crewai_messages(task)] if tasks else _crewai_messages(result)
    called = [item for item in parts if _is_tool_part(item)]
    return [*called, {"role": "assistant", "content": result.raw}]


def _crewai_messages(output: Any) -> list[object]:
    return after_user(list(getattr(output, "messages", None) or ()))


def _is_tool_part(item: object) -> bool:
    if not isinstance(item, Mapping):
        return False
    fields = cast("Fields", item)
    return fields.get("role") == "tool" or bool(fields.get("tool_calls"))


def _adk_parts(event: Any) -> list[object] | None:
    """An event of ADK: those that come in pieces, and come whole later, say nothing."""
    if not hasattr(event, "content") or not hasattr(event, "author"):
        return None
    content = event.content
    if getattr(event, "partial", None) or content is None or event.author == "user":
        return []
    return [{"role": "model", "parts": [as_fields(part) for part in content.parts]}] if content.parts else []


def _llama_index_parts(output: Any) -> list[object] | None:
    """An output of a LlamaIndex agent, one of its events, or an answer of its older engines."""
    if hasattr(output, "tool_output") and hasattr(output, "tool_kwargs"):
        return _llama_index_call(output.tool_id, output.tool_name, output.tool_kwargs, output.tool_output)
    response: Any = getattr(output, "response", None)
    if response is None:
        return None
    parts: list[object] = []
    for call in getattr(output, "tool_calls", None) or ():
        if hasattr(call, "tool_output"):
            parts += _llama_index_call(call.tool_id, call.tool_name, call.tool_kwargs, call.tool_output)
    for number, source in enumerate(getattr(output, "sources", None) or ()):
        arguments = getattr(source, "raw_input", {})
        parts += _llama_index_call(f"source_{number}", source.tool_name, arguments.get("kwargs", arguments), source)
    text = response if isinstance(response, str) else str(getattr(response, "content", None) or "")
    return [*parts, {"role": "assistant", "content": text}]


def _llama_index_call(call_id: str, name: str, arguments: object, output: Any) -> list[object]:
    text = str(getattr(output, "content", output))
    result = {"role": "tool", "tool_call_id": call_id, "content": text, "name": name}
    if getattr(output, "is_error", False):
        result["status"] = "error"
    return [{"type": "tool_call", "id": call_id, "name": name, "args": arguments}, result]


_READERS: dict[str, Callable[[Any], list[object] | None]] = {
    "agents.result": _agents_parts,
    "pydantic_ai": _pydantic_ai_parts,
    "crewai": _crewai_parts,
    "google.adk": _adk_parts,
    "llama_index": _llama_index_parts,
}
