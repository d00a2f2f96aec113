"""Logs of requests to a model: each request repeats the conversation so far, so several of them are one conversation.

Requests with the same conversation id belong together. Without one, a request goes on from an earlier one if it begins
with all that was said there, answer included. The same words of two users are therefore two conversations: neither
request holds the answer to the other one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from duologue.errors import SuiteError
from duologue.frozen import frozen
from duologue.transcripts.builder import MessageFacts, RecordingBuilder, empty, recordings_of, unread
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.recording import Recording

CONVERSATION_IDS = (
    "conversation_id", "conversationId", "session_id", "sessionId", "thread_id", "threadId", "chat_id", "chatId",
    "Helicone-Session-Id", "custom_id",
)  # fmt: skip
"""Fields that say which conversation a request belongs to."""
_USERS = ("user_id", "userId", "user", "end_user", "end_user_id")

T = TypeVar("T")
Said = tuple[Node, MessageFacts]
"""A message, and what is said about it."""


@frozen
class Request:
    """A request and its answer, or a conversation that was logged as a whole.

    Attributes:
        place: the entry of the file.
        messages: what was sent, then what was answered.
        answers: how many of them are the answer, at the end.
        id: of the conversation.
        user: who asked, where the source says so; requests of different users are never one conversation.
        model, name: of the agent's model, of the recording.
        prompts: what the agent was told outside its messages.
        metadata: what else the source says. JSON data.
        shows_calls: whether the log shows every tool call that the agent made.
    """

    place: Node
    messages: Sequence[Said]
    answers: int = 0
    id: str | None = None
    user: str | None = None
    model: str | None = None
    name: str | None = None
    prompts: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shows_calls: bool = False


def said(nodes: Sequence[Node]) -> list[Said]:
    """Messages, each with what it says about itself."""
    return [(node, chat.spoken_of(node)) for node in nodes]


def with_facts(nodes: Sequence[Node], answers: int, facts: MessageFacts) -> list[Said]:
    """The messages, with what is known of the answer put down to its first message."""
    found = said(nodes)
    if answers and found[-answers][1] == MessageFacts():
        found[-answers] = (found[-answers][0], facts)
    return found


def conversation_id(*nodes: Node) -> str | None:
    """The id of the conversation, in the first of these that has one."""
    places = [place for node in nodes for place in (node, node.at("metadata"), node.at("properties"))]
    return next((word for place in places if (word := place.at(*CONVERSATION_IDS).word())), None)


def talks_of(entries: Sequence[Node]) -> list[list[Node]]:
    """The messages of one list, by the conversation that each says it belongs to; all of them if none says so.

    An id that no two messages share is not that of a conversation.
    """
    ids = [conversation_id(node) for node in entries]
    counted = Counter(name for name in ids if name is not None)
    if len(counted) < 2 or max(counted.values()) < 2:
        return [list(entries)]
    talks: dict[str | None, list[Node]] = {}
    for name, node in zip(ids, entries, strict=True):
        talks.setdefault(name, []).append(node)
    return list(talks.values())


def recordings_of_messages(
    document: Document, format: str, read: Callable[[Node, list[Node], int], Recording]
) -> list[Recording]:
    """The recordings of a file that lists messages, not conversations.

    Args:
        document: the file.
        format: name of its format.
        read: makes a recording of the first message, all messages and the number of a conversation.
    """
    talks = talks_of(document.entries)
    first = [talk[0] for talk in talks]
    return recordings_of(document, format, lambda node, index: read(node, talks[index], index), first)


def body_of(entry: Node, found: Node, *names: str) -> Node:
    """The body of a request or response in a log entry; the entry itself where it keeps none apart.

    Args:
        entry: the entry of the log.
        found: what the entry has as its request or response.
        names: fields of it that may hold the body.
    """
    outer = found.opened()
    outer = outer if outer.fields else entry
    inner = outer.at(*names).opened()
    return inner if inner.fields else outer


def answered_request(
    entry: Node, request: Node, response: Node, *, sent: Sequence[Node], answer: Sequence[Node], facts: MessageFacts
) -> Request:
    """A request and its answer, with the ids, the user and the model that the log names.

    Args:
        entry: the entry of the log.
        request, response: their bodies.
        sent, answer: the messages of each.
        facts: what is known about the answer.
    """
    return Request(
        place=entry,
        messages=[*said(sent), *with_facts(answer, len(answer), facts)],
        answers=len(answer),
        id=conversation_id(entry, request),
        user=user_id(entry, request),
        model=response.at("model").word() or request.at("model").word(),
    )


def user_id(*nodes: Node) -> str | None:
    """Who asked, in the first of these that says so."""
    places = [place for node in nodes for place in (node, node.at("metadata"))]
    found = (place.at(*_USERS) for place in places)
    return next((word for node in found if isinstance(node.value, (str, int)) and (word := node.word())), None)


def no_answer(entry: Node, *failures: Node) -> SuiteError:
    """The error for a request that failed, in the words of the provider."""
    for node in failures:
        inner = node.at("error") if isinstance(node.at("error").value, (dict, str)) else node
        told = inner.at("message", "type", "code").word() if inner.fields else inner.word()
        if told:
            return empty(entry, f"the request failed and there is no answer to judge: {told}")
    return empty(entry, "the request failed and there is no answer to judge")


@dataclass(kw_only=True, eq=False)
class _Talk:
    """A conversation that later requests may continue."""

    request: Request
    messages: list[Said] = field(default_factory=list[Said])
    keys: list[str] = field(default_factory=list[str])
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What the agent was told, by the same text without times."""
    entries: list[Node] = field(default_factory=list[Node])
    digest: str = ""


