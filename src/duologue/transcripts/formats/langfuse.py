"""Traces and observations of Langfuse, and rows of ``input`` and ``output`` as other tracing tools export them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import exchange_in
from duologue.transcripts.formats.request_log import (
    Request,
    RequestLog,
    Said,
    conversation_id,
    no_answer,
    said,
    user_id,
)
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "langfuse"

_OTHERS = ("messages", "choices", "instruction", "run_type", "turns", "eval_cases", "actual_output", "request")
_FACTS = (
    "name",
    "userId",
    "environment",
    "release",
    "version",
    "level",
    "statusMessage",
    "totalCost",
    "latency",
    "score",
)


def is_langfuse(document: Document) -> bool:
    """Rows with ``input`` and ``output``."""
    return any(map(_is_row, document.samples))


def _is_row(node: Node) -> bool:
    if not node.has("input", "output") or any(map(node.has, _OTHERS)):
        return False
    if node.at("object").value == "response" or node.at("output").at("object").value == "response":
        return False
    items = [*node.at("input").items[:20], *node.at("output").items[:20]]
    return not any(_is_item(item) for item in items) or node.has("traceId") or node.has("projectId")


def _is_item(node: Node) -> bool:
    """Whether this is an item of the Responses API."""
    return node.at("type").value in ("message", "function_call", "function_call_output", "reasoning")


def read_langfuse(document: Document) -> list[Recording]:
    """One recording for each trace, or for all traces of a session."""
    return RequestLog(document=document, format=FORMAT).read(_in_order(document.entries), _request)


def _in_order(entries: list[Node]) -> list[Node]:
    """Traces of sessions by time: the API lists the newest first."""
    if not all(isinstance(node.at("sessionId").value, str) for node in entries if node.value is not None):
        return entries
    times = [Node(node.at("timestamp", "startTime", "createdAt").value, "").moment() for node in entries]
    known = [at for at in times if at is not None]
    return (
        [node for _, node in sorted(zip(known, entries, strict=True), key=lambda item: item[0])]
        if len(known) == len(entries)
        else entries
    )


def _request(entry: Node) -> Request:
    entry.mapping("a trace with input and output")
    place = _generation(entry) or entry
    nodes, answers = exchange_in(place.at("input"), place.at("output"))
    if not answers:
        if entry.at("level").value == "ERROR" or entry.at("error", "statusMessage").value:
            raise no_answer(entry, entry.at("error", "statusMessage"))
        if place.at("output").value is None:
            raise no_answer(entry, entry.holding("the output is empty"))
        raise place.at("output").wrong("the agent's answer: a message, a text, or a response with choices")
    facts = MessageFacts(
        at=place.at("endTime", "timestamp", "startTime", "created_at").moment(),
        seconds=place.at("latency").amount(),
        usage=chat.usage_of(place.at("usage", "usageDetails", "metrics")),
        cost=place.at("calculatedTotalCost", "totalCost", "cost").amount(),
        model=place.at("model").word(),
    )
    return Request(
        place=entry,
        messages=with_facts(nodes, answers, facts),
        answers=answers,
        id=conversation_id(entry) or entry.at("session").at("id").word(),
        user=user_id(entry),
        model=place.at("model").word(),
        name=None if conversation_id(entry) else entry.at("id").word(),
        metadata=_facts(entry),
        shows_calls=place.at("type").value == "GENERATION" and not isinstance(place.at("input").value, str),
    )


def with_facts(nodes: Sequence[Node], answers: int, facts: MessageFacts) -> list[Said]:
    """The messages, with what is known of the answer put down to its first message."""
    found = said(nodes)
    if answers and found[-answers][1] == MessageFacts():
        found[-answers] = (found[-answers][0], facts)
    return found


def _generation(entry: Node) -> Node | None:
    """The last call of a model in a trace: its input holds what was said and done before."""
    calls = [node for node in entry.at("observations").items if node.at("type").value == "GENERATION"]
    calls = [node for node in calls if exchange_in(node.at("input"), node.at("output"))[1]]
    return max(calls, key=lambda node: str(node.at("startTime", "start_time").value or ""), default=None)


def _facts(entry: Node) -> dict[str, Any]:
    scores = {
        name: item.at("value", "stringValue").value
        for item in entry.at("scores").items
        if (name := item.at("name").word()) and isinstance(item.at("value", "stringValue").value, (str, int, float))
    }
    return {**entry.scalars(*_FACTS), **({"scores": scores} if scores else {})}


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="traces of Langfuse, or rows of {input, output} of another tracing tool",
    matches=is_langfuse,
    read=read_langfuse,
    rank=77,
    aliases=("openai",),
)
