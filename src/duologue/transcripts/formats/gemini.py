"""Contents, requests and responses of the Gemini API, and prompts that were saved in AI Studio."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import Request, RequestLog, body_of, conversation_id, no_answer, said
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "gemini"

_PARTS = {"text", "functionCall", "function_call", "functionResponse", "function_response", "inlineData", "inline_data"}


def is_gemini(document: Document) -> bool:
    """``{contents}``, ``{candidates}``, a list of contents, or lines of these."""
    return any(map(_is_entry, document.samples))


def _is_entry(node: Node) -> bool:
    request, response = _bodies(node)
    has_contents = any(map(_is_content, request.at("contents").items[:20]))
    has_answer = any(
        item.at("content").has("parts") or item.has("finishReason") for item in response.at("candidates").items
    )
    return (
        has_contents or has_answer or _is_content(node) or any(map(_is_content, node.items[:20])) or bool(_chunks(node))
    )


def _is_content(node: Node) -> bool:
    parts = node.at("parts").items
    typed = any(part.at("type", "part_kind", "kind", "media").value is not None for part in parts)
    return bool(parts) and not typed and not node.has("kind") and any(_PARTS & part.fields.keys() for part in parts)


def _chunks(node: Node) -> list[Node]:
    return node.at("chunkedPrompt").at("chunks").items


def read_gemini(document: Document) -> list[Recording]:
    """The conversations of a log."""
    entries = document.entries
    log = RequestLog(document=document, format=FORMAT)
    if any(map(_is_content, document.samples)):
        return log.read_messages([_message(node) for node in entries])
    return log.read(
        _joined(entries),
        lambda entry: (
            Request(place=entry, messages=said([_message(node) for node in entry.items]))
            if entry.items
            else _request(entry)
        ),
    )


def _joined(entries: list[Node]) -> list[Node]:
    """The entries, with the chunks of a streamed answer as one answer: all of them but the last do not end it."""
    found: list[Node] = []
    for entry in entries:
        last = found[-1] if found else None
        if last is None or not (_is_chunk(last) and entry.at("candidates").items and not entry.has("contents")):
            found.append(entry)
            continue
        parts = _parts([part for node in (last, entry) for part in _answer(node).at("content").at("parts").items])
        answer = {**_answer(entry).fields, "content": {"role": "model", "parts": parts}}
        found[-1] = last.holding({**last.fields, **entry.fields, "candidates": [answer]})
    return found


def _parts(parts: list[Node]) -> list[Any]:
    """The parts, with pieces of one text put together."""
    found: list[Any] = []
    for part in parts:
        if found and all(list(fields) == ["text"] for fields in (found[-1], part.fields)):
            found[-1] = {"text": f"{found[-1]['text']}{part.at('text').word() or ''}"}
        else:
            found.append(part.value)
    return found


def _answer(entry: Node) -> Node:
    return entry.at("candidates").at_item(0)


def _is_chunk(entry: Node) -> bool:
    unended = bool(entry.at("candidates").items) and not _answer(entry).has("finishReason")
    return unended and not entry.has("contents") and not _answer(entry).has("finish_reason")


def _message(node: Node) -> Node:
    """A content; the API takes one without a role for the user's."""
    return node if node.has("role") else node.holding({"role": "user", **node.fields})


def _request(entry: Node) -> Request:
    request, response = _bodies(entry)
    sent = [_message(node) for node in request.at("contents").items]
    if chunks := _chunks(entry):
        sent = [node.holding({"role": node.at("role").value, "content": node.at("text").value}) for node in chunks]
    candidates = response.at("candidates").items
    chosen = next(
        (node for node in candidates if node.at("index").value in (None, 0)), candidates[0] if candidates else None
    )
    answer = None if chosen is None or not chosen.at("content").fields else chosen.at("content")
    if answer is None and (response.at("error").value or chosen is not None or response.has("promptFeedback")):
        blocked = response.at("promptFeedback").at("blockReason").word() or (
            chosen and chosen.at("finishReason").word()
        )
        raise no_answer(entry, response if response.at("error").value else entry.holding(blocked))
    if answer is None and not sent:
        raise entry.wrong("a request with contents, or a response with candidates")
    answered = [] if answer is None else [answer.holding({**answer.fields, "role": "model"})]
    facts = MessageFacts(
        at=response.at("createTime").moment(),
        usage=chat.usage_of(response.at("usageMetadata", "usage_metadata")),
        model=response.at("modelVersion", "model_version").word(),
    )
    prompt = request.at("systemInstruction", "system_instruction")
    parts = prompt.at("parts").items
    told = (
        [part.at("text").word() for part in parts]
        if parts
        else [prompt.word() if isinstance(prompt.value, str) else None]
    )
    return Request(
        place=entry,
        messages=[*said(sent), *((node, facts) for node in answered)],
        answers=len(answered),
        id=conversation_id(entry, request),
        model=response.at("modelVersion", "model_version").word() or request.at("model").word(),
        prompts=[text for text in told if text],
    )


def _bodies(entry: Node) -> tuple[Node, Node]:
    request, response = entry.at("request", "request_body"), entry.at("response", "response_body")
    return body_of(entry, request, "body"), body_of(entry, response, "body")


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="contents of the Gemini API: {contents}, {candidates} or a list of {role, parts}",
    matches=is_gemini,
    read=read_gemini,
    rank=48,
    reports_tool_calls=True,
)
