"""Messages in the shape of chat models, as nearly every system writes them: OpenAI's own and its close relatives.

What differs between relatives is read side by side: ``content`` or ``parts``, calls with a ``function`` or flat, a
tool's answer as a message of its own or in ``tool_result``, names with small or capital letters.
"""

from __future__ import annotations

import json
from typing import Any, cast

from duologue.journal.events import Usage
from duologue.journal.notes import GuardrailApplied
from duologue.messages import ContentPart
from duologue.transcripts.builder import Content, MessageFacts, RecordingBuilder, WrittenCall
from duologue.transcripts.documents import Node

ROLES = {
    **dict.fromkeys(("user", "human", "customer"), "user"),
    **dict.fromkeys(("assistant", "agent", "bot", "ai", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
"""What systems call the participants."""

_EXPECTED_ROLE = "user, assistant, tool or system"
_TEXTS = ("text", "input_text", "output_text")


def looks_like_message(node: Node) -> bool:
    """Whether this is a chat message."""
    return isinstance(node.at("role", "Role").value, str)


def add(builder: RecordingBuilder, node: Node, spoken: MessageFacts | None = None) -> None:
    """Add a message to a recording.

    Args:
        node: the message.
        spoken: what is said about it elsewhere; read from the message itself if it is left out.
    """
    node.mapping("a chat message with role and content")
    role = ROLES.get(node.at("role", "Role").text(_EXPECTED_ROLE).lower())
    spoken = spoken or spoken_of(node)
    match role:
        case "system":
            builder.prompt(plain_text(content_of(node)))
        case "user":
            builder.say_as_user(content_of(node), spoken)
        case "assistant":
            builder.say_as_agent(content_of(node), spoken, calls_of(node))
            _add_guardrails(builder, node)
        case "tool":
            _add_answer(builder, node, spoken)
        case _:
            raise node.at("role", "Role").wrong(_EXPECTED_ROLE)


def spoken_of(node: Node) -> MessageFacts:
    """When a message was said and what it took, as far as it says so itself."""
    cost = node.at("cost_info", "cost", "CostInfo")
    milliseconds = node.at("latency_ms", "LatencyMs").amount(0.001)
    return MessageFacts(
        at=node.at("timestamp", "created_at", "Timestamp").moment(),
        seconds=milliseconds or node.at("generation_time_seconds").amount(),
        usage=usage_of(node.at("usage")) or usage_of(cost),
        cost=_dollars(cost),
        model=node.at("model").word(),
    )


def usage_of(node: Node) -> Usage | None:
    """Tokens, in any of the usual names; None if nothing is said about them."""
    read = node.at("prompt_tokens", "input_tokens", "InputTokens")
    written = node.at("completion_tokens", "output_tokens", "OutputTokens")
    if read.value is None and written.value is None:
        return None
    return Usage(input_tokens=read.count(), output_tokens=written.count())


def _dollars(node: Node) -> float | None:
    if isinstance(node.value, dict):
        return node.at("total_cost_usd", "total_cost", "total", "cost_usd").amount()
    return node.amount()


def content_of(node: Node) -> Content:
    """What a message says: its text, or its parts."""
    parts = node.at("parts", "Parts")
    content = node.at("content", "Content")
    if parts.items and not _only_text(parts):
        return [part_of(item) for item in parts.items]
    if isinstance(content.value, str) or content.value is None:
        return content.value if content.value is not None else _joined(parts)
    if isinstance(content.value, list):
        made = [part_of(item) for item in content.items]
        return _text_if_plain(made)
    raise content.wrong("a text or a list of parts")


def _only_text(parts: Node) -> bool:
    return all(item.at("type").value in _TEXTS for item in parts.items)


def _joined(parts: Node) -> str | None:
    if parts.value is None:
        return None
    return "\n".join(item.at("text").text() for item in parts.each("a list of parts"))


def _text_if_plain(parts: list[ContentPart]) -> Content:
    return parts[0].get("text", "") if len(parts) == 1 and parts[0]["type"] == "text" else parts


def plain_text(content: Content) -> str:
    """The text of a content."""
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if part["type"] == "text")
    return content or ""


def part_of(node: Node) -> ContentPart:
    """A part of a message. Media of other systems are brought into the form that judges are given."""
    if isinstance(node.value, str):
        return {"type": "text", "text": node.value}
    kind = node.at("type").text("the type of a part, such as text or image_url")
    if kind in _TEXTS:
        return {"type": "text", "text": node.at("text").text()}
    if isinstance(node.at("media").value, dict):
        return _media_part(kind, node.at("media"))
    return cast("ContentPart", dict(node.mapping()))


def _media_part(kind: str, media: Node) -> ContentPart:
    """A picture, sound or film with ``mime_type`` and ``data``, ``url`` or ``file_path``."""
    mime = media.at("mime_type").word() or ""
    data, address = media.at("data").word(), media.at("url", "file_path").word()
    sizes = {key: media.value[key] for key in ("width", "height", "duration") if media.at(key).number() is not None}
    part: dict[str, Any] = {"metadata": {"mime_type": mime, **sizes}, "mime_type": mime}
    if kind == "audio" and data:
        part |= {"type": "input_audio", "input_audio": {"data": data, "format": mime.partition("/")[2] or "wav"}}
    else:
        held = {"image": "image_url", "video": "video_url"}.get(kind, kind)
        part |= {"type": held, held: {"url": f"data:{mime};base64,{data}" if data else address or "", **sizes}}
    return cast("ContentPart", part)


def calls_of(node: Node) -> list[WrittenCall]:
    """The tool calls of a message."""
    calls = [call_of(item) for item in node.at("tool_calls", "toolCalls", "ToolCalls").each_or_none("tool calls")]
    legacy = node.at("function_call")
    return [*calls, call_of(legacy)] if legacy.value is not None else calls


def call_of(node: Node) -> WrittenCall:
    """A tool call: ``{id, function: {name, arguments}}``, or the same without ``function``."""
    node.mapping("a tool call with id and function")
    inner = node.at("function") if isinstance(node.at("function").value, dict) else node
    arguments = inner.at("arguments", "args", "kwargs", "parameters", "Args")
    if arguments.value is None:
        given: Any = {}
    elif isinstance(arguments.value, str):
        given = arguments.value
    elif arguments.fields or arguments.value == {}:
        given = arguments.fields
    else:
        raise arguments.wrong("arguments as a mapping, or as JSON text")
    if isinstance(given, str):
        refuse_depth(arguments, given)
    return WrittenCall(
        id=node.at("id", "ID", "tool_call_id").word(),
        name=inner.at("name", "Name").text("the name of a tool"),
        arguments=given or {},
    )


def refuse_depth(place: Node, text: str) -> None:
    """Refuse JSON text that could not be read later without running out of stack."""
    try:
        json.loads(text)
    except RecursionError:
        raise place.problem("the JSON in this text is nested too deep") from None
    except ValueError:
        pass  # a model wrote something that is no JSON: that is for checks to find


def _add_answer(builder: RecordingBuilder, node: Node, spoken: MessageFacts) -> None:
    inner = node.at("tool_result", "ToolResult")
    if not isinstance(inner.value, dict):
        failed = node.at("error").value
        error = failed if isinstance(failed, str) and failed else None
        content = answer_text(node.at("content", "Content"))
        if failed is True:
            error = content if isinstance(content, str) and content else "the tool failed"
        call_id = node.at("tool_call_id", "id").word()
        builder.answer_call(call_id, content, spoken, name=node.at("name").word(), error=error)
        return
    add_result(builder, inner, spoken)


def add_result(builder: RecordingBuilder, node: Node, spoken: MessageFacts) -> None:
    """A tool's answer as a value of its own: ``{id, name, content, error, latency_ms}``."""
    error = node.at("error", "Error").word()
    seconds = node.at("latency_ms", "LatencyMs").amount(0.001)
    has_parts = bool(node.at("parts", "Parts").items) and not _only_text(node.at("parts", "Parts"))
    content = cast("Any", content_of(node)) if has_parts else answer_text(node.at("content", "result", "Content"))
    builder.answer_call(
        node.at("id", "tool_call_id", "ID").word(),
        content or (f"Error: {error}" if error else ""),
        MessageFacts(at=spoken.at, seconds=seconds),
        name=node.at("name", "Name").word(),
        error=error,
    )


def answer_text(node: Node) -> str | list[ContentPart]:
    """What a tool answered: text and parts as they are, data as JSON."""
    if node.value is None:
        return ""
    if isinstance(node.value, str):
        return node.value
    if node.items and all(isinstance(item.at("type").value, str) for item in node.items):
        return _text_if_plain([part_of(item) for item in node.items]) or ""
    return json.dumps(node.value, ensure_ascii=False)


def _add_guardrails(builder: RecordingBuilder, node: Node) -> None:
    for item in node.at("validations").items:
        kind = item.at("validator_type", "type").word()
        if kind:
            applied = GuardrailApplied(
                type=kind,
                check=kind,
                passed=item.at("passed").value is not False,
                explanation=item.at("explanation", "message").word() or "",
            )
            builder.note(applied)
