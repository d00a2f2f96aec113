"""Conversations of LiveKit agents: a chat context with ``items``, alone or in the report of a session."""

from __future__ import annotations

from duologue.transcripts.builder import recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "livekit"

_PLACES = ("chat_history", "history", "chat_ctx", "conversation")
_TYPES = ("message", "function_call", "function_call_output", "agent_handoff", "agent_config_update")


def is_livekit(document: Document) -> bool:
    """``{items: […]}`` with messages and function calls."""
    return any(item.at("type").value in _TYPES for node in document.samples for item in _items(node)[:20])


def _items(node: Node) -> list[Node]:
    inner = node.at(*_PLACES)
    return inner.at("items").items if inner.fields else node.at("items").items


def read_livekit(document: Document) -> list[Recording]:
    """One recording for each chat context."""

    def read(node: Node, index: int) -> Recording:
        facts = node.scalars("room", "room_id", "job_id", "started_at", "duration")
        session_id = node.at("session_id", "room_id", "job_id", "id").word()
        return chat.conversation(
            document, FORMAT, node, _items(node), index=index, session_id=session_id, metadata=facts
        )

    return recordings_of(document, FORMAT, read)


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="the history of a LiveKit agent: {items}",
    matches=is_livekit,
    read=read_livekit,
    rank=46,
    reports_tool_calls=True,
)
