"""Tools of voice agents that are carried out on this side: how they are declared, and what answers their calls."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_value
from duologue.errors import ConfigurationError
from duologue.models.base import ToolSpec
from duologue.voice.user_code import called

logger = logging.getLogger("duologue.voice")

ToolHandler = Callable[[dict[str, Any]], Any]
"""Answers a tool that the agent calls: from its arguments to the result, as JSON. It may be ``async``."""
ToolDefinition = Mapping[str, Any] | ToolSpec
"""A function that the agent may call, as chat completions define it, or another tool of the vendor's."""


async def answered(
    handlers: Mapping[str, ToolHandler], name: str, arguments: dict[str, Any], whose: str
) -> tuple[Any, bool]:
    """Have a tool answered by its handler.

    Args:
        handlers: by the names of the tools.
        name: of the tool that is called.
        arguments: of the call.
        whose: name of the adapter, for the log.

    Returns:
        The result as JSON, and whether it failed. A failure is told to the agent: ``{"error": …}``.
    """
    handler = handlers.get(name)
    if handler is None:
        return {"error": f"there is no tool '{name}' here"}, True
    try:
        result: Any = await called(handler, arguments)
        return json.loads(json.dumps(result, default=str)), False
    except Exception as error:
        logger.warning("%s: the handler of the tool '%s' failed", whose, name, exc_info=True)
        return {"error": f"{type(error).__name__}: {error}"}, True


def function_of(tool: ToolDefinition, whose: str) -> dict[str, Any] | None:
    """Name, description and parameters of a function; None for another sort of tool, which is passed on as it is.

    Raises:
        ConfigurationError: it is no tool.
    """
    if isinstance(tool, ToolSpec):
        return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    inner: Any = tool.get("function", tool)
    if not isinstance(inner, Mapping):
        raise ConfigurationError(f"{whose}: 'function' of a tool must be an object; found {type(inner).__name__}")
    function = cast("Mapping[str, Any]", inner)
    if "name" not in function:
        if tool.get("type", "") == "function" or not tool:
            raise ConfigurationError(f"{whose}: a tool of type 'function' needs a 'name'; found {sorted(function)}")
        return None
    return {
        "name": function["name"],
        "description": function.get("description", ""),
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
    }


def arguments_of(written: str) -> dict[str, Any]:
    """The arguments of a call that a model wrote; as ``arguments``, the text itself where they are no object."""
    try:
        found = json_value(written or "{}")
    except NoJsonError:
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"arguments": written}


def written_result(result: Any) -> str:
    """What a tool has answered, as a text."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
