"""Logs in the format of the OpenAI API: message lists, files for fine-tuning, request and response bodies.

Each request repeats the conversation so far. Requests that go on from where another one and its answer ended are one
conversation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from duologue.transcripts.builder import MessageFacts, RecordingBuilder
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "openai"

_IDS = ("conversation_id", "session_id", "thread_id", "custom_id")


def is_openai(document: Document) -> bool:
    """A list of messages, ``{messages}``, ``{choices}``, or lines of any of these."""
    first = document.first
    return chat.looks_like_message(first) or _is_list_of_messages(first) or _has_messages(first)


def read_openai(document: Document) -> list[Recording]:
    """The conversations of a log."""
    entries = document.entries
    if entries and chat.looks_like_message(entries[0]):
        return [_one(document, _Talk(id=None, messages=[(node, chat.spoken_of(node)) for node in entries]), 0)]
    talks = _Talks()
    for entry in entries:
        if isinstance(entry.value, list):  # a list of conversations, each a list of messages
            talks.add(None, [(node, chat.spoken_of(node)) for node in entry.items], grows=False)
        else:
            _add_entry(talks, entry)
    return [_one(document, talk, index) for index, talk in enumerate(talks.all)]


@dataclass(kw_only=True)
class _Talk:
    """A conversation that later requests may go on with."""

    id: str | None
    messages: list[tuple[Node, MessageFacts]]
    model: str | None = None
    digest: str = ""


@dataclass(kw_only=True)
class _Talks:
    """The conversations of a log, and how far each of them has come."""

    all: list[_Talk] = field(default_factory=list[_Talk])
    _by_digest: dict[str, _Talk] = field(default_factory=dict[str, _Talk])

    def add(
        self, talk_id: str | None, messages: list[tuple[Node, MessageFacts]], *, grows: bool, model: str | None = None
    ) -> None:
        """A request with its answer: the next step of a conversation that is known, or a new one."""
        digests = _digests(talk_id, messages)
        known, length = self._known(digests) if grows else (None, 0)
        if known is None:
            known = _Talk(id=talk_id, messages=[], model=model)
            self.all.append(known)
        else:
            self._by_digest.pop(known.digest, None)
        known.messages.extend(messages[length:])
        known.digest = digests[-1] if digests else ""
        known.model = known.model or model
        if grows:
            self._by_digest[known.digest] = known

    def _known(self, digests: list[str]) -> tuple[_Talk | None, int]:
        for length in range(len(digests), 0, -1):
            if talk := self._by_digest.get(digests[length - 1]):
                return talk, length
        return None, 0


def _add_entry(talks: _Talks, entry: Node) -> None:
    request, response = _bodies(entry)
    said = request.at("messages").each_or_none("a list of messages")
    messages = [(node, chat.spoken_of(node)) for node in said]
    replies = response.at("choices").each_or_none("a list of choices")
    if replies:
        reply = replies[0].at("message")
        messages.append((reply, _spoken(entry, response)))
    if not messages:
        raise entry.wrong("a request with messages, or a response with choices")
    talk_id = entry.at(*_IDS).word() or entry.at("metadata").at(*_IDS).word()
    model = response.at("model").word() or request.at("model").word()
    talks.add(talk_id, messages, grows=bool(replies), model=model)


def _bodies(entry: Node) -> tuple[Node, Node]:
    """Request and response, whether they are apart or in one mapping, with or without a ``body``."""
    request, response = entry.at("request", "input"), entry.at("response", "output", "completion")
    request = request if isinstance(request.value, dict) else entry
    response = response if isinstance(response.value, dict) else entry
    return _body(request), _body(response)


def _body(node: Node) -> Node:
    inner = node.at("body")
    return inner if isinstance(inner.value, dict) else node


def _has_messages(entry: Node) -> bool:
    request, response = _bodies(entry)
    return isinstance(request.at("messages").value, list) or isinstance(response.at("choices").value, list)


def _is_list_of_messages(node: Node) -> bool:
    return bool(node.items) and chat.looks_like_message(node.items[0])


def _spoken(entry: Node, response: Node) -> MessageFacts:
    seconds = entry.at("latency_ms", "duration_ms").amount(0.001) or entry.at("latency", "duration").amount()
    return MessageFacts(
        at=response.at("created").moment(),
        seconds=seconds,
        usage=chat.usage_of(response.at("usage")),
        cost=entry.at("cost", "cost_usd").amount(),
        model=response.at("model").word(),
    )


def _digests(talk_id: str | None, messages: list[tuple[Node, MessageFacts]]) -> list[str]:
    """For each message, what stands for the conversation up to it."""
    found: list[str] = []
    so_far = talk_id or ""
    for node, _ in messages:
        parts: list[Any] = [
            so_far,
            node.at("role").value,
            node.at("content").value or "",
            node.at("tool_calls").value or [],
        ]
        text = json.dumps(parts, sort_keys=True)
        so_far = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        found.append(so_far)
    return found


def _one(document: Document, talk: _Talk, index: int) -> Recording:
    place = talk.messages[0][0] if talk.messages else document.root
    builder = RecordingBuilder(place=place, model=talk.model)
    for node, spoken in talk.messages:
        chat.add(builder, node, spoken)
    return builder.finish(document.path, FORMAT, index=index, session_id=talk.id)


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="chat messages in the format of the OpenAI API, alone, in requests and responses, or in lines of these",
    matches=is_openai,
    read=read_openai,
    rank=90,
    aliases=("transcript", "yaml"),
)
