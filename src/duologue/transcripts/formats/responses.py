"""Items and responses of OpenAI's Responses API and of its Agents SDK."""

from __future__ import annotations

from dataclasses import dataclass, field

from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.openai import spoken_of
from duologue.transcripts.formats.request_log import (
    Request,
    RequestLog,
    Said,
    body_of,
    conversation_id,
    no_answer,
    said,
    user_id,
)
from duologue.transcripts.formats.streams import is_piece
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "responses"

_ITEMS = {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}


def is_responses(document: Document) -> bool:
    """A list of items, ``{input, output}`` with items, or lines of either."""
    return any(_is_item(node) or _is_list(node) or _is_body(node) for node in document.samples)


def _is_item(node: Node) -> bool:
    kind = node.at("type").value
    if kind == "message":
        parts = node.at("content").items
        return isinstance(node.at("role").value, str) and any(
            part.at("type").value in ("input_text", "output_text") for part in parts
        )
    return isinstance(kind, str) and kind in _ITEMS and not node.has("role")


def _is_list(node: Node) -> bool:
    return any(map(_is_item, node.items[:20]))


def _is_body(node: Node) -> bool:
    if is_piece(node):
        return False
    request, response = _bodies(node)
    if node.has("items") or node.has("messages") or request.has("messages"):
        return False
    return response.at("object").value == "response" or _is_list(response.at("output")) or _is_list(request.at("input"))


def read_responses(document: Document) -> list[Recording]:
    """The conversations: one for a list of items; responses that continue one another are one, too."""
    entries = document.entries
    log = RequestLog(document=document, format=FORMAT)
    if any(map(_is_item, document.samples)):
        return log.read_messages(entries)
    chains = _Chains()
    return log.read(
        entries,
        lambda entry: Request(place=entry, messages=said(entry.items)) if entry.items else _request(entry, chains),
    )


@dataclass
class _Chains:
    """Which conversation a response belongs to, by the response that came before it."""

    by_response: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, response: str | None, before: str | None) -> str | None:
        """The id of the conversation: that of its first response."""
        if response is None:
            return before and self.by_response.get(before)
        found = self.by_response.get(before or "", before or response)
        self.by_response[response] = found
        return found


def _request(entry: Node, chains: _Chains) -> Request:
    request, response = _bodies(entry)
    asked, output = request.at("input"), response.at("output")
    sent = asked.items
    if isinstance(asked.value, str):
        sent = [asked.holding({"role": "user", "content": asked.value})]
    answer = output.items
    if not answer and isinstance(response.at("output_text").value, str):
        answer = [response.holding({"role": "assistant", "content": response.at("output_text").value})]
    failed = response.at("error").value or response.at("status").value == "failed"
    if not answer and failed:
        raise no_answer(entry, response)
    if not answer and not sent:
        raise entry.wrong("a response with input and output")
    facts = spoken_of(entry, response)
    answered: list[Said] = [
        (node, facts if number == 0 else chat.spoken_of(node)) for number, node in enumerate(answer)
    ]
    about = response.at("conversation", "conversation_id")
    shared = about.at("id").word() if about.fields else about.word()
    before = response.at("previous_response_id").word() or request.at("previous_response_id").word()
    chain = chains.of(response.at("id").word(), before) if before or response.has("id") else None
    return Request(
        place=entry,
        messages=[*said(sent), *answered],
        answers=len(answered),
        id=conversation_id(entry, request) or shared or chain,
        user=user_id(entry, request),
        model=response.at("model").word() or request.at("model").word(),
        prompts=[word for node in (request, response) if isinstance(word := node.at("instructions").value, str)][:1],
    )


def _bodies(entry: Node) -> tuple[Node, Node]:
    request, response = entry.at("request", "request_body", "body"), entry.at("response", "response_body")
    return body_of(entry, request, "body"), body_of(entry, response, "body")


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="items or responses of the OpenAI Responses API, or of its Agents SDK",
    matches=is_responses,
    read=read_responses,
    rank=76,
    reports_tool_calls=True,
    aliases=("openai",),
)
