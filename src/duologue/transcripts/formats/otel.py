"""Messages and spans in the conventions of OpenTelemetry for generative AI, of OpenInference and of OpenLLMetry."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from duologue.transcripts.builder import MessageFacts, empty
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answered_in, asked_in, tool_use, with_tools
from duologue.transcripts.formats.request_log import Request, RequestLog, said, with_facts
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "otel"

_TOOL_PARTS = ("tool_call", "tool_call_response")
_ATTRIBUTES = (
    "gen_ai.",
    "llm.input_messages",
    "llm.output_messages",
    "openinference.",
    "ai.operationId",
    "pydantic_ai.",
)
_SENT = (
    re.compile(r"llm\.input_messages\.(\d+)\.message\.(.+)"),
    re.compile(r"gen_ai\.prompt\.(\d+)\.(.+)"),
)
_ANSWERED = (
    re.compile(r"llm\.output_messages\.(\d+)\.message\.(.+)"),
    re.compile(r"gen_ai\.completion\.(\d+)\.(.+)"),
)
_CALL = re.compile(r"(?:message\.)?tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)")
_CONTENT = re.compile(r"contents\.(\d+)\.message_content\.text")
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue", "string_value", "int_value", "double_value")


def is_otel(document: Document) -> bool:
    """Messages whose parts have their text in ``content``, or spans with attributes of ``gen_ai``."""
    return bool(_spans(document)) or any(map(_is_message, document.samples))


def _is_message(node: Node) -> bool:
    nested = [node, *node.items[:20], *node.at("messages").items[:20]]
    return any(_is_part(part) for message in nested if message.has("role") for part in message.at("parts").items)


def _is_part(part: Node) -> bool:
    kind = part.at("type").value
    return kind in _TOOL_PARTS or (kind in ("text", "reasoning") and isinstance(part.at("content").value, str))


def _spans(document: Document) -> list[Node]:
    """The spans of calls of a model, in the order of time, and the lines that are broken."""
    entries = document.entries
    found = [span for entry in entries for span in _within(entry)]
    spans = [node for node in found if any(name.startswith(_ATTRIBUTES) for name in _attributes(node))]
    calls = [node for node in spans if _is_model_call(_attributes(node))]
    spoken = [node for node in calls if any(_exchange(node))] or [node for node in spans if any(_exchange(node))]
    chosen = spoken or calls or spans
    broken = [entry for entry in entries if entry.value is None] if chosen else []
    return [*sorted(chosen, key=_start), *broken]


def _start(span: Node) -> str:
    """Times of one file are written in one way: all as digits of the same number, or all as text."""
    return (span.at("startTimeUnixNano", "start_time", "startTime").word() or "").rjust(40)


def _tools_of(document: Document) -> dict[str, list[Node]]:
    """The uses of tools that have spans of their own, by their trace."""
    found: dict[str, list[Node]] = {}
    for span in sorted((span for entry in document.entries for span in _within(entry)), key=_start):
        attributes = _attributes(span)
        name = next((word for key in _TOOL_NAMES if (word := _word(attributes, key))), None)
        if name is None or not _is_tool_use(attributes):
            continue
        given, answered = (
            next((attributes[key] for key in keys if attributes.get(key) is not None), None)
            for keys in (_TOOL_GIVEN, _TOOL_ANSWERED)
        )
        used = found.setdefault(_trace(span), [])
        used += tool_use(span, len(used) + 1, name, span.holding(given), span.holding(answered))
    return found


_TOOL_NAMES = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
_TOOL_GIVEN = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "ai.toolCall.args",
    "input.value",
    "traceloop.entity.input",
)
_TOOL_ANSWERED = (
    *("gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", "output.value", "traceloop.entity.output"),
)


def _is_tool_use(attributes: Mapping[str, Any]) -> bool:
    return (
        attributes.get("gen_ai.operation.name") == "execute_tool"
        or attributes.get("openinference.span.kind") == "TOOL"
        or attributes.get("ai.operationId") == "ai.toolCall"
        or attributes.get("traceloop.span.kind") == "tool"
    )


def _trace(span: Node) -> str:
    return span.at("traceId", "trace_id").word() or span.at("context").at("trace_id").word() or ""


def _within(entry: Node) -> list[Node]:
    """The spans in an entry: itself, or those of an export in OTLP's JSON."""
    if resources := entry.at("resourceSpans", "resource_spans").items:
        scopes = [scope for item in resources for scope in item.at("scopeSpans", "scope_spans").items]
        return [span for scope in scopes for span in scope.at("spans").items]
    return [*entry.at("spans").items] or [entry]


