"""Runs of LangSmith: ``{run_type, inputs, outputs}``, and examples of its data sets."""

from __future__ import annotations

from collections.abc import Mapping

from duologue.transcripts.builder import MessageFacts
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import exchange_in, tool_use, with_tools
from duologue.transcripts.formats.request_log import Request, RequestLog, conversation_id, no_answer, with_facts
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
    entries = document.entries
    parents = {word: node.at("parent_run_id").word() for node in entries if (word := node.at("id").word())}
    roots = (entry for entry in entries if entry.at("parent_run_id").word() not in parents)
    tools: dict[str, list[Node]] = {}
    for entry in entries:
        if entry.at("run_type").value == "tool" and (root := _root(entry, parents)):
            tools.setdefault(root, []).append(entry)
    return log.read(roots, lambda entry: _request(entry, tools.get(entry.at("id").word() or "", [])))


def _root(entry: Node, parents: Mapping[str, str | None]) -> str | None:
    """The id of the run within which this one took place."""
    seen: set[str] = set()
    found = entry.at("parent_run_id").word()
    while found is not None and found not in seen and (above := parents.get(found)) in parents:
        seen.add(found)
        found = above
    return found


def _tools(used: list[Node]) -> list[Node]:
    used = sorted(used, key=lambda node: str(node.at("start_time").value or ""))
    return [
        message
        for number, node in enumerate(used, 1)
        for message in tool_use(node, number, node.at("name").word(), node.at("inputs"), _given(node))
    ]


def _given(tool: Node) -> Node:
    """What a tool answered; LangChain puts it into a field."""
    outputs = tool.at("outputs")
    return outputs.at("output") if list(outputs.fields) == ["output"] else outputs


def _request(entry: Node, tools: list[Node]) -> Request:
    nodes, answers = exchange_in(entry.at("inputs"), entry.at("outputs"))
    if not answers:
        if entry.at("error").value or not entry.at("outputs").value:
            raise no_answer(entry, entry.at("error"))
        raise entry.at("outputs").wrong("the agent's answer: messages, a text, choices or generations")
    nodes, answers = with_tools(nodes, answers, _tools(tools))
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
