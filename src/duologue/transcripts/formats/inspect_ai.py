"""Logs of Inspect: ``.eval`` archives, and the same as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from duologue.transcripts.builder import RecordingBuilder, nothing_said, recordings_of
from duologue.transcripts.documents import Document, Node, with_remarks
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answered_in, asked_in
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "inspect_ai"

_HEADERS = ("header.json", "_journal/start.json")
_ATTACHED = "attachment://"


def is_inspect(document: Document) -> bool:
    """An archive with a header and samples, or ``{eval, samples}``."""
    if document.members:
        return any(name in document.members for name in _HEADERS)
    return document.root.at("eval").has("task") and document.root.has("version")


def read_inspect(document: Document) -> list[Recording]:
    """One recording for each sample and epoch."""
    members = document.members
    header = next((members[name] for name in _HEADERS if name in members), document.root)
    samples = [node for name, node in sorted(members.items(), key=lambda item: _order(item[0])) if "samples/" in name]
    entries = [with_remarks(node) for node in (samples if members else document.root.at("samples").items)]
    if not entries:
        raise document.root.problem("this log of Inspect has no samples; was the evaluation interrupted?")
    return recordings_of(document, FORMAT, lambda node, index: _sample(document, header, node, index), entries)


def _order(name: str) -> tuple[int, str]:
    """Samples by their number where they have one."""
    word = name.rsplit("/", 1)[-1].partition("_")[0]
    return (int(word) if word.isdecimal() and len(word) < 10 else 0, name)


def _sample(document: Document, header: Node, sample: Node, index: int) -> Recording:
    about = header.at("eval")
    attached = sample.at("attachments").fields
    builder = RecordingBuilder(
        place=sample,
        agent=about.at("solver").word() or about.at("model").word() or "agent",
        model=about.at("model").word(),
    )
    for node in sample.at("messages").each_or_none("a list of messages") or [
        *asked_in(sample.at("input")),
        *_output(sample),
    ]:
        chat.add(builder, _message(node.holding(_resolved(node.value, attached))))
    if not builder.has_messages:
        raise nothing_said(sample, "sample", sample.at("error").at("message").word())
    usage = chat.usage_of(sample.at("output").at("usage"))
    name, epoch = sample.at("id").word() or str(index), sample.at("epoch").word()
    epochs = header.at("eval").at("config").at("epochs").number() or 1
    facts = {**about.scalars("task", "run_id"), **sample.scalars("id", "epoch", "target", "total_time")}
    scores = {key: sample.at("scores").at(key).at("value").value for key in sample.at("scores").fields}
    facts |= {"scores": scores} if scores else {}
    facts |= {"output_tokens": usage.output_tokens} if usage else {}
    if error := sample.at("error").at("message").word():
        facts["error"] = error
    if limit := sample.at("limit").at("type").word():
        facts["limit"] = limit
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        name=f"sample {name}, epoch {epoch}" if epochs > 1 and epoch else f"sample {name}",
        session_id=sample.at("uuid").word(),
        metadata=facts,
    )


def _output(sample: Node) -> list[Node]:
    """The answer, for logs without messages."""
    return answered_in(sample.at("output")) if sample.at("output").at("choices").items else []


def _message(node: Node) -> Node:
    """A message, with the names of tools where chat messages have them: Inspect writes them in ``function``."""
    fields = dict(node.fields)
    if calls := node.at("tool_calls").items:
        fields["tool_calls"] = [_call(call) for call in calls]
    if isinstance(node.at("error").value, dict):  # of a tool
        fields["error"] = node.at("error").at("message").value or True
    if isinstance(node.at("function").value, str):
        fields["name"] = fields.pop("function")
    return node.holding(fields)


def _call(call: Node) -> Any:
    if not isinstance(call.at("function").value, str):
        return call.value
    arguments = call.at("arguments").value
    return {"id": call.at("id").value, "name": call.at("function").value, "arguments": arguments}


def _resolved(value: Any, attached: Mapping[str, Any]) -> Any:
    """The value with long texts that are kept apart put in their places."""
    if isinstance(value, str) and value.startswith(_ATTACHED):
        found = attached.get(value.removeprefix(_ATTACHED))
        return found if isinstance(found, str) else value
    if isinstance(value, dict):
        return {key: _resolved(item, attached) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_resolved(item, attached) for item in cast("list[Any]", value)]
    return value


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="logs of Inspect: .eval archives or {eval, samples}",
    matches=is_inspect,
    read=read_inspect,
    rank=15,
    reports_tool_calls=True,
)
