"""Calls of Retell, as its API and its webhooks give them. Times are those of the spoken words."""

from __future__ import annotations

from typing import Any

from duologue.journal.notes import UnknownNote
from duologue.transcripts.builder import MessageFacts, RecordingBuilder, nothing_said, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "retell"

_TRANSCRIPTS = ("transcript_with_tool_calls", "transcript_object", "message_with_tool_calls")
_WITH_CALLS = ("transcript_with_tool_calls", "message_with_tool_calls")
_EXPECTED = "agent, user, tool_call_invocation or tool_call_result"


def is_retell(document: Document) -> bool:
    """Calls with ``transcript_object`` or ``transcript_with_tool_calls``, or that ended before anything was said."""
    return any(_is_call(_call(node)) for node in document.samples)


def _is_call(call: Node) -> bool:
    has_transcript = any(isinstance(call.at(name).value, list) for name in _TRANSCRIPTS)
    return has_transcript or (call.has("call_id", "call_status") and not call.has("messages"))


def read_retell(document: Document) -> list[Recording]:
    """One recording for each call."""
    return recordings_of(document, FORMAT, lambda node, index: _recording(document, _call(node), index))


def _call(node: Node) -> Node:
    inner = node.at("call", "chat")
    return inner if isinstance(inner.value, dict) else node


def _recording(document: Document, call: Node, index: int) -> Recording:
    start = call.at("start_timestamp").moment()
    builder = RecordingBuilder(
        place=call, agent=call.at("agent_name", "agent_id").word() or "agent", user="caller", model=None
    )
    utterances = call.at(*_TRANSCRIPTS)
    if any(utterances.value is call.at(name).value for name in _WITH_CALLS):
        builder.reports_tool_calls = True
    for node in utterances.each_or_none("a list of utterances"):
        _add(builder, node, start or 0.0)
    if not builder.has_messages:
        reasons = [word for name in ("call_status", "disconnection_reason") if (word := call.at(name).word())]
        raise nothing_said(call, "call", *reasons)
    builder.charge(call.at("call_cost").at("combined_cost").amount(0.01), "retell")
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        session_id=call.at("call_id", "chat_id").word(),
        metadata=_facts(call),
    )


def _add(builder: RecordingBuilder, node: Node, start: float) -> None:
    match node.at("role").text(_EXPECTED):
        case "agent":
            builder.say_as_agent(node.at("content").word() or "", _spoken(node, start))
        case "user":
            builder.say_as_user(node.at("content").word() or "", _spoken(node, start))
        case "tool_call_invocation":
            builder.say_as_agent(None, _moment(node, start), [chat.call_of(_without_role(node))])
        case "tool_call_result":
            _add_result(builder, node, start)
        case role:
            data = {key: value for key, value in node.fields.items() if key not in {"words", "kind"}}
            builder.note(UnknownNote(kind=f"retell.{role}", data=data))


def _without_role(node: Node) -> Node:
    """The invocation as a call: its ``id`` is that of the utterance where there is one, ``tool_call_id`` the call's."""
    fields = {"id": node.at("tool_call_id").value, "name": node.at("name").value}
    return node.holding({**fields, "arguments": node.at("arguments").value})


def _add_result(builder: RecordingBuilder, node: Node, start: float) -> None:
    content = chat.answer_text(node.at("content"))
    failed = node.at("successful").value is False
    error = (content if isinstance(content, str) and content else "the tool failed") if failed else None
    builder.answer_call(node.at("tool_call_id").word(), content, _moment(node, start), error=error)


def _spoken(node: Node, start: float) -> MessageFacts:
    words = node.at("words").items
    if not words:
        return MessageFacts()
    begin, end = words[0].at("start").number(), words[-1].at("end").number()
    return MessageFacts(
        at=None if begin is None else start + begin,
        until=None if end is None else start + end,
    )


def _moment(node: Node, start: float) -> MessageFacts:
    seconds = node.at("time_sec").number()
    return MessageFacts(at=None if seconds is None else start + seconds)


def _facts(call: Node) -> dict[str, Any]:
    names = ("agent_id", "call_type", "direction", "call_status", "disconnection_reason", "duration_ms")
    facts = call.scalars(*names)
    analysis = call.at("call_analysis")
    for name in ("call_summary", "user_sentiment", "call_successful"):
        if isinstance(value := analysis.at(name).value, (str, bool)):
            facts[name] = value
    median = call.at("latency").at("e2e").at("p50").number()
    return facts if median is None else {**facts, "latency_p50_ms": median}


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="calls of Retell: {call_id, transcript_object}",
    matches=is_retell,
    read=read_retell,
    rank=50,
)
