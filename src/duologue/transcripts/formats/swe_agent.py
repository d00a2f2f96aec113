"""Trajectories of SWE-agent (``.traj``): each step has a thought, an action and what was observed."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import RecordingBuilder, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "swe_agent"

_TOOL = "bash"
"""What the actions are put down to: they are lines for a shell."""


def is_swe_agent(document: Document) -> bool:
    """``{trajectory: [{action, observation}]}``."""
    return any(_is_step(step) for node in document.samples for step in node.at("trajectory").items[:3])


def _is_step(node: Node) -> bool:
    return node.has("action") and (node.has("observation") or node.has("response"))


def read_swe_agent(document: Document) -> list[Recording]:
    """One recording for each trajectory."""
    return recordings_of(document, FORMAT, lambda node, index: _trajectory(document, node, index))


def _trajectory(document: Document, node: Node, index: int) -> Recording:
    info = node.at("info")
    builder = RecordingBuilder(place=node, agent="SWE-agent", model=info.at("model_stats").at("model").word())
    for message in node.at("history").items:
        if message.at("role").value == "assistant" or message.at("message_type").value == "observation":
            break
        if message.at("is_demo").value is not True:
            chat.add(
                builder, message.holding({"role": message.at("role").value, "content": message.at("content").value})
            )
    for number, step in enumerate(node.at("trajectory").each("a list of steps"), 1):
        _add_step(builder, step, f"step_{number}")
    stats = info.at("model_stats")
    builder.charge(stats.at("instance_cost", "total_cost").amount(), builder.model or "unknown")
    facts: dict[str, Any] = {**info.scalars("exit_status"), **node.scalars("environment")}
    return builder.finish(document.path, FORMAT, index=index, metadata=facts)


def _add_step(builder: RecordingBuilder, step: Node, call_id: str) -> None:
    action = "\n".join(_lines(step.at("action")))
    thought = step.at("thought", "response").word()
    spoken = step.at("execution_time").amount()
    calls = [{"id": call_id, "type": "function", "function": {"name": _TOOL, "arguments": {"command": action.strip()}}}]
    fields: dict[str, Any] = {"role": "assistant", "content": thought}
    chat.add(builder, step.holding({**fields, "tool_calls": calls if action.strip() else None}))
    if action.strip():
        seconds = {} if spoken is None else {"latency_ms": spoken * 1000}
        observed = "\n".join(_lines(step.at("observation")))
        chat.add(builder, step.holding({"role": "tool", "tool_call_id": call_id, "content": observed, **seconds}))


def _lines(node: Node) -> list[str]:
    """A text, or several."""
    return [word for item in node.items or [node] if (word := item.word())]


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="trajectories of SWE-agent: {trajectory: [{action, observation}]}",
    matches=is_swe_agent,
    read=read_swe_agent,
    rank=69,
    reports_tool_calls=True,
)