@dataclass(kw_only=True)
class RequestLog:
    """The conversations of a log, each request put where it belongs."""

    document: Document
    format: str
    found: list[_Talk | Recording] = field(default_factory=list[_Talk | Recording])
    _by_id: dict[str, list[_Talk]] = field(default_factory=dict[str, list[_Talk]])
    _open: dict[str, list[_Talk]] = field(default_factory=dict[str, list[_Talk]])
    """Those that end with an answer, by a digest of everything that was said."""

    def add(self, request: Request) -> None:
        """One more request: the next step of a known conversation, or a new one."""
        told = [item for item in request.messages if not _is_prompt(item[0])]
        if not request.id and not request.answers:  # nothing can continue it
            self.found.append(_whole(request, told))
            return
        keys = [_key(node) for node, _ in told]
        talk = self._known(request, keys)
        if talk is None:
            talk = _Talk(request=request)
            self.found.append(talk)
            if request.id:
                self._by_id.setdefault(request.id, []).append(talk)
        elif talk in (waiting := self._open.get(talk.digest, [])):
            waiting.remove(talk)
        old = talk.request
        talk.request = replace(
            old,
            model=old.model or request.model,
            name=old.name or request.name,
            metadata={**request.metadata, **old.metadata},
            shows_calls=old.shows_calls or request.shows_calls,
        )
        overlap = _overlap(talk.keys, keys)
        talk.messages.extend(told[overlap:])
        talk.keys.extend(keys[overlap:])
        for text in _prompts(request):
            talk.prompts.setdefault(_timeless(text), text)
        talk.entries.append(request.place)
        talk.digest = [*_digests(request.user, talk.keys)][-1]
        if request.answers:
            self._open.setdefault(talk.digest, []).append(talk)

    def read_messages(self, entries: Sequence[Node]) -> list[Recording]:
        """The recordings of messages in one list. A conversation that lacks a line is not judged."""
        for talk in talks_of(entries):
            lost = [wrong for node in talk if (wrong := self.document.wrong_with(node))]
            if lost:
                self.found.append(unread(self.document, self.format, talk[0], len(self.found), lost[0]))
            else:
                self.add(Request(place=talk[0], messages=said(talk), id=conversation_id(talk[0])))
        return self.recordings()

    def read(self, entries: Iterable[Node], request_of: Callable[[Node], Request]) -> list[Recording]:
        """The recordings of entries. One that cannot be read has the error, and keeps none of the others back."""
        made: list[Request | tuple[Node, SuiteError]] = []
        for entry in entries:
            try:
                if wrong := self.document.wrong_with(entry):
                    raise wrong
                made.append(request_of(entry))
            except SuiteError as error:
                made.append((entry, error))
        for item in _in_time(made):
            if isinstance(item, Request):
                self.add(item)
            else:
                self.found.append(unread(self.document, self.format, item[0], len(self.found), item[1]))
        return self.recordings()

    def recordings(self) -> list[Recording]:
        """All of them, in the order in which they began."""
        made: list[Recording] = []
        for index, item in enumerate(self.found):
            if isinstance(item, Recording):
                made.append(item)
                continue
            try:
                made.append(self._recording(item, index))
            except SuiteError as error:
                made.append(unread(self.document, self.format, item.request.place, index, error))
        return made

    def _known(self, request: Request, keys: list[str]) -> _Talk | None:
        if request.id:
            known = self._by_id.get(request.id, [])
            return next((talk for talk in reversed(known) if _continues(talk, request, keys)), None)
        if not request.answers:
            return None
        asked = len(keys) - request.answers
        for digest in reversed([*_digests(request.user, keys)][1 : asked + 1]):
            if waiting := self._open.get(digest):
                prompts = {_timeless(text) for text in _prompts(request)}
                return next((talk for talk in waiting if talk.prompts.keys() >= prompts), waiting[0])
        return None

    def _recording(self, talk: _Talk, index: int) -> Recording:
        request = talk.request
        builder = RecordingBuilder(
            place=request.place, model=request.model, reports_tool_calls=request.shows_calls or None
        )
        for node in talk.entries:
            builder.watch(node)
        for text in talk.prompts.values():
            builder.prompt(text)
        for node, spoken in talk.messages:
            chat.add(builder, node, spoken)
        facts: dict[str, Any] = {"name": request.name} if request.name else {}
        return builder.finish(
            self.document.path,
            self.format,
            index=index,
            session_id=request.id,
            metadata=dict(request.metadata),
            **facts,
        )


