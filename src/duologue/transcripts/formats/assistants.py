"""Threads of OpenAI's Assistants API: messages, and the steps of runs with their tool calls."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "assistants"

_MESSAGE, _STEP = "thread.message", "thread.run.step"


def is_thread(document: Document) -> bool:
    """Messages of a thread, alone, in a list, or in ``messages``."""
    return any(item.at("object").value == _MESSAGE for node in document.samples for item in _items(node)[:20])


def _items(node: Node) -> list[Node]:
    inner = node.at("messages")
    steps = node.at("run_steps", "steps")
    lists = [held.at("data").items or held.items for held in (inner, steps)]
    return [item for items in lists for item in items] or node.items or [node]


def read_thread(document: Document) -> list[Recording]:
    """One recording for each thread. The API lists the newest first."""
    threads: dict[str | None, list[Node]] = {}
    for entry in document.entries:
        for node in _items(entry):
            if node.at("object").value in (_MESSAGE, _STEP):
                threads.setdefault(node.at("thread_id").word(), []).append(node)

    def read(node: Node, index: int) -> Recording:
        thread = node.at("thread_id").word()
        found = sorted(threads[thread], key=lambda item: item.at("created_at").number() or 0.0)
        messages = [message for item in found for message in _messages(item)]
        shown = any(item.at("object").value == _STEP for item in found) or None  # steps have the calls, messages none
        return chat.conversation(
            document, FORMAT, node, messages, index=index, session_id=thread, reports_tool_calls=shown
        )

    return recordings_of(document, FORMAT, read, [nodes[0] for nodes in threads.values()])


def _messages(node: Node) -> list[Node]:
    at = {"created_at": node.at("created_at").value}
    if node.at("object").value == _MESSAGE:
        parts = [_part(item) for item in node.at("content").items]
        content: Any = parts if node.at("content").items else node.at("content").value
        return [node.holding({"role": node.at("role").value, "content": content, **at})]
    calls = node.at("step_details").at("tool_calls").items
    named = [
        {
            "id": call.at("id").value,
            "type": "function",
            "function": {"name": _name(call), "arguments": _arguments(call)},
        }
        for call in calls
    ]
    results = [
        call.holding({"role": "tool", "tool_call_id": call.at("id").value, "content": output, **at})
        for call in calls
        if (output := call.at("function").at("output").value) is not None
    ]
    return [node.holding({"role": "assistant", "content": None, "tool_calls": named, **at}), *results] if named else []


def _name(call: Node) -> str:
    return call.at("function").at("name").word() or call.at("type").word() or "unknown"


def _arguments(call: Node) -> Any:
    kind = call.at("type").word() or ""
    return call.at("function").at("arguments").value or call.at(kind).value or {}


def _part(part: Node) -> Any:
    """A part of a message, with its text where other APIs have it."""
    text = part.at("text")
    return {"type": "text", "text": text.at("value").value or ""} if text.fields else part.value


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="threads of the OpenAI Assistants API: messages and steps of runs",
    matches=is_thread,
    read=read_thread,
    rank=28,
    aliases=("openai",),
)
