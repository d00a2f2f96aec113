"""Calls of Vapi, as its API and its end-of-call reports give them."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts, RecordingBuilder, nothing_said, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "vapi"

_OWN_ROLES = ("bot", "tool_calls", "tool_call_result")
_EXPECTED = "user, bot, system, tool_calls or tool_call_result"


def is_vapi(document: Document) -> bool:
    """A call with messages of ``bot``s or with ``secondsFromStart``; alone, in a list, or in an end-of-call report."""
    return any(_is_call(_report(node)) for node in document.samples)


def _is_call(report: Node) -> bool:
    messages = _messages(report).items[:20]
    return report.has("endedReason") or any(
        node.at("role").value in _OWN_ROLES or node.has("secondsFromStart") for node in messages
    )


def read_vapi(document: Document) -> list[Recording]:
    """One recording for each call."""
    return recordings_of(document, FORMAT, lambda node, index: _recording(document, _report(node), index))


def _report(node: Node) -> Node:
    inner = node.at("message")
    return inner if isinstance(inner.value, dict) else node


def _messages(report: Node) -> Node:
    inner = report.at("artifact").at("messages")
    return inner if inner.value is not None else report.at("messages")


def _recording(document: Document, report: Node, index: int) -> Recording:
    call = report.at("call") if isinstance(report.at("call").value, dict) else report
    assistant = report.at("assistant") if report.has("assistant") else call.at("assistant")
    builder = RecordingBuilder(
        place=report,
        agent=assistant.at("name").word() or "assistant",
        user="caller",
        model=assistant.at("model").at("model").word(),
    )
    for node in _messages(report).each_or_none("a list of messages"):
        _add(builder, node)
    if not builder.has_messages:
        raise nothing_said(report, "call", report.at("endedReason").word() or call.at("endedReason").word())
    builder.charge(report.at("cost").amount(), "vapi")
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        session_id=call.at("id").word(),
        metadata=_facts(report, call),
    )


def _add(builder: RecordingBuilder, node: Node) -> None:
    match node.at("role").text(_EXPECTED):
        case "bot" | "assistant":
            calls = chat.calls_of(node)
            builder.say_as_agent(_text(node), _spoken(node), calls)
        case "user":
            builder.say_as_user(_text(node), _spoken(node))
        case "system":
            builder.prompt(_text(node) or "")
        case "tool_calls":
            builder.say_as_agent(_text(node) or None, _spoken(node), chat.calls_of(node))
        case "tool_call_result" | "tool":
            _add_result(builder, node)
        case _:
            raise node.at("role").wrong(_EXPECTED)


def _text(node: Node) -> str | None:
    found = node.at("message", "content")
    return found.word() if isinstance(found.value, (str, int, float)) or found.value is None else found.text()


def _add_result(builder: RecordingBuilder, node: Node) -> None:
    failure = node.at("error")
    error = None if failure.value is None else str(chat.answer_text(failure))
    content = chat.answer_text(node.at("result", "content", "message"))
    builder.answer_call(
        node.at("toolCallId", "tool_call_id").word(),
        content or (f"Error: {error}" if error else ""),
        _spoken(node),
        name=node.at("name").word(),
        error=error,
    )


def _spoken(node: Node) -> MessageFacts:
    """Times are milliseconds since 1970; where there are none, seconds from the start of the call."""
    at = node.at("time").moment()
    until = node.at("endTime").moment()
    if at is None:
        at = node.at("secondsFromStart").number()
    length = node.at("duration").amount(0.001)
    if until is None and at is not None and length is not None:
        until = at + length
    return MessageFacts(at=at, until=until)


def _facts(report: Node, call: Node) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in ("endedReason", "type", "assistantId", "startedAt", "endedAt"):
        for source in (report, call):
            if isinstance(value := source.at(name).value, str):
                facts[name] = value
    analysis = report.at("analysis")
    for name in ("summary", "successEvaluation"):
        if isinstance(value := analysis.at(name).value, (str, bool)):
            facts[name] = value
    return facts


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="calls of Vapi: {artifact: {messages}}",
    matches=is_vapi,
    read=read_vapi,
    rank=60,
    reports_tool_calls=True,
)
