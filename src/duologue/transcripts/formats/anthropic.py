"""Logs of Anthropic's Messages API: message lists with content blocks, requests with their responses, batches."""

from __future__ import annotations

from dataclasses import replace

from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answer_beside
from duologue.transcripts.formats.openai import spoken_of
from duologue.transcripts.formats.request_log import (
    Request,
    RequestLog,
    answered_request,
    body_of,
    no_answer,
    said,
)
from duologue.transcripts.formats.streams import is_piece
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "anthropic"

_BLOCKS = {"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"}


def is_anthropic(document: Document) -> bool:
    """Messages with blocks that only Anthropic has, its responses, or requests with ``system`` beside ``messages``."""
    return any(_is_entry(node) or _is_logged(node) for node in document.samples)


def _is_logged(node: Node) -> bool:
    """Whether this is a message in a session file of Claude Code, or of a program built with its SDK."""
    has_id = node.has("uuid") or node.has("session_id") or node.has("sessionId")
    return node.at("type").value in ("user", "assistant") and node.at("message").has("role", "content") and has_id


def _is_entry(node: Node) -> bool:
    if is_piece(node):
        return False
    request, response = _bodies(node)
    if _is_response(response) or node.at("result").at("type").value in ("succeeded", "errored", "canceled", "expired"):
        return True
    messages = [node, *node.items, *request.at("messages").items]
    if request.at("messages").items and request.has("system") and not response.has("choices"):
        return not node.has("scenario")
    return any(_has_blocks(message) for message in messages)


def _has_blocks(message: Node) -> bool:
    return isinstance(message.at("role").value, str) and any(
        isinstance(block.at("type").value, str) and block.at("type").value in _BLOCKS
        for block in message.at("content").items
    )


def _is_response(node: Node) -> bool:
    said = isinstance(node.at("content").value, (list, str))
    return node.at("type").value == "message" and said and "stop_reason" in node.fields


def read_anthropic(document: Document) -> list[Recording]:
    """The conversations of a log."""
    entries = document.entries
    log = RequestLog(document=document, format=FORMAT)
    if any(map(_is_logged, document.samples)):
        return log.read_messages([_logged(entry) for entry in entries if _is_logged(entry) or entry.value is None])
    if any(map(chat.looks_like_message, document.samples)) and not any(map(_is_response, document.samples)):
        return log.read_messages(entries)
    return log.read(
        entries, lambda entry: Request(place=entry, messages=said(entry.items)) if entry.items else _request(entry)
    )


def _logged(entry: Node) -> Node:
    """The message of a line, with what the line says about it."""
    about = {name: entry.at(name).value for name in ("timestamp", "sessionId", "session_id")}
    return entry if entry.value is None else entry.holding({**about, **entry.at("message").fields})


def _request(entry: Node) -> Request:
    request, response = _bodies(entry)
    sent = request.at("messages").opened().each_or_none("a list of messages")
    answered = _is_response(response) or response.at("role").value == "assistant"
    result = entry.at("result")
    if not answered and (
        result.at("error").fields or response.at("error").fields or response.at("type").value == "error"
    ):
        raise no_answer(entry, result.at("error"), response)
    if not answered and result.fields:
        raise no_answer(entry, result.at("type"))
    if not answered and not sent:
        raise entry.wrong("a request with messages, or a response with content")
    answer = (
        [response.holding({"role": "assistant", "content": response.at("content").value})]
        if answered
        else answer_beside(entry, sent)
    )
    made = answered_request(entry, request, response, sent=sent, answer=answer, facts=spoken_of(entry, response))
    prompt = chat.content_of(request.holding({"content": request.at("system").value}))
    return replace(made, prompts=[chat.plain_text(prompt)])


def _bodies(entry: Node) -> tuple[Node, Node]:
    request = entry.at("request", "request_body", "params", "body", "input")
    response = entry.at("response", "response_body", "output", "message", "completion")
    if entry.at("result").at("message").fields:
        response = entry.at("result").at("message")
    return body_of(entry, request, "body", "params"), body_of(entry, response, "body", "params")


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="messages of Anthropic's API: lists with content blocks, requests and responses, batches",
    matches=is_anthropic,
    read=read_anthropic,
    rank=75,
    reports_tool_calls=True,
)
