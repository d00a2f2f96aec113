"""The fields of messages and items in one spelling, and what these turn out to be: a message, a call, a result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import cast

from duologue.frozen import frozen
from duologue.messages import ContentPart, JsonValue

Fields = Mapping[str, JsonValue]
Content = str | list[ContentPart] | None

ROLES = {
    **dict.fromkeys("user human customer human_message caller client visitor end_user prompter".split(), "user"),
    **dict.fromkeys(
        "assistant agent bot ai model chatbot ai_agent virtual_agent aimessage aimessage_chunk".split(),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer", "system_message"), "system"),
    **dict.fromkeys(("tool", "function", "tool_message", "function_message", "ipython", "observation"), "tool"),
}
"""What systems call the participants."""

_CALLS = frozenset(
    "tool_call tool_use function_call function_tool_call mcp_call custom_tool_call builtin_tool_call server_tool_call "
    "server_tool_use mcp_tool_use dynamic_tool tool_invocation tool_call_request executable_code".split()
)

_RESULTS = frozenset(
    "tool_result tool_return tool_output tool_response tool_error tool_call_response tool_call_result tool_call_output "
    "function_call_output function_call_result function_response function_result function_tool_call_output "
    "custom_tool_call_output builtin_tool_return server_tool_call_result code_execution_result retry_prompt".split()
)

SILENT = frozenset(
    "step_start reasoning item_reference mcp_list_tools mcp_approval_request mcp_approval_response compaction "
    "context_compaction agent_handoff agent_config_update remove select_speaker_event memory_query_event "
    "user_input_requested_event model_client_streaming_chunk_event".split()
)
"""Items that say nothing and do nothing."""

_UNTYPED = tuple(
    "function_call function_response tool_use tool_result tool_call tool_call_result executable_code "
    "code_execution_result".split()
)
"""Fields that say what a part is where it has no type, as in Gemini and Bedrock."""

_IDS = tuple("call_id tool_call_id tool_use_id id".split())

ARGUMENTS = tuple("arguments args input tool_kwargs kwargs parameters params".split())

ANSWERS = tuple("output result response outputs results".split())


class ShapeError(ValueError):
    """Something that should be a message, a tool call or a result, and is not; the text says what is expected."""


@frozen
class WrittenCall:
    """A tool call as it was written: arguments are a mapping, or JSON text."""

    name: str
    arguments: Mapping[str, JsonValue] | str
    id: str | None = None


@frozen
class WrittenMessage:
    """What somebody said, and the tools that were called with it."""

    role: str
    content: Content = None
    calls: tuple[WrittenCall, ...] = ()
    name: str | None = None


@frozen
class WrittenResult:
    """What a tool answered. ``error`` is the reason if it says that it failed."""

    id: str | None
    content: str | list[ContentPart]
    name: str | None = None
    error: str | None = None

    @property
    def told(self) -> str | list[ContentPart]:
        """The content, in a form in which a failure can be recognised."""
        if self.error is None or (isinstance(self.content, str) and says_error(self.content)):
            return self.content
        return f"Error: {self.error}"


Written = WrittenMessage | WrittenResult


@lru_cache(maxsize=4096)
def snake(name: str) -> str:
    """``toolCallId`` and ``tool-call-id`` as ``tool_call_id``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:80])
    return re.sub(r"[\W]+", "_", spaced).lower()


def snaked(fields: Fields) -> dict[str, JsonValue]:
    """The fields with names in one spelling, without those that are null."""
    return {snake(name): value for name, value in fields.items() if value is not None}