def _attributes(span: Node) -> dict[str, Any]:
    """The attributes by name, whether they are a mapping or OTLP's list."""
    attributes = span.at("attributes")
    if attributes.fields:
        return dict(attributes.fields)
    return {
        name: _decoded(item.at("value")) for item in attributes.items if isinstance(name := item.at("key").value, str)
    }


def _decoded(value: Node) -> Any:
    """A value of OTLP's JSON, which names its type."""
    listed = value.at("arrayValue", "array_value")
    if listed.fields:
        return [_decoded(item) for item in listed.at("values").items]
    mapped = value.at("kvlistValue", "kvlist_value")
    if mapped.fields:
        pairs = mapped.at("values").items
        return {name: _decoded(item.at("value")) for item in pairs if isinstance(name := item.at("key").value, str)}
    return next((value.fields[key] for key in _VALUES if key in value.fields), None)


def _is_model_call(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    kind = attributes.get("openinference.span.kind")
    own = attributes.get("ai.operationId")
    return (
        operation in ("chat", "generate_content", "text_completion")
        or kind == "LLM"
        or (isinstance(own, str) and own.endswith((".doGenerate", ".doStream")))
    )


def read_otel(document: Document) -> list[Recording]:
    """The conversations of messages or spans."""
    log = RequestLog(document=document, format=FORMAT)
    spans = _spans(document)
    entries = spans or document.entries
    if not spans and any(node.has("role") for node in document.samples):
        return log.read_messages(entries)
    if spans:
        return log.read(spans, _reader(spans, _tools_of(document)))
    return log.read(
        entries, lambda entry: Request(place=entry, messages=said(entry.items or entry.at("messages").items))
    )


def _reader(spans: list[Node], tools: Mapping[str, list[Node]]) -> Callable[[Node], Request]:
    """Reads spans; the last one of a trace has the uses of tools that its messages do not show."""
    last = {_trace(span): span for span in spans if span.value is not None}
    return lambda span: _request(span, tools.get(_trace(span), []) if last.get(_trace(span)) is span else [])


def _exchange(span: Node) -> tuple[list[Node], list[Node]]:
    """The messages that went in and came out, in whichever convention they are written."""
    attributes = _attributes(span)
    for event in span.at("events").items:
        if "gen_ai.input.messages" in (more := _attributes(event)) or "gen_ai.output.messages" in more:
            attributes = {**more, **attributes}
    names = [f"{event.at('name').value}" for event in span.at("events").items]
    ways = (_new, _of_events if any(map(_is_old, names)) else _of_logfire, _of_frameworks, _of_values)
    found = next((pair for way in ways if any(pair := way(span, attributes))), None)
    return found or (_flat(span, attributes, _SENT), _flat(span, attributes, _ANSWERED))


def _request(span: Node, tools: list[Node]) -> Request:
    attributes = _attributes(span)
    sent, answer = _exchange(span)
    if not sent and not answer:
        raise empty(
            span,
            "this span holds no messages; expected gen_ai.input.messages and gen_ai.output.messages. Tell the "
            "instrumentation to capture content, for example with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        )
    nodes, answers = with_tools([*sent, *answer], len(answer), tools)
    told = span.holding({name.rsplit(".", 1)[-1]: value for name, value in attributes.items() if ".usage." in name})
    ended = span.at("endTimeUnixNano", "end_time")
    facts = MessageFacts(at=ended.moment(), usage=chat.usage_of(told), model=_word(attributes, "gen_ai.response.model"))
    told_before = attributes.get("gen_ai.system_instructions")
    return Request(
        place=span,
        messages=with_facts(nodes, answers, facts),
        answers=answers,
        id=_word(attributes, "gen_ai.conversation.id") or _word(attributes, "session.id"),
        model=_word(attributes, "gen_ai.response.model") or _word(attributes, "gen_ai.request.model"),
        prompts=[] if told_before is None else [_prompt(span.holding(told_before))],
    )


def _new(span: Node, attributes: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    return (
        asked_in(span.holding(attributes.get("gen_ai.input.messages"))),
        answered_in(span.holding(attributes.get("gen_ai.output.messages"))),
    )


def _of_logfire(span: Node, attributes: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    """Events in an attribute, as JSON text."""
    events = span.holding(attributes.get("events") or attributes.get("all_messages_events")).opened().items
    named = [event.holding({"name": event.at("event.name").value, "body": event.value}) for event in events]
    sent, answer = _of_events(span.holding({"events": [event.value for event in named]}), {})
    return (sent, answer) if answer else _apart(sent)


def _of_frameworks(span: Node, attributes: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    """The attributes of the Vercel AI SDK, and of runs of pydantic-ai."""
    if whole := asked_in(span.holding(attributes.get("pydantic_ai.all_messages"))):
        return _apart(whole)
    calls = span.holding(attributes.get("ai.response.toolCalls")).opened()
    words = attributes.get("ai.response.text") or None
    answer = span.holding({"role": "assistant", "content": words, "tool_calls": calls.value})
    asked = attributes.get("ai.prompt.messages") or attributes.get("ai.prompt")
    return asked_in(span.holding(asked)), [answer] if words or calls.items else []


def _apart(messages: list[Node]) -> tuple[list[Node], list[Node]]:
    """Messages, with the agent's last words apart."""
    answers = 1 if messages and chat.role_of(messages[-1]) == "assistant" else 0
    return messages[: len(messages) - answers], messages[len(messages) - answers :]


def _of_values(span: Node, attributes: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    """What went into an agent and came out, in the conventions of OpenInference."""
    if attributes.get("openinference.span.kind") not in ("AGENT", "CHAIN") or span.at("parentSpanId").value:
        return [], []
    return (
        asked_in(span.holding(attributes.get("input.value"))),
        answered_in(span.holding(attributes.get("output.value"))),
    )


def _prompt(node: Node) -> str:
    """Instructions: text, or parts as JSON text."""
    value = node.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return node.value
    parts = node.holding(value).items
    texts = [part.value if isinstance(part.value, str) else part.at("content", "text").word() for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str)) if parts else str(node.value)


def _is_old(name: str) -> bool:
    return name.startswith("gen_ai.") and name.endswith((".message", ".choice"))


def _of_events(span: Node, _attributes_of_span: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    """The messages in the events of a span, as earlier conventions have it."""
    sent: list[Node] = []
    answer: list[Node] = []
    for event in span.at("events").items:
        name = event.at("name").value
        body = event.holding({**_attributes(event), **event.at("body").fields})
        if name == "gen_ai.choice":
            message = body.at("message").opened()
            answer.extend(answered_in(message) if message.value is not None else answered_in(body.at("content")))
        elif isinstance(name, str) and _is_old(name):
            role = name.split(".")[1]
            sent.append(body.holding({"role": role, **body.fields}))
    return sent, answer


def _flat(span: Node, attributes: Mapping[str, Any], patterns: tuple[re.Pattern[str], ...]) -> list[Node]:
    """Messages whose fields are attributes of their own: ``gen_ai.prompt.0.content``."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        match = next((match for pattern in patterns if (match := pattern.fullmatch(name))), None)
        if match is None:
            continue
        message = found.setdefault(int(match[1]), {"role": "assistant", "calls": {}, "texts": {}})
        if part := _CONTENT.fullmatch(match[2]):
            cast("dict[int, Any]", message["texts"])[int(part[1])] = value
        elif call := _CALL.fullmatch(match[2]):
            cast("dict[int, Any]", message["calls"]).setdefault(int(call[1]), {})[call[2]] = value
        else:
            message[match[2]] = value
    messages: list[Node] = []
    for _, message in sorted(found.items()):
        calls, texts = message.pop("calls"), message.pop("texts")
        if texts and message.get("content") is None:
            message["content"] = [{"type": "text", "text": text} for _, text in sorted(texts.items())]
        named = [{"type": "function", **call} for _, call in sorted(calls.items()) if "name" in call]
        messages.append(span.holding({**message, **({"tool_calls": named} if named else {})}))
    return messages


def _word(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="messages or spans in the conventions of OpenTelemetry for generative AI",
    matches=is_otel,
    read=read_otel,
    rank=45,
)
