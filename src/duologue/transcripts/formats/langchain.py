"""Messages of LangChain and states of LangGraph: ``{type, content}``, ``{type, data}``, or serialised objects."""

from __future__ import annotations

from duologue.transcripts.builder import recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import recordings_of_messages
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "langchain"

_TYPES = {"human", "ai", "AIMessageChunk", "HumanMessageChunk", "HumanMessage", "AIMessage"}


def is_langchain(document: Document) -> bool:
    """A list of messages, or a state with ``messages``."""
    return any(_is_message(node) or any(map(_is_message, _messages(node)[:20])) for node in document.samples)


def _is_message(node: Node) -> bool:
    if node.at("lc").value is not None and node.at("kwargs").fields:
        return "messages" in [item.value for item in node.at("id").items] or node.at("kwargs").has("content")
    kind = node.at("type").value
    typed = isinstance(kind, str) and kind in _TYPES
    in_envelope = node.at("data").has("content") and (typed or (kind == "chat" and node.at("data").has("role")))
    return in_envelope or (typed and not node.has("role") and node.has("content"))


def _messages(node: Node) -> list[Node]:
    state = node.at("values", "state", "checkpoint")
    inner = state.at("channel_values") if state.at("channel_values").fields else state
    return (inner if inner.fields else node).at("messages").items or node.items


def read_langchain(document: Document) -> list[Recording]:
    """One recording for a list of messages, or for each state."""
    if any(map(_is_message, document.samples)):
        return recordings_of_messages(
            document, FORMAT, lambda node, talk, index: chat.conversation(document, FORMAT, node, talk, index=index)
        )

    def read(node: Node, index: int) -> Recording:
        return chat.conversation(document, FORMAT, node, _messages(node), index=index, session_id=_thread(node))

    return recordings_of(document, FORMAT, read, _last_states(document.entries))


def _thread(node: Node) -> str | None:
    return node.at("thread_id").word() or node.at("config").at("configurable").at("thread_id").word()


def _last_states(entries: list[Node]) -> list[Node]:
    """The entries, with the fullest state of each thread alone: a history holds a state for each step."""
    fullest: dict[str, Node] = {}
    for node in entries:
        thread = _thread(node)
        if thread and len(_messages(node)) > len(_messages(fullest.get(thread, node.holding(None)))):
            fullest[thread] = node
    return [node for node in entries if (thread := _thread(node)) is None or fullest.get(thread, node) is node]


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="messages of LangChain ({type: human, content}) or states of LangGraph",
    matches=is_langchain,
    read=read_langchain,
    rank=65,
)
