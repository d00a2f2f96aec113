"""Tools and schemas for models that cannot call tools: the answer is forced into a JSON step, and read back from it.

A step is ``{"tool": NAME, "arguments": {…}}`` or ``{"reply": …}``. The engine's grammar makes the model write one of
them and nothing else; whether the arguments make sense is up to the model. The history is told in the same form, so
that the model sees what it is asked to write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from duologue.config.json_schema import closed_object
from duologue.messages import Message, arguments_of, assistant_message, text_of, tool_call, tool_calls_of
from duologue.models.base import ModelRequest, ToolSpec

Schema = dict[str, Any]

_DEFINITIONS = ("$defs", "definitions")
_AFTER_RESULT = 'Tell the user what this means: {"reply": ...}'
"""Without this hint the smallest model calls the same tool again in three cases of four."""
_ROLES = {"developer": "system"}


class StepError(ValueError):
    """A text that is no step."""


def uses_tools(request: ModelRequest) -> bool:
    """Whether the model may call tools, so that its answer has to be a step."""
    return bool(request.tools) and request.tool_choice != "none"


def answer_schema(request: ModelRequest) -> Schema | None:
    """The JSON Schema that the text of the answer has to follow; None: any text."""
    if not uses_tools(request):
        return request.response_schema
    definitions: Schema = {}
    options = [_tool_option(tool, definitions) for tool in request.tools]
    if request.tool_choice != "required":
        reply = _hoisted(request.response_schema or {"type": "string"}, "reply", definitions)
        options.append(closed_object(reply=reply))
    schema: Schema = {"anyOf": options}
    return {**schema, "$defs": definitions} if definitions else schema


def plain_messages(request: ModelRequest) -> list[dict[str, str]]:
    """The conversation as texts of system, user and assistant, with the tools explained if they may be called."""
    names = {call["id"]: call["function"]["name"] for item in request.messages for call in tool_calls_of(item)}
    messages = [_plain(message, names, as_step=uses_tools(request)) for message in request.messages]
    if _may_reply_to_result(request):
        messages[-1]["content"] += f"\n{_AFTER_RESULT}"
    if not uses_tools(request):
        return messages
    explained = explain(request.tools, must_call=request.tool_choice == "required")
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{explained}"}, *messages[1:]]
    return [{"role": "system", "content": explained}, *messages]


def explain(tools: Sequence[ToolSpec], *, must_call: bool) -> str:
    """What the model is told about the tools."""
    lines = ["You can use these tools:"]
    for tool in tools:
        arguments = json.dumps(tool.parameters.get("properties", {}), ensure_ascii=False, separators=(",", ":"))
        lines.append(f"- {tool.name}: {tool.description} Arguments: {arguments}")
    lines.append('To use a tool, answer {"tool": NAME, "arguments": {...}}.')
    if not must_call:
        lines.append('To speak to the user, or once a tool has told you what you need, answer {"reply": TEXT}.')
    lines.append("Answer with one JSON object and nothing else.")
    return "\n".join(lines)


def read_step(text: str, request: ModelRequest) -> Message:
    """The assistant message that a step means.

    Raises:
        StepError: the text is no step, or names a tool that was not offered.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise StepError(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise StepError("it is not a JSON object")
    step = cast("Schema", value)
    if "reply" in step and request.tool_choice != "required":
        reply = step["reply"]
        return assistant_message(reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False))
    name, arguments = step.get("tool"), step.get("arguments")
    if name not in {tool.name for tool in request.tools}:
        raise StepError(f"it names no tool that was offered: {name!r}")
    if not isinstance(arguments, dict):
        raise StepError("its arguments are not an object")
    return assistant_message(None, [_call(str(name), cast("Schema", arguments), len(request.messages))])


def _may_reply_to_result(request: ModelRequest) -> bool:
    if not uses_tools(request) or request.tool_choice == "required" or not request.messages:
        return False
    return request.messages[-1]["role"] == "tool"


def _call(name: str, arguments: Schema, position: int) -> Any:
    # Ids must differ within a conversation and be the same when it is repeated.
    text = json.dumps([name, arguments], sort_keys=True, ensure_ascii=False)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return tool_call(name, arguments, f"call_{position}_{digest}")


def _tool_option(tool: ToolSpec, definitions: Schema) -> Schema:
    parameters: Schema = {"type": "object", "properties": {}, **tool.parameters}
    return closed_object(tool={"const": tool.name}, arguments=_hoisted(parameters, tool.name, definitions))


def _hoisted(schema: Schema, owner: str, definitions: Schema) -> Schema:
    """The schema with its definitions moved to ``definitions``: a reference always starts at the root."""
    owner = owner.replace("~", "-").replace("/", "-")
    own = {key: value for key, value in schema.items() if key not in _DEFINITIONS}
    for keyword in _DEFINITIONS:
        for name, definition in cast("Schema", schema.get(keyword) or {}).items():
            definitions[f"{owner}.{name}"] = _redirected(definition, owner)
    if _refers_to_root(own):
        definitions[owner] = _redirected(own, owner)
        return {"$ref": f"#/$defs/{owner}"}
    return cast("Schema", _redirected(own, owner))


def _redirected(value: Any, owner: str) -> Any:
    if isinstance(value, dict):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _new_reference(item, owner) if key == "$ref" else _redirected(item, owner) for key, item in items}
    if isinstance(value, list):
        return [_redirected(item, owner) for item in cast("list[Any]", value)]
    return value


def _new_reference(reference: Any, owner: str) -> Any:
    if reference == "#":
        return f"#/$defs/{owner}"
    for keyword in _DEFINITIONS:
        prefix = f"#/{keyword}/"
        if isinstance(reference, str) and reference.startswith(prefix):
            return f"#/$defs/{owner}.{reference.removeprefix(prefix)}"
    return reference


def _refers_to_root(value: Any) -> bool:
    if isinstance(value, dict):
        items = cast("Mapping[str, Any]", value).items()
        return any((key == "$ref" and item == "#") or _refers_to_root(item) for key, item in items)
    return isinstance(value, list) and any(_refers_to_root(item) for item in cast("list[Any]", value))


def _plain(message: Message, names: Mapping[str, str], *, as_step: bool) -> dict[str, str]:
    role, text = message["role"], text_of(message)
    if role == "tool":
        name = names.get(message.get("tool_call_id", ""), "the tool")
        return {"role": "user", "content": f"Result of {name}: {text}"}
    calls = tool_calls_of(message)
    if calls:
        steps = [{"tool": call["function"]["name"], "arguments": arguments_of(call)} for call in calls]
        written = "\n".join(json.dumps(step, ensure_ascii=False) for step in steps)
        return {"role": role, "content": f"{text}\n{written}" if text and not as_step else written}
    if as_step and role == "assistant":
        return {"role": role, "content": json.dumps({"reply": text}, ensure_ascii=False)}
    return {"role": _ROLES.get(role, role), "content": text}