_MOMENTS = ("startTime", "start_time", "timestamp", "created_at", "createdAt", "request_created_at", "created")


def _in_time(requests: Sequence[Request | T]) -> list[Request | T]:
    """The requests of each conversation by time, where all of them have one: many systems list the newest first."""
    places: dict[str, list[int]] = {}
    for place, item in enumerate(requests):
        if isinstance(item, Request) and item.id:
            places.setdefault(item.id, []).append(place)
    ordered = [*requests]
    for found in places.values():
        same = [item for place in found if isinstance(item := requests[place], Request)]
        times = [Node(item.place.at(*_MOMENTS).value, "").moment() for item in same]
        if len(same) > 1 and None not in times:
            by_time = sorted(range(len(same)), key=lambda number: times[number] or 0.0)
            for place, number in zip(found, by_time, strict=True):
                ordered[place] = same[number]
    return ordered


def _whole(request: Request, told: list[Said]) -> _Talk:
    prompts = {text: text for text in _prompts(request)}
    return _Talk(request=request, messages=told, prompts=prompts, entries=[request.place])


def _continues(talk: _Talk, request: Request, keys: list[str]) -> bool:
    """Whether a request with the same id goes on from there: it repeats the end of it, or holds nothing old at all."""
    if overlap := _overlap(talk.keys, keys):
        return overlap < len(keys)
    asked = keys[: len(keys) - request.answers]
    return (
        bool(request.answers)
        and not any(key.startswith("assistant") for key in asked)
        and keys != talk.keys[-len(keys) :]
    )


def _overlap(known: list[str], keys: list[str]) -> int:
    """How many keys the new ones begin with that the known ones end with."""
    most = min(len(known), len(keys))
    return next((length for length in range(most, 0, -1) if known[-length:] == keys[:length]), 0)


def _is_prompt(node: Node) -> bool:
    role = node.at("role", "Role").value
    return isinstance(role, str) and chat.ROLES.get(role.lower()) == "system"


def _prompts(request: Request) -> list[str]:
    """What the agent was told."""
    said = [chat.plain_text(chat.content_of(node)) for node, _ in request.messages if _is_prompt(node)]
    return [text for text in (*request.prompts, *said) if text]


_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TIMES = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?)?|\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:\s?[AaPp][Mm])?"
    rf"|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|(?:{_MONTHS})[a-z]*\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
    rf"|\d{{1,2}}\s+(?:{_MONTHS})[a-z]*\.?(?:\s+\d{{4}})?|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|\b\d{{10}}\d{{3}}?\b"
    r"|Z\b|UTC\b|[+-]\d{2}:?\d{2}\b"
)


def _timeless(text: str) -> str:
    """The text without times, which differ from request to request."""
    return " ".join(_TIMES.sub("", text).split())


def _key(node: Node) -> str:
    """A digest of what a message says, the same however a client writes it."""
    role = str(node.at("role", "Role", "type").value or "").lower()
    if not node.at("role", "Role").value:  # an item, such as a tool call
        items = {name: node.at(name).value for name in ("type", "name", "arguments", "output", "call_id", "content")}
        return _hashed(role, items)
    content = node.at("content", "parts", "Content").value
    text = content.strip() if isinstance(content, str) else content
    if isinstance(content, list):
        parts = node.at("content", "parts").items
        plain = all(isinstance(item.value, str) or item.at("text").value is not None for item in parts)
        if plain:
            text = "\n".join(
                item.value if isinstance(item.value, str) else str(item.at("text").value) for item in parts
            )
            text = text.strip()
    calls = [
        (inner.at("name").value, _data(inner.at("arguments", "args", "input").value))
        for item in node.at("tool_calls").items
        for inner in [item.at("function", "custom") if item.at("function", "custom").fields else item]
    ]
    return _hashed(chat.ROLES.get(role, role), [text or "", calls])


def _hashed(role: str, told: object) -> str:
    text = json.dumps(told, sort_keys=True, default=str)
    return role + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _data(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments


def _digests(user: str | None, keys: Sequence[str]) -> Iterator[str]:
    """Digests of the conversation of a user: before the first message, and up to each of them."""
    so_far = user or ""
    yield so_far
    for key in keys:
        so_far = hashlib.blake2b(f"{so_far}\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        yield so_far
