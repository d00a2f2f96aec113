"""Runs of LangSmith: ``{run_type, inputs, outputs}``, and examples of its data sets."""

from __future__ import annotations

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import exchange_in
from duologue.transcripts.formats.langfuse import with_facts
from duologue.transcripts.formats.request_log import Request, RequestLog, conversation_id, no_answer
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "langsmith"

_OF_MODELS = ("messages", "generations", "choices")
"""Outputs that are whole messages of a model, with their tool calls; a text alone may have come of any."""
_FACTS = ("name", "run_type", "status", "error", "total_cost", "session_name", "dataset_id")


def is_langsmith(document: Document) -> bool:
    """Rows with ``inputs`` and ``outputs``."""
    return any(node.at("inputs").value is not None and node.has("outputs") for node in document.samples)


def read_langsmith(document: Document) -> list[Recording]:
    """One recording for each root run, or for all runs of a thread. What runs within it did is part of it."""
    log = RequestLog(document=document, format=FORMAT)
    ids = {word for node in document.entries if (word := node.at("id").word())}
    roots = (entry for entry in document.entries if entry.at("parent_run_id").word() not in ids)
    return log.read(roots, _request)


def _request(entry: Node) -> Request:
    nodes, answers = exchange_in(entry.at("inputs"), entry.at("outputs"))
    if not answers:
        if entry.at("error").value or not entry.at("outputs").value:
            raise no_answer(entry, entry.at("error"))
        raise entry.at("outputs").wrong("the agent's answer: messages, a text, choices or generations")
    began, ended = entry.at("start_time").moment(), entry.at("end_time").moment()
    about = entry.at("extra").at("metadata")
    model = (
        about.at("ls_model_name").word() or entry.at("extra").at("invocation_params").at("model", "model_name").word()
    )
    facts = MessageFacts(
        at=ended,
        seconds=ended - began if began is not None and ended is not None and ended >= began else None,
        usage=chat.usage_of(entry),
        cost=entry.at("total_cost").amount(),
        model=model,
    )
    thread = conversation_id(entry, about)
    return Request(
        place=entry,
        messages=with_facts(nodes, answers, facts),
        answers=answers,
        id=thread,
        model=model,
        name=None if thread else entry.at("id").word(),
        metadata={**entry.scalars(*_FACTS), **_feedback(entry)},
        shows_calls=entry.at("run_type").value == "llm"
        or any(entry.at("outputs").at(name).items for name in _OF_MODELS),
    )


def _feedback(entry: Node) -> dict[str, object]:
    scores = {name: node.fields.get("avg") for name, node in _stats(entry) if node.fields.get("avg") is not None}
    return {"scores": scores} if scores else {}


def _stats(entry: Node) -> list[tuple[str, Node]]:
    stats = entry.at("feedback_stats")
    return [(name, stats.at(name)) for name in stats.fields]


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="runs of LangSmith: {run_type, inputs, outputs}",
    matches=is_langsmith,
    read=read_langsmith,
    rank=35,
)
