"""Logs in the format of OpenAI's Chat Completions API, which nearly every provider and gateway has.

Message lists, files for fine-tuning, bodies of requests and responses, batches, and the chunks of streamed answers.
"""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import Request, RequestLog, conversation_id, no_answer, said, user_id
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "openai"
STREAM = "openai_stream"

_CHUNK = "chat.completion.chunk"
_FACTS = ("status", "source", "user", "user_id", "app", "environment", "score", "feedback", "label")


def is_openai(document: Document) -> bool:
    """A list of messages, ``{messages}``, ``{choices}``, or lines of any of these."""
    return any(
        chat.looks_like_message(node) or is_list_of_messages(node) or _has_bodies(node) for node in document.samples
    )


def read_openai(document: Document) -> list[Recording]:
    """The conversations of a log."""
    entries = document.entries
    log = RequestLog(document=document, format=FORMAT)
    if any(map(chat.looks_like_message, document.samples)):
        log.add(Request(place=entries[0], messages=said(entries)))
        return log.recordings()
    # a list of conversations, each a list of messages, or one request each
    return log.read(
        entries, lambda entry: Request(place=entry, messages=said(entry.items)) if entry.items else _request(entry)
    )


def is_list_of_messages(node: Node) -> bool:
    """Whether this is a list that begins with a chat message."""
    return bool(node.items) and chat.looks_like_message(node.items[0])


def _request(entry: Node) -> Request:
    request, response = _bodies(entry)
    sent = request.at("messages").each_or_none("a list of messages")
    reply = answer_of(response)
    if reply is None and _failed(entry, response):
        raise no_answer(entry, response, entry)
    if reply is None and not sent and request.at("messages").value is None:
        raise entry.wrong("a request with messages, or a response with choices")
    return Request(
        place=entry,
        messages=[*said(sent), *([] if reply is None else [(reply, spoken_of(entry, response))])],
        answers=int(reply is not None),
        id=conversation_id(entry, request),
        user=user_id(entry, request),
        model=response.at("model").word() or request.at("model").word(),
        metadata=entry.scalars(*_FACTS),
        shows_calls=any(node.at(name).items for node in (entry, request) for name in ("tools", "functions")),
    )


def answer_of(response: Node) -> Node | None:
    """The message of a response: of the choice with the index 0, wherever it stands in the list."""
    choices = response.at("choices").each_or_none("a list of choices")
    choice = next((node for node in choices if node.at("index").value in (0, "0")), choices[0] if choices else None)
    if choice is None:
        return None
    return choice.at("message") if choice.has("message") else _text_choice(choice)


def _text_choice(choice: Node) -> Node:
    """An answer of the old completions API, or a choice without anything."""
    text = choice.at("text").value
    return choice.holding({"role": "assistant", "content": text}) if isinstance(text, str) else choice.at("message")


def _failed(entry: Node, response: Node) -> bool:
    """Whether the entry says that its request failed."""
    status = entry.at("response").at("status_code", "status").number() or entry.at("status_code").number()
    told = any(isinstance(node.at("error").value, (dict, str)) and node.at("error").value for node in (entry, response))
    return told or bool(status and status >= 400)


def _bodies(entry: Node) -> tuple[Node, Node]:
    """Request and response, whether they are apart or in one mapping, with or without a ``body``."""
    request = entry.at("request", "request_body", "requestBody", "req", "input")
    response = entry.at("response", "response_body", "responseBody", "res", "output", "completion")
    request = request if isinstance(request.value, dict) else entry
    response = response if isinstance(response.value, dict) else entry
    return _body(request), _body(response)


def _body(node: Node) -> Node:
    inner = node.at("body")
    return inner if isinstance(inner.value, dict) else node


def _has_bodies(entry: Node) -> bool:
    request, response = _bodies(entry)
    sent, answered = request.at("messages"), response.at("choices")
    is_failed_row = entry.has("custom_id", "response")
    return isinstance(sent.value, list) or isinstance(answered.value, list) or is_failed_row


def spoken_of(entry: Node, response: Node) -> MessageFacts:
    """What an answer took, as entry and response say."""
    seconds = (
        entry.at("latency_ms", "duration_ms", "delay_ms").amount(0.001) or entry.at("latency", "duration").amount()
    )
    return MessageFacts(
        at=response.at("created", "created_at").moment(),
        seconds=seconds,
        usage=chat.usage_of(response.at("usage")),
        cost=entry.at("cost", "cost_usd", "costUSD").amount(),
        model=response.at("model").word(),
    )


def is_stream(document: Document) -> bool:
    """Lines of chunks, as a streamed answer consists of them."""
    return any(_chunk(node).at("object").value == _CHUNK for node in document.samples)


def read_stream(document: Document) -> list[Recording]:
    """An answer for each completion; without the requests, nothing else is known."""
    answers: dict[str | None, list[Node]] = {}
    last: str | None = None
    for node in map(_chunk, document.entries):
        if node.at("object").value == _CHUNK:
            last = node.at("id").word() or last  # only the first chunk of an answer may have the id
            answers.setdefault(last, []).append(node)
    log = RequestLog(document=document, format=STREAM)
    for name, chunks in answers.items():
        message = chunks[0].holding(_joined(chunks))
        usage = next((node.at("usage") for node in reversed(chunks) if node.at("usage").fields), chunks[0].at("usage"))
        model = next((word for node in chunks if (word := node.at("model").word())), None)
        facts = MessageFacts(at=chunks[0].at("created").moment(), usage=chat.usage_of(usage), model=model)
        log.add(Request(place=chunks[0], messages=[(message, facts)], answers=1, model=model, name=name))
    return log.recordings()


def _chunk(node: Node) -> Node:
    inner = node.at("chunk", "data")
    return inner if isinstance(inner.value, dict) else node


def _joined(chunks: list[Node]) -> dict[str, Any]:
    """The message that chunks make together."""
    text: list[str] = []
    refusal: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    for node in chunks:
        choices = node.at("choices").items
        delta = next((item for item in choices if item.at("index").value in (None, 0)), node).at("delta")
        text.append(delta.at("content").word() or "")
        refusal.append(delta.at("refusal").word() or "")
        for number, item in enumerate(delta.at("tool_calls").items):
            place = item.at("index").number()
            call = calls.setdefault(number if place is None else int(place), {"id": None, "name": "", "arguments": ""})
            function = item.at("function")
            call["id"] = call["id"] or item.at("id").word()
            call["name"] += function.at("name").word() or ""
            call["arguments"] += function.at("arguments").word() or ""
    made = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]
    return {
        "role": "assistant",
        "content": "".join(text) or "".join(refusal) or None,
        **({"tool_calls": made} if made else {}),
    }


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="chat messages in the format of the OpenAI API, alone, in requests and responses, or in lines of these",
    matches=is_openai,
    read=read_openai,
    rank=90,
    aliases=("transcript", "yaml"),
    fallback=True,
)


STREAMS = RecordingFormat(
    name=STREAM,
    about="chunks of streamed answers of the OpenAI API, one to a line",
    matches=is_stream,
    read=read_stream,
    rank=25,
    aliases=("openai",),
)
