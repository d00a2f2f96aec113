"""Message histories of pydantic-ai: requests and responses with parts."""

from __future__ import annotations

from duologue.transcripts.builder import recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import recordings_of_messages
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "pydantic_ai"


def is_pydantic_ai(document: Document) -> bool:
    """A list of requests and responses, alone, in ``messages``, or one such list to a line."""
    return any(_is_message(node) or any(map(_is_message, _messages(node)[:20])) for node in document.samples)


def _is_message(node: Node) -> bool:
    kind = node.at("kind").value
    return kind in ("request", "response") and isinstance(node.at("parts").value, list)


def _messages(node: Node) -> list[Node]:
    return node.at("messages", "message_history", "all_messages").items or node.items


def read_pydantic_ai(document: Document) -> list[Recording]:
    """One recording for each history."""
    if any(map(_is_message, document.samples)):
        return recordings_of_messages(document, FORMAT, lambda node, talk, index: _history(document, node, talk, index))
    return recordings_of(document, FORMAT, lambda node, index: _history(document, node, _messages(node), index))


def _history(document: Document, place: Node, messages: list[Node], index: int) -> Recording:
    models = [word for node in messages if (word := node.at("model_name").word())]
    return chat.conversation(
        document,
        FORMAT,
        place,
        messages,
        model=models[-1] if models else None,
        prompts=[node.at("instructions").word() for node in messages],
        index=index,
        session_id=place.at("conversation_id").word(),
    )


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="message histories of pydantic-ai: {kind: request, parts}",
    matches=is_pydantic_ai,
    read=read_pydantic_ai,
    rank=47,
    reports_tool_calls=True,
)
