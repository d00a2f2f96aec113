"""Exports of chat applications: ``conversations.json`` of ChatGPT and of Claude."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import recordings_of
from duologue.transcripts.documents import Document, Node, with_remarks
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

CHATGPT = "chatgpt_export"
CLAUDE = "claude_export"

_FILE = "conversations.json"


def _entries(document: Document) -> list[Node]:
    """The conversations; an export may be given as the archive that was downloaded."""
    if _FILE in document.members:
        return [with_remarks(node) for node in document.members[_FILE].items]
    return [] if document.members else document.entries


def is_chatgpt(document: Document) -> bool:
    """Conversations with a ``mapping`` of nodes."""
    return any(node.at("mapping").fields for node in _entries(document)[:20])


def read_chatgpt(document: Document) -> list[Recording]:
    """One recording for each conversation: the branch that was open last."""
    return recordings_of(document, CHATGPT, lambda node, index: _chatgpt(document, node, index), _entries(document))


def _chatgpt(document: Document, node: Node, index: int) -> Recording:
    return chat.conversation(
        document,
        CHATGPT,
        node,
        [message for item in _branch(node) for message in _message(item.at("message"))],
        model=node.at("default_model_slug").word(),
        index=index,
        name=node.at("title").word() or f"conversation {index}",
        session_id=node.at("conversation_id", "id").word(),
    )


def _branch(node: Node) -> list[Node]:
    """The nodes from the first to the current one."""
    mapping = node.at("mapping")
    name = node.at("current_node").word() or next(reversed(list(mapping.fields)), None)
    found: list[Node] = []
    while name and name in mapping.fields and len(found) <= len(mapping.fields):
        found.append(mapping.at(name))
        name = mapping.at(name).at("parent").word()
    return found[::-1]


def _message(message: Node) -> list[Node]:
    role, content = message.at("author").at("role").word(), message.at("content")
    parts = content.at("parts").items
    text = (
        "\n".join(part.value for part in parts if isinstance(part.value, str))
        or content.at("text", "result").word()
        or ""
    )
    media = [part.value for part in parts if part.fields]
    if (
        role is None
        or (not text.strip() and not media)
        or content.at("content_type").value in ("thoughts", "reasoning_recap")
    ):
        return []
    about: dict[str, Any] = {"created_at": message.at("create_time").value}
    recipient = message.at("recipient").word()
    if role == "assistant" and recipient and recipient != "all":
        call = {"id": message.at("id").value, "function": {"name": recipient, "arguments": {"input": text}}}
        return [message.holding({"role": role, "content": None, "tool_calls": [call], **about})]
    if role == "tool":
        return [
            message.holding({"role": role, "name": message.at("author").at("name").value, "content": text, **about})
        ]
    return [message.holding({"role": role, "content": text or f"[{len(media)} attachments]", **about})]


def is_claude(document: Document) -> bool:
    """Conversations with ``chat_messages``."""
    return any(isinstance(node.at("chat_messages").value, list) for node in _entries(document)[:20])


def read_claude(document: Document) -> list[Recording]:
    """One recording for each conversation."""
    return recordings_of(document, CLAUDE, lambda node, index: _claude(document, node, index), _entries(document))


def _claude(document: Document, node: Node, index: int) -> Recording:
    return chat.conversation(
        document,
        CLAUDE,
        node,
        [_said(message) for message in node.at("chat_messages").each("a list of messages")],
        model=node.at("model").word(),
        index=index,
        name=node.at("name").word() or f"conversation {index}",
        session_id=node.at("uuid").word(),
    )


def _said(message: Node) -> Node:
    blocks = [item.value for item in message.at("content").items if item.at("type").value != "token_budget"]
    fields = {"role": message.at("sender").value, "created_at": message.at("created_at").value}
    return message.holding({**fields, "content": blocks or message.at("text").value})


CHATGPT_EXPORTS = RecordingFormat(
    name=CHATGPT, about="an export of ChatGPT: conversations.json", matches=is_chatgpt, read=read_chatgpt, rank=26
)


CLAUDE_EXPORTS = RecordingFormat(
    name=CLAUDE, about="an export of Claude: conversations.json", matches=is_claude, read=read_claude, rank=27
)
