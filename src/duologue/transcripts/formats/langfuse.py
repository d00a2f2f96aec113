"""Traces and observations of Langfuse, and rows of ``input`` and ``output`` as other tracing tools export them."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answered_in, exchange_in, tool_use, with_tools, words_of
from duologue.transcripts.formats.request_log import (
    Request,
    RequestLog,
    conversation_id,
    no_answer,
    user_id,
    with_facts,
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
    return RequestLog(document=document, format=FORMAT).read(document.entries, _request)


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
    nodes, answers = with_tools(nodes, answers, _tools(entry))
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


def _generation(entry: Node) -> Node | None:
    """The call of a model that gave the answer of a trace: its input holds what was said and done before.

    Traces hold calls for other purposes too, such as a title. Where none gave that answer, the trace itself is used.
    """
    calls = [node for node in entry.at("observations").items if node.at("type").value == "GENERATION"]
    calls = [node for node in calls if exchange_in(node.at("input"), node.at("output"))[1]]
    calls.sort(key=lambda node: str(node.at("startTime", "start_time").value or ""))
    answered = " ".join(map(words_of, answered_in(entry.at("output"))))
    giving = [node for node in calls if _gives(node, answered)]
    return giving[-1] if giving else calls[-1] if calls and not answered else None


def _gives(call: Node, answered: str) -> bool:
    said = " ".join(map(words_of, answered_in(call.at("output")))).strip()
    return bool(said and answered.strip()) and (said in answered or answered in said)


def _tools(entry: Node) -> list[Node]:
    """The uses of tools in a trace."""
    used = [node for node in entry.at("observations").items if node.at("type").value == "TOOL"]
    used.sort(key=lambda node: str(node.at("startTime", "start_time").value or ""))
    return [
        message
        for number, node in enumerate(used, 1)
        for message in tool_use(node, number, node.at("name").word(), node.at("input"), node.at("output"))
    ]


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
