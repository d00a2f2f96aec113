"""Messages and spans in the conventions of OpenTelemetry for generative AI, of OpenInference and of OpenLLMetry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answered_in, asked_in
from duologue.transcripts.formats.langfuse import with_facts
from duologue.transcripts.formats.request_log import Request, RequestLog, said
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "otel"

_TOOL_PARTS = ("tool_call", "tool_call_response")
_ATTRIBUTES = ("gen_ai.", "llm.input_messages", "llm.output_messages")
_SENT = (
    re.compile(r"llm\.input_messages\.(\d+)\.message\.(.+)"),
    re.compile(r"gen_ai\.prompt\.(\d+)\.(.+)"),
)
_ANSWERED = (
    re.compile(r"llm\.output_messages\.(\d+)\.message\.(.+)"),
    re.compile(r"gen_ai\.completion\.(\d+)\.(.+)"),
)
_CALL = re.compile(r"(?:message\.)?tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)")
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
    """The spans of calls of a model, in the order of time."""
    found = [span for entry in document.entries for span in _within(entry)]
    spans = [node for node in found if any(name.startswith(_ATTRIBUTES) for name in _attributes(node))]
    calls = [node for node in spans if _is_model_call(_attributes(node))]
    return sorted(calls or spans, key=lambda node: node.at("startTimeUnixNano", "start_time").word() or "")


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
        name: next((item.at("value").fields[key] for key in _VALUES if key in item.at("value").fields), None)
        for item in attributes.items
        if isinstance(name := item.at("key").value, str)
    }


def _is_model_call(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    kind = attributes.get("openinference.span.kind")
    return operation in ("chat", "generate_content", "text_completion") or kind == "LLM"


def read_otel(document: Document) -> list[Recording]:
    """The conversations of messages or spans."""
    log = RequestLog(document=document, format=FORMAT)
    spans = _spans(document)
    entries = spans or document.entries
    if not spans and any(node.has("role") for node in document.samples):
        log.add(Request(place=entries[0], messages=said(entries)))
        return log.recordings()
    if spans:
        return log.read(spans, _request)
    return log.read(
        entries, lambda entry: Request(place=entry, messages=said(entry.items or entry.at("messages").items))
    )


def _request(span: Node) -> Request:
    attributes = _attributes(span)
    names = [f"{event.at('name').value}" for event in span.at("events").items]
    sent, answer = _new(span, attributes) if not any(map(_is_old, names)) else _of_events(span)
    if not sent and not answer:
        sent, answer = _flat(span, attributes, _SENT), _flat(span, attributes, _ANSWERED)
    if not sent and not answer:
        raise span.wrong("a span with gen_ai.input.messages and gen_ai.output.messages")
    told = span.holding({name.rsplit(".", 1)[-1]: value for name, value in attributes.items() if ".usage." in name})
    ended = span.at("endTimeUnixNano", "end_time")
    facts = MessageFacts(at=ended.moment(), usage=chat.usage_of(told), model=_word(attributes, "gen_ai.response.model"))
    told_before = attributes.get("gen_ai.system_instructions")
    return Request(
        place=span,
        messages=with_facts([*sent, *answer], len(answer), facts),
        answers=len(answer),
        id=_word(attributes, "gen_ai.conversation.id") or _word(attributes, "session.id"),
        model=_word(attributes, "gen_ai.response.model") or _word(attributes, "gen_ai.request.model"),
        prompts=[] if told_before is None else [_prompt(span.holding(told_before))],
    )


def _new(span: Node, attributes: Mapping[str, Any]) -> tuple[list[Node], list[Node]]:
    return (
        asked_in(span.holding(attributes.get("gen_ai.input.messages"))),
        answered_in(span.holding(attributes.get("gen_ai.output.messages"))),
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


def _of_events(span: Node) -> tuple[list[Node], list[Node]]:
    """The messages in the events of a span, as earlier conventions have it."""
    sent: list[Node] = []
    answer: list[Node] = []
    for event in span.at("events").items:
        name = event.at("name").value
        body = event.holding({**_attributes(event), **event.at("body").fields})
        if name == "gen_ai.choice":
            answer.extend(answered_in(body.at("message")) if body.has("message") else answered_in(body.at("content")))
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
        message = found.setdefault(int(match[1]), {"role": "assistant", "calls": {}})
        if call := _CALL.fullmatch(match[2]):
            cast("dict[int, Any]", message["calls"]).setdefault(int(call[1]), {})[call[2]] = value
        else:
            message[match[2]] = value
    messages: list[Node] = []
    for _, message in sorted(found.items()):
        calls = message.pop("calls")
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