def unwrapped(item: Fields) -> dict[str, JsonValue]:
    """The message in its envelope: those of LangChain's serialisation and of ADK's events."""
    fields = snaked(item)
    if fields.get("lc") and (inner := mapping(fields.get("kwargs"))) is not None:
        path = fields.get("id")
        name = str(cast("list[object]", path)[-1]) if isinstance(path, list) and path else ""
        return {"type": name, **inner}
    in_envelope = "content" not in fields and kind_of(fields) in {*ROLES, "chat"}
    if in_envelope and (inner := mapping(fields.get("data"))) is not None:
        return {"type": fields.get("type"), **inner}
    if (inner := mapping(fields.get("content"))) is not None and "parts" in inner:
        author = fields.get("role") or fields.get("author")
        told = {} if author is None else {"role": "user" if author == "user" else "assistant"}
        return {**told, **inner}
    return fields


def role_of(fields: Fields) -> str | None:
    """Whose message this is; None for an item that is none."""
    role = fields.get("role")
    if isinstance(role, str):
        return ROLES.get(snake(role))
    kind = kind_of(fields)
    if kind in ROLES and "content" in fields:
        return ROLES[kind]
    if "parts" in fields:
        return "user" if kind == "request" else "assistant"
    source = fields.get("source")
    if isinstance(source, str) and "content" in fields and kind not in SILENT and not is_event(kind):
        return "user" if source == "user" else "assistant"
    return None


def kind_of(fields: Fields) -> str:
    """What a part or an item is, in one spelling; '' if it does not say."""
    for name in ("type", "part_kind", "block_type", "content_type", "kind"):
        if isinstance(kind := fields.get(name), str):
            return snake(kind)
    return next((name for name in _UNTYPED if isinstance(fields.get(name), Mapping)), "")


def inner_of(fields: Fields) -> dict[str, JsonValue]:
    """The fields of a call or result; they may stand one level deeper, under the name of the kind."""
    return {**fields, **(mapping(fields.get(kind_of(fields))) or {})}


def is_event(kind: str) -> bool:
    """Whether this is one of AutoGen's events, which hold several calls or results."""
    return kind in {"tool_call_request_event", "tool_call_execution_event"}


def is_call(fields: Fields) -> bool:
    """Whether this is a tool call."""
    kind = kind_of(fields)
    if kind in _CALLS or (kind == "function" and isinstance(fields.get("function"), Mapping)):
        return True
    return is_provider_call(kind) or name_from_type(fields) is not None


def is_provider_call(kind: str) -> bool:
    """An item for a tool that the provider runs itself, such as ``web_search_call``."""
    return kind.endswith("_call") and kind not in _CALLS


def name_from_type(fields: Fields) -> str | None:
    """The name in types such as ``tool-findOrder``, as the Vercel AI SDK writes them for user interfaces."""
    written = fields.get("type")
    if not isinstance(written, str) or not written.startswith("tool-") or snake(written) in _CALLS | _RESULTS:
        return None
    return written[5:] if "tool_call_id" in fields or "state" in fields else None


def is_result(fields: Fields) -> bool:
    """Whether this is what a tool answered."""
    kind = kind_of(fields)
    return kind in _RESULTS or kind.endswith(("_tool_result", "_call_output"))


def first_of(fields: Fields, names: Iterable[str]) -> JsonValue:
    """The value of the first of these names that has one."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def id_of(fields: Fields) -> str | None:
    """The id of a call."""
    found = first_of(fields, _IDS)
    return str(found) if isinstance(found, (str, int)) and found != "" else None


def word(value: JsonValue) -> str | None:
    """A text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def mapping(value: JsonValue) -> dict[str, JsonValue] | None:
    """The fields of a mapping in one spelling; None for anything else."""
    return snaked(cast("Fields", value)) if isinstance(value, Mapping) else None


def mappings(value: JsonValue) -> list[Fields]:
    """The mappings in a list."""
    return (
        [item for item in cast("list[object]", value) if isinstance(item, Mapping)] if isinstance(value, list) else []
    )


def says_error(text: str) -> bool:
    """Whether a tool's answer can be recognised as a failure."""
    start = text.lstrip()
    return start[:6].casefold() == "error:" or (start.startswith("{") and '"error"' in start)
