"""Trajectories of tau-bench (a list of results with ``traj``) and simulations of tau2-bench.

In tau2-bench the simulated user has tools too. Those calls are none of the agent's: they are kept as notes.
"""

from __future__ import annotations

import re
from typing import Any

from duologue.journal.notes import UnknownNote
from duologue.transcripts.builder import RecordingBuilder
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "tau_bench"

_USER_TOOL = "user_tool"

_ENDINGS = {"STOP": "goal_reached", "TRANSFER": "transferred", "OUT-OF-SCOPE": "gave_up"}
_ENDING = re.compile(r"###(STOP|TRANSFER|OUT-OF-SCOPE)###")


def is_tau(document: Document) -> bool:
    """Results with a trajectory, or simulations."""
    first = document.first
    graded = first.has("messages") and (first.has("reward") or first.has("reward_info"))
    return graded or first.at("traj", "trajectory").value is not None or _simulations(document) is not None


def _simulations(document: Document) -> Node | None:
    found = document.root.at("simulations")
    return found if isinstance(found.value, list) else None


def read_tau(document: Document) -> list[Recording]:
    """One recording for each result."""
    simulations = _simulations(document)
    if simulations is None:
        return [_result(document, node, index) for index, node in enumerate(document.entries)]
    tasks = {task.at("id").word(): task for task in document.root.at("tasks").items}
    about = document.root.at("info")
    return [_simulation(document, node, index, about, tasks) for index, node in enumerate(simulations.items)]


def _result(document: Document, node: Node, index: int) -> Recording:
    if node.has("termination_reason"):
        return _simulation(document, node, index, Node(None, node.file), {})
    builder = RecordingBuilder(place=node)
    for message in node.at("traj", "trajectory", "messages").each("a list of messages"):
        add(builder, message)
    info = node.at("info")
    builder.charge(info.at("user_cost").amount(), "unknown", user=True)
    builder.charge(node.at("total_cost").amount(), "unknown")
    task, trial = node.at("task_id").word(), node.at("trial").word()
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        name=_name(document, task, trial, index),
        description=info.at("task").at("instruction").word() or "",
        metadata=_facts(node, "task_id", "trial", "reward"),
    )


def _simulation(document: Document, node: Node, index: int, about: Node, tasks: dict[str | None, Node]) -> Recording:
    builder = RecordingBuilder(place=node, model=about.at("agent_info").at("llm").word())
    builder.prompt(about.at("environment_info").at("policy").word() or "")
    for message in node.at("messages").each("a list of messages"):
        add(builder, message)
    if all(message.at("cost").value is None for message in node.at("messages").items):
        builder.charge(node.at("agent_cost").amount(), builder.model or "unknown")
        builder.charge(node.at("user_cost").amount(), about.at("user_info").at("llm").word() or "unknown", user=True)
    task = node.at("task_id").word()
    facts = _facts(node, "task_id", "trial", "termination_reason", "duration")
    reward = node.at("reward_info").at("reward").number()
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        session_id=node.at("id").word(),
        name=_name(document, task, node.at("trial").word(), index),
        description=_situation(tasks.get(task)),
        metadata=facts if reward is None else {**facts, "reward": reward},
    )


def add(builder: RecordingBuilder, node: Node) -> None:
    """A message of either benchmark."""
    inner = node.at("tool_messages")
    if inner.value is not None:
        for message in inner.each("a list of tool messages"):
            add(builder, message)
        return
    role = node.at("role").text("user, assistant, tool or system")
    if role == "tool" and node.at("requestor").value == "user":
        result = chat.answer_text(node.at("content"))
        data = {"result": result, "error": bool(node.at("error").value)}
        builder.note(UnknownNote(kind=_USER_TOOL, data=data))
    elif role == "user":
        _add_user(builder, node)
    else:
        chat.add(builder, node)


def _add_user(builder: RecordingBuilder, node: Node) -> None:
    for call in chat.calls_of(node):
        builder.note(UnknownNote(kind=_USER_TOOL, data={"name": call.name, "arguments": call.arguments}))
    content = chat.content_of(node)
    spoken = chat.spoken_of(node)
    ending = _ENDING.search(content) if isinstance(content, str) else None
    if ending and isinstance(content, str):
        content = _ENDING.sub("", content).strip()
    if content:
        builder.say_as_user(content, spoken)
    elif spoken.cost is not None:
        builder.charge(spoken.cost, spoken.model or "unknown", user=True)
    if ending:
        builder.end_of_user(_ENDINGS[ending[1]])


def _facts(node: Node, *names: str) -> dict[str, Any]:
    return {name: value for name in names if isinstance(value := node.at(name).value, (str, int, float))}


def _name(document: Document, task: str | None, trial: str | None, index: int) -> str:
    stem = document.path.name.split(".")[0]
    if task is None:
        return f"{stem} {index}" if index else stem
    return f"task {task}, trial {trial}" if trial is not None else f"task {task}"


def _situation(task: Node | None) -> str:
    """What the simulated user was told, as one text."""
    if task is None:
        return ""
    told = task.at("user_scenario").at("instructions")
    if isinstance(told.value, str):
        return told.value
    wanted = ("reason_for_call", "known_info", "unknown_info", "task_instructions")
    return "\n".join(text for key in wanted if isinstance(text := told.at(key).value, str))


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="results of tau-bench ({traj, reward}) or tau2-bench ({simulations})",
    matches=is_tau,
    read=read_tau,
    rank=70,
)
