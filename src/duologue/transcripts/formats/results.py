"""Our own results: the JSON file of one run. It has the conversation at its end, without what was rolled back."""

from __future__ import annotations

from duologue.journal.notes import GuardrailApplied, Note, WorkflowEntered, WorkflowMoved
from duologue.transcripts.builder import MAX_MESSAGES, MessageFacts, RecordingBuilder
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "result"


def is_result(document: Document) -> bool:
    """``{run_id, messages: [{message, turn}]}``."""
    messages = document.root.at("messages").items
    return document.root.has("run_id", "messages") and all(item.has("message") for item in messages)


def read_result_file(document: Document) -> list[Recording]:
    """The conversation of a run."""
    root = document.root
    case = root.at("case")
    builder = RecordingBuilder(
        place=root, agent=_agent(root), user=_author(root, "user") or "user", explicit_turns=True
    )
    for prompt in root.at("system_prompts").items:
        builder.prompt(prompt.text())
    _note_first_state(builder, root.at("workflow"))
    failures = _failures(root)
    notes = _Notes(root)
    for node in root.at("messages").each("a list of messages"):
        turn = _turn(node)
        notes.until(builder, turn)
        builder.turn_to(turn)
        _add(builder, node, failures)
    notes.until(builder, MAX_MESSAGES + 1)
    facts = {
        name: value for name in ("status", "verdict", "termination") if isinstance(value := root.at(name).value, str)
    }
    recording = builder.finish(
        document.path,
        FORMAT,
        session_id=root.at("run_id").word(),
        name=case.at("scenario").word() or document.path.name.split(".")[0],
        description=root.at("description").word() or "",
        metadata={"run_id": root.at("run_id").word(), **facts},
    )
    return [recording]


def _agent(root: Node) -> str:
    """The name of who answered; the journal knows it by that name, too."""
    return _author(root, "assistant") or root.at("case").at("agent").word() or "agent"


def _author(root: Node, role: str) -> str | None:
    """Who wrote the first message of that role that somebody wrote."""
    nodes = [node for node in root.at("messages").items if node.at("message").at("role").value == role]
    return next((name for node in nodes if (name := node.at("author").word())), None)


def _turn(node: Node) -> int:
    turn = node.at("turn").count()
    if turn > MAX_MESSAGES:
        raise node.at("turn").wrong(f"a turn of at most {MAX_MESSAGES}")
    return turn


def _failures(root: Node) -> dict[str | None, str | None]:
    """Why calls failed, by their id."""
    return {node.at("call_id").word(): node.at("error").word() for node in root.at("tools").items}


def _add(builder: RecordingBuilder, node: Node, failures: dict[str | None, str | None]) -> None:
    message, spent = node.at("message"), node.at("spent")
    spoken = MessageFacts(
        seconds=spent.at("seconds").amount(),
        usage=chat.usage_of(spent.at("usage")),
        cost=spent.at("cost").amount() if not spent.at("unpriced").count() else None,
        model=node.at("model").word(),
    )
    call_id = message.at("tool_call_id").word()
    if message.at("role").value == "tool":
        content = chat.answer_text(message.at("content"))
        name = message.at("name").word()
        builder.answer_call(call_id, content, spoken, name=name, error=failures.get(call_id))
    else:
        chat.add(builder, message, spoken)


def _note_first_state(builder: RecordingBuilder, workflow: Node) -> None:
    if workflow.value is None:
        return
    first = workflow.at("transitions").items[:1]
    state = first[0].at("from") if first else workflow.at("state")
    ends = not first and workflow.at("complete").value is True
    builder.note(WorkflowEntered(state=state.word() or "", terminal=ends))


class _Notes:
    """What was noted of workflow and guardrails, turn by turn."""

    def __init__(self, root: Node) -> None:
        workflow = root.at("workflow")
        changes = workflow.at("transitions").items
        self._waiting: list[tuple[int, Note]] = []
        for number, change in enumerate(changes, 1):
            moved = WorkflowMoved(
                origin=change.at("from").word() or "",
                target=change.at("to").word() or "",
                event=change.at("event").word() or "",
                terminal=number == len(changes) and workflow.at("complete").value is True,
            )
            self._waiting.append((change.at("turn").count(), moved))
        for item in root.at("guardrails").items:
            kind = item.at("type").word() or ""
            applied = GuardrailApplied(
                type=kind,
                check=kind,
                direction=item.at("direction").word() or "output",
                passed=item.at("passed").value is True,
                explanation=item.at("explanation").word() or "",
            )
            self._waiting.append((item.at("turn").count(), applied))
        self._waiting.sort(key=lambda item: item[0])

    def until(self, builder: RecordingBuilder, turn: int) -> None:
        """Put down what was noted before this turn."""
        while self._waiting and self._waiting[0][0] < turn:
            builder.note(self._waiting.pop(0)[1])


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="the result of a run of Duologue (runs/….json)",
    matches=is_result,
    read=read_result_file,
    rank=20,
    aliases=("journal",),
)
