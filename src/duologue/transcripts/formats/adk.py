"""Sessions and evaluation sets of Google's Agent Development Kit."""

from __future__ import annotations

from duologue.transcripts.builder import MessageFacts, RecordingBuilder, entries_within, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import recordings_of_messages
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "adk"


def is_adk(document: Document) -> bool:
    """A session with events of authors, ``{eval_cases}``, or a list of ``{name, data: [{query}]}``."""
    return any(_is_session(node) or _cases(node) or _is_old_case(node) or _is_event(node) for node in document.samples)


def _is_event(node: Node) -> bool:
    is_known = node.has("invocation_id") or node.has("invocationId")
    return isinstance(node.at("author").value, str) and is_known and isinstance(node.at("content").value, dict)


def _is_session(node: Node) -> bool:
    return any(event.has("author") for event in node.at("events").items[:20])


def _cases(node: Node) -> list[Node]:
    return node.at("eval_cases", "evalCases").items


def _is_old_case(node: Node) -> bool:
    return any(turn.has("query") and turn.has("reference") for turn in node.at("data").items[:5])


def read_adk(document: Document) -> list[Recording]:
    """One recording for each session or case."""
    if any(map(_is_event, document.samples)):
        return recordings_of_messages(document, FORMAT, lambda node, talk, index: _session(document, node, talk, index))
    entries = entries_within(document, _cases)
    return recordings_of(document, FORMAT, lambda node, index: _recording(document, node, index), entries)


def _recording(document: Document, node: Node, index: int) -> Recording:
    if _is_session(node):
        return _session(document, node, node.at("events").items, index)
    builder = RecordingBuilder(
        place=node, agent=node.at("session_input", "sessionInput").at("app_name").word() or "agent"
    )
    turns = node.at("conversation", "data").items
    if turns and all(map(_shows_calls, turns)):
        builder.reports_tool_calls = True
    for turn in turns:
        _add_turn(builder, turn)
    name = node.at("eval_id", "evalId", "name").word()
    return builder.finish(document.path, FORMAT, index=index, **({"name": name} if name else {}))


def _session(document: Document, node: Node, events: list[Node], index: int) -> Recording:
    whole = {event.at("author").word() for event in events if event.at("partial").value is not True and _says(event)}
    events = [
        event for event in events if event.at("partial").value is not True or event.at("author").word() not in whole
    ]
    authors = [word for event in events if (word := event.at("author").word()) and word != "user"]
    return chat.conversation(
        document,
        FORMAT,
        node,
        [_message(event) for event in events if event.at("content").fields],
        agent=authors[0] if authors else node.at("app_name", "appName").word() or "agent",
        index=index,
        session_id=node.at("id", "session_id").word(),
        metadata=node.scalars("app_name", "appName", "user_id", "userId"),
        reports_tool_calls=True,
    )


def _says(event: Node) -> bool:
    return any(isinstance(part.at("text").value, str) for part in event.at("content").at("parts").items)


def _message(event: Node) -> Node:
    """The content of an event, with the author's side: everybody but the user is the agent."""
    content = event.at("content")
    role = "user" if event.at("author").value == "user" else "model"
    about = {"timestamp": event.at("timestamp").value, "usage": event.at("usage_metadata", "usageMetadata").value}
    return content.holding({**content.fields, "role": role, **about})


def _shows_calls(turn: Node) -> bool:
    between = turn.at("intermediate_data", "intermediateData")
    uses = between.at("tool_uses", "toolUses", "invocation_events", "invocationEvents")
    return isinstance(uses.value, list) or isinstance(turn.at("expected_tool_use").value, list)


def _add_turn(builder: RecordingBuilder, turn: Node) -> None:
    at = MessageFacts(at=turn.at("creation_timestamp", "creationTimestamp").moment())
    asked = turn.at("user_content", "userContent", "query")
    chat.add(builder, asked if asked.fields else asked.holding({"role": "user", "content": asked.value}), at)
    between = turn.at("intermediate_data", "intermediateData")
    for event in between.at("invocation_events", "invocationEvents").items:
        if event.at("content").fields:
            chat.add(builder, _message(event))
    calls = between.at("tool_uses", "toolUses").items or turn.at("expected_tool_use").items
    if calls:
        named = [call.holding({"type": "function", **_call(call)}) for call in calls]
        chat.add(builder, turn.holding({"role": "assistant", "tool_calls": [call.value for call in named]}))
    for answer in between.at("tool_responses", "toolResponses").items:
        fields = {"role": "tool", "content": answer.at("response").value, "name": answer.at("name").value}
        chat.add(builder, answer.holding({**fields, "tool_call_id": answer.at("id").value}))
    final = turn.at("final_response", "finalResponse", "reference")
    if final.value is not None:
        chat.add(builder, final if final.fields else final.holding({"role": "assistant", "content": final.value}))


def _call(call: Node) -> dict[str, object]:
    return {
        "id": call.at("id").value,
        "function": {
            "name": call.at("name", "tool_name").value,
            "arguments": call.at("args", "tool_input").value or {},
        },
    }


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="sessions or evaluation sets of Google ADK: {events: [{author, content}]} or {eval_cases}",
    matches=is_adk,
    read=read_adk,
    rank=29,
)
