"""Messages and items of conversations, in the shapes in which providers and frameworks write them.

:mod:`duologue.message_shapes` knows these shapes, for live agents as for recordings. Here they are put into a recording
with what a file says besides: when a message was said, what it took, which guardrails looked at it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from duologue.journal.events import Usage
from duologue.journal.notes import GuardrailApplied
from duologue.message_shapes import (
    READ_TOKENS,
    ROLES,
    WRITTEN_TOKENS,
    ShapeError,
    Written,
    WrittenCall,
    WrittenMessage,
    can_be_read,
    listed,
    written_in,
)
from duologue.messages import ContentPart
from duologue.transcripts.builder import Content, MessageFacts, RecordingBuilder
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.recording import Recording

_EXPECTED_ROLE = "user, assistant, tool or system"
_TEXTS = ("text", "input_text", "output_text")


def looks_like_message(node: Node) -> bool:
    """Whether this is a chat message."""
    return isinstance(node.at("role", "Role").value, str)


def looks_like_item(node: Node) -> bool:
    """Whether this is a chat message, or an item of a conversation such as a tool call."""
    return can_be_read(node.value)


def add(builder: RecordingBuilder, node: Node, spoken: MessageFacts | None = None) -> None:
    """Add a message or an item to a recording.

    Args:
        node: the message.
        spoken: what is said about it elsewhere; read from the message itself if it is left out.
    """
    node.mapping("a chat message with role and content")
    builder.watch(node)
    _check(node)
    spoken = spoken or spoken_of(node)
    role = role_of(node)
    if isinstance(node.fields.get("tool_result") or node.fields.get("ToolResult"), dict):
        add_result(builder, node.at("tool_result", "ToolResult"), spoken)
        return
    if role == "system":
        builder.prompt(plain_text(content_of(node)))
        return
    try:
        written = written_in(_with_media(node))
    except ShapeError as error:
        raise node.problem(str(error)) from error
    if _is_wordless(written) and not _SAYS & node.fields.keys():
        raise node.at("content").wrong("what was said, as a text or a list of parts")
    for piece in written:
        if not isinstance(piece, WrittenMessage):
            content = piece.content or (f"Error: {piece.error}" if piece.error else "")
            builder.answer_call(piece.id, content, spoken, name=piece.name, error=piece.error)
        elif piece.role == "system":
            builder.prompt(plain_text(piece.content))
        elif piece.role == "user":
            builder.say_as_user(piece.content, spoken)
        else:
            builder.say_as_agent(piece.content, spoken, piece.calls)
        spoken = MessageFacts(at=spoken.at)  # what the message took is counted once
    if role == "assistant" and "validations" in node.fields:
        _add_guardrails(builder, node)


_SAYS = frozenset("content Content parts Parts blocks tool_calls toolCalls ToolCalls function_call refusal".split())
"""Fields that may be empty in a message without a word."""


def _is_wordless(written: Sequence[Written]) -> bool:
    return bool(written) and all(
        isinstance(piece, WrittenMessage) and not piece.content and not piece.calls for piece in written
    )


def conversation(
    document: Document,
    format: str,
    place: Node,
    nodes: Iterable[Node],
    *,
    agent: str = "agent",
    model: str | None = None,
    prompts: Iterable[str | None] = (),
    reports_tool_calls: bool | None = None,
    **facts: Any,
) -> Recording:
    """A recording of messages and items in one list.

    Args:
        document, format: what is read.
        place: the entry of the file, for errors and remarks.
        nodes: the messages, in order.
        agent, model: of who answered.
        prompts: what the agent was told outside its messages.
        reports_tool_calls: whether the source shows every tool call of the agent; None if that is not known.
        facts: other attributes of the recording.
    """
    builder = RecordingBuilder(place=place, agent=agent, model=model, reports_tool_calls=reports_tool_calls)
    for text in prompts:
        builder.prompt(text or "")
    for node in nodes:
        add(builder, node)
    return builder.finish(document.path, format, **facts)


def role_of(node: Node) -> str | None:
    """Whose message this is, in our word for it; None if it does not say, or says something unknown."""
    role = node.fields.get("role") or node.fields.get("Role")
    return ROLES.get(role.lower()) if isinstance(role, str) else None


def _check(node: Node) -> None:
    """Refuse what is no message, at the very field."""
    role = role_of(node)
    if role is None and (node.at("role", "Role").value is not None or not can_be_read(node.value)):
        raise node.at("role", "Role").wrong(_EXPECTED_ROLE)
    content = node.at("content", "Content")
    if content.value is not None and role != "tool" and not isinstance(content.value, (str, list, dict)):
        raise content.wrong("a text or a list of parts")
    if role == "assistant":
        written = node.at("tool_calls", "toolCalls", "ToolCalls")
        for call in written.holding(listed(written.value)).each_or_none("tool calls"):
            call.mapping("a tool call with id and function")
            inner = call.at("function") if call.at("function").fields else call
            refuse_depth(inner.at(*_ARGUMENTS), inner.at(*_ARGUMENTS).value)


def _with_media(node: Node) -> dict[str, Any]:
    """The fields, with media of a field ``media`` in the form that judges get."""
    fields = dict(node.fields)
    for name in ("parts", "Parts", "content", "Content"):
        if isinstance(fields.get(name), list) and any(item.at("media").fields for item in node.at(name).items):
            fields[name] = [part_of(item) for item in node.at(name).items]
    return fields


_TOLD = frozenset(
    (
        *("cost_info", "cost", "CostInfo", "latency_ms", "latencyMs", "LatencyMs", "generation_time_seconds"),
        *("response_metadata", "responseMetadata", "usage", "usage_metadata", "usageMetadata", "model", "model_name"),
        *("timestamp", "created_at", "createdAt", "create_time", "Timestamp"),
    )
)
"""Fields that say something besides what was said; most messages have none of them."""
_NOTHING = MessageFacts()


def spoken_of(node: Node) -> MessageFacts:
    """When a message was said and what it took, as far as it says so itself."""
    if _TOLD.isdisjoint(node.fields):
        return _NOTHING
    cost = node.at("cost_info", "cost", "CostInfo")
    milliseconds = node.at("latency_ms", "latencyMs", "LatencyMs").amount(0.001)
    about = node.at("response_metadata", "responseMetadata")
    tokens = node.at("usage", "usage_metadata", "usageMetadata")
    at = node.at("timestamp", "created_at", "createdAt", "create_time", "Timestamp")
    return MessageFacts(
        at=at.moment(),
        seconds=milliseconds or node.at("generation_time_seconds").amount(),
        usage=usage_of(tokens) or usage_of(cost) or usage_of(about.at("token_usage", "tokenUsage", "usage")),
        cost=_dollars(cost),
        model=node.at("model", "model_name").word() or about.at("model_name", "model").word(),
    )


_READ = (*READ_TOKENS, "prompt", "input")
_WRITTEN = (*WRITTEN_TOKENS, "completion", "output")


def usage_of(node: Node) -> Usage | None:
    """Tokens, in any of the usual names; None if nothing is said about them."""
    read, written = node.at(*_READ), node.at(*_WRITTEN)
    if not any(isinstance(item.value, (int, float, str)) for item in (read, written)):
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
    if node.at("type").value is None and isinstance(node.at("text").value, str):
        return {"type": "text", "text": node.at("text").text()}
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


_ARGUMENTS = ("arguments", "args", "kwargs", "parameters", "input", "Args")


def call_of(node: Node) -> WrittenCall:
    """A tool call: ``{id, function: {name, arguments}}``, or the same without ``function``."""
    node.mapping("a tool call with id and function")
    inner = node.at("function", "custom") if node.at("function", "custom").fields else node
    arguments = inner.at(*_ARGUMENTS)
    value: object = arguments.value
    if value is not None and not isinstance(value, (str, dict)):
        raise arguments.wrong("arguments as a mapping, or as JSON text")
    given: Mapping[str, Any] | str = value if isinstance(value, str) else arguments.fields
    refuse_depth(arguments, given)
    return WrittenCall(
        id=node.at("id", "ID", "tool_call_id").word(),
        name=inner.at("name", "Name").text("the name of a tool"),
        arguments=given,
    )


def refuse_depth(place: Node, text: object) -> None:
    """Refuse JSON text that could not be read later without running out of stack."""
    if not isinstance(text, str):
        return
    try:
        json.loads(text)
    except RecursionError:
        raise place.problem("the JSON in this text is nested too deep") from None
    except ValueError:
        pass  # a model wrote something that is no JSON: that is for checks to find


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
