"""Trajectories of tau-bench (a list of results with ``traj``) and simulations of tau2-bench.

In tau2-bench the simulated user has tools too. Those calls are none of the agent's: they are kept as notes.
"""

from __future__ import annotations

import re

from duologue.journal.notes import UnknownNote
from duologue.transcripts.builder import RecordingBuilder, nothing_said, recordings_of
from duologue.transcripts.documents import Document, Node, with_remarks
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "tau_bench"

_USER_TOOL = "user_tool"

_ENDINGS = {"STOP": "goal_reached", "TRANSFER": "transferred", "OUT-OF-SCOPE": "gave_up"}
_ENDING = re.compile(r"###(STOP|TRANSFER|OUT-OF-SCOPE)###")


def is_tau(document: Document) -> bool:
    """Results with a trajectory, or simulations."""
    return _simulations(document) is not None or any(map(_is_result, document.samples))


def _is_result(node: Node) -> bool:
    graded = isinstance(node.at("messages").value, list) and (node.has("reward") or node.has("reward_info"))
    steps = node.at("traj", "trajectory").value
    # trajectories of SWE-agent have steps with an action each
    return (
        graded
        or _is_simulation(node)
        or (isinstance(steps, list) and not node.at("traj", "trajectory").at_item(0).has("action"))
    )


def _simulations(document: Document) -> Node | None:
    found = document.root.at("simulations")
    if isinstance(found.value, list):
        return found
    # in the new layout each simulation has a file of its own
    return document.root.holding([document.root.value]) if _is_simulation(document.root) else None


def _is_simulation(node: Node) -> bool:
    has_messages = isinstance(node.at("messages", "ticks").value, list)
    return has_messages and (node.has("ticks") or node.has("task_id", "termination_reason"))


def read_tau(document: Document) -> list[Recording]:
    """One recording for each result."""
    simulations = _simulations(document)
    if simulations is None:
        return recordings_of(document, FORMAT, lambda node, index: _result(document, node, index))
    tasks = {task.at("id").word(): task for task in document.root.at("tasks").items}
    about = document.root.at("info")
    return recordings_of(
        document,
        FORMAT,
        lambda node, index: _simulation(document, node, index, about, tasks),
        [with_remarks(node) for node in simulations.items],
    )


def _result(document: Document, node: Node, index: int) -> Recording:
    if _is_simulation(node):
        return _simulation(document, node, index, Node(None, node.file), {})
    builder = RecordingBuilder(place=node)
    info = node.at("info")
    for message in node.at("traj", "trajectory", "messages").each("a list of messages"):
        add(builder, message)
    _refuse_empty(builder, node, info.at("error"))
    builder.charge(info.at("user_cost").amount(), "unknown", user=True)
    builder.charge(node.at("total_cost").amount(), "unknown")
    task, trial = node.at("task_id").word(), node.at("trial").word()
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        name=_name(document, task, trial, index),
        description=info.at("task").at("instruction").word() or "",
        metadata=node.scalars("task_id", "trial", "reward"),
    )


def _simulation(document: Document, node: Node, index: int, about: Node, tasks: dict[str | None, Node]) -> Recording:
    builder = RecordingBuilder(place=node, model=about.at("agent_info").at("llm").word())
    builder.prompt(about.at("environment_info").at("policy").word() or "")
    messages = node.at("messages").items or _from_ticks(node)
    for message in messages:
        add(builder, message)
    _refuse_empty(builder, node, node.at("error", "termination_reason"))
    if all(message.at("cost").value is None for message in messages):
        builder.charge(node.at("agent_cost").amount(), builder.model or "unknown")
        builder.charge(node.at("user_cost").amount(), about.at("user_info").at("llm").word() or "unknown", user=True)
    task = node.at("task_id").word()
    facts = node.scalars("task_id", "trial", "termination_reason", "duration")
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


def _from_ticks(node: Node) -> list[Node]:
    """The messages in the ticks of a simulation in which both sides may speak at once.

    Each tick holds a piece of what the agent and the user say. Pieces are joined while the same side goes on speaking.
    """
    found: list[Node] = []
    for tick in node.at("ticks").items:
        for side, role in (("agent", "assistant"), ("user", "user")):
            piece, calls = tick.at(f"{side}_chunk"), tick.at(f"{side}_tool_calls")
            text = _tick_text(tick, piece, role)
            last = found[-1] if found else None
            if text and last is not None and not calls.items and _is_same_speaker(last, role):
                found[-1] = last.holding({**last.fields, "content": _joined(last, piece, text)})
            elif text or calls.items:
                about = {"timestamp": piece.at("timestamp").value or tick.at("timestamp").value}
                about |= {name: piece.at(name).value for name in ("utterance_ids", "cost", "usage")}
                found.append(tick.holding({"role": role, "content": text, "tool_calls": calls.value or None, **about}))
            found.extend(
                item.holding({"role": "tool", **item.fields}) for item in tick.at(f"{side}_tool_results").items
            )
    return found


def _tick_text(tick: Node, piece: Node, role: str) -> str:
    said = tick.at("user_transcript").value if role == "user" else None
    content = piece.at("audio_script_gold").value if piece.at("is_audio").value is True else piece.at("content").value
    return next((text for text in (content, said) if isinstance(text, str) and text), "")


def _is_same_speaker(last: Node, role: str) -> bool:
    return last.at("role").value == role and not last.at("tool_calls").items


def _joined(last: Node, piece: Node, text: str) -> str:
    """Two pieces of speech, with a space between those of different utterances."""
    before, after = ({str(item.value) for item in node.at("utterance_ids").items} for node in (last, piece))
    apart = bool(before and after) and not before & after
    return f"{last.at('content').word() or ''}{' ' if apart else ''}{text}"


def _refuse_empty(builder: RecordingBuilder, node: Node, why: Node) -> None:
    if not builder.has_messages:
        raise nothing_said(node, "run", why.word() if isinstance(why.value, (str, int)) else None)


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
    reports_tool_calls=True,
)
