"""Logs in the format of OpenAI's Chat Completions API, which nearly every provider and gateway has.

Message lists, files for fine-tuning, bodies of requests and responses, batches, and the chunks of streamed answers.
"""

from __future__ import annotations

from dataclasses import replace

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answer_beside, answer_of
from duologue.transcripts.formats.request_log import (
    Request,
    RequestLog,
    answered_request,
    no_answer,
    said,
)
from duologue.transcripts.formats.streams import FORMAT as STREAM
from duologue.transcripts.formats.streams import is_stream, read_stream
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "openai"
_FACTS = ("status", "source", "user", "user_id", "app", "environment", "score", "feedback", "label")


def is_openai(document: Document) -> bool:
    """A list of messages, ``{messages}``, ``{choices}``, or lines of any of these."""
    return not any(map(_has_two_answers, document.samples)) and any(
        chat.looks_like_message(node) or is_list_of_messages(node) or _has_bodies(node) for node in document.samples
    )


def _has_two_answers(node: Node) -> bool:
    """Whether this is for preference training: which of the two is to be judged is not said."""
    return node.has("preferred_output", "non_preferred_output") or node.has("chosen", "rejected")


def read_openai(document: Document) -> list[Recording]:
    """The conversations of a log."""
    entries = document.entries
    log = RequestLog(document=document, format=FORMAT)
    if any(map(chat.looks_like_message, document.samples)):
        return log.read_messages(entries)
    # a list of conversations, each a list of messages, or one request each
    return log.read(
        entries, lambda entry: Request(place=entry, messages=said(entry.items)) if entry.items else _request(entry)
    )


def is_list_of_messages(node: Node) -> bool:
    """Whether this is a list that begins with a chat message."""
    return bool(node.items) and chat.looks_like_message(node.items[0])


def _request(entry: Node) -> Request:
    request, response = _bodies(entry)
    sent = request.at("messages").opened().each_or_none("a list of messages")
    reply = answer_of(response)
    if any(choice.at("finish_reason").value == "error" for choice in response.at("choices").items[:1]):
        raise no_answer(entry, response.at("choices").items[0], response, entry.holding("finish_reason is error"))
    if reply is None and _failed(entry, response):
        raise no_answer(entry, response, entry)
    answer = [reply] if reply is not None else answer_beside(entry, sent)
    if not answer and not sent and request.at("messages").value is None:
        raise entry.wrong("a request with messages, or a response with choices")
    if not answer and isinstance(response.at("choices").value, list):
        raise no_answer(entry, response)
    return replace(
        answered_request(entry, request, response, sent=sent, answer=answer, facts=spoken_of(entry, response)),
        metadata=entry.scalars(*_FACTS),
        shows_calls=any(node.at(name).items for node in (entry, request) for name in ("tools", "functions")),
    )


def _failed(entry: Node, response: Node) -> bool:
    """Whether the entry says that its request failed."""
    status = entry.at("response").at("status_code", "status").number() or entry.at("status_code").number()
    told = any(isinstance(node.at("error").value, (dict, str)) and node.at("error").value for node in (entry, response))
    return told or bool(status and status >= 400)


def _bodies(entry: Node) -> tuple[Node, Node]:
    """Request and response, whether they are apart or in one mapping, with or without a ``body``."""
    request = entry.at("request", "request_body", "requestBody", "req", "input", "inputs")
    response = entry.at("response", "response_body", "responseBody", "res", "output", "completion")
    request, response = request.opened(), response.opened()
    request = request if isinstance(request.value, dict) else entry
    response = response if isinstance(response.value, dict) else entry
    return _body(request), _body(response)


def _body(node: Node) -> Node:
    inner = node.at("body").opened()
    return inner if isinstance(inner.value, dict) else node


def _has_bodies(entry: Node) -> bool:
    request, response = _bodies(entry)
    sent, answered = request.at("messages").opened(), response.at("choices")
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
