"""What can be noted in a journal beside the events of the engine: one frozen type and one literal for each kind.

A note is for facts that decide or explain something and that only some runs have: workflow states, guardrails, attacks,
injected faults. Packages add their own kinds: subclass :class:`Note` with a ``kind`` of your own and name the class
under the entry point group ``duologue.notes``, with the kind as the entry's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from functools import cache
from typing import Any, ClassVar, cast, dataclass_transform

from pydantic import TypeAdapter

from duologue.config.entry_points import load_registered
from duologue.errors import ConfigurationError
from duologue.frozen import frozen

ENTRY_POINTS = "duologue.notes"

_TYPES: dict[str, type[Note]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Note:
    """Base of all notes. A subclass is a frozen dataclass of plain JSON data, registered under its ``kind``."""

    __slots__ = ()

    kind: ClassVar[str] = ""
    """The literal that tells this kind from the others in journals."""

    def __init_subclass__(cls) -> None:
        if not cls.kind:
            return
        known = _TYPES.setdefault(cls.kind, cls)
        if known.__qualname__ != cls.__qualname__:
            raise ConfigurationError(f"the note kind '{cls.kind}' is registered already, by {known.__qualname__}")
        _TYPES[cls.kind] = cls


@frozen
class UnknownNote(Note):
    """A note of a kind that this process has no type for, kept as it was found."""

    kind: str  # pyright: ignore[reportIncompatibleVariableOverride] - of the note that was found, not of the class
    data: dict[str, Any] = field(default_factory=dict[str, Any])


@frozen
class SimulatedUser(Note):
    """Which persona and simulator speak as the user in this turn of a suite."""

    kind: ClassVar[str] = "simulated_user"

    persona: str | None = None
    simulator: str | None = None


@frozen
class UserInDoubt(Note):
    """A simulated user said something, asked twice, that its model may have said out of the part."""

    kind: ClassVar[str] = "user.in_doubt"

    participant: str
    problem: str
    text: str


@frozen
class PromptUsed(Note):
    """The system prompt that a native agent was given from here on."""

    kind: ClassVar[str] = "prompt"

    text: str
    task: str | None = None


@frozen
class ToolCallsReported(Note):
    """An agent answered in a form that shows whole turns: had it called a tool, the conversation would show that."""

    kind: ClassVar[str] = "tool_calls.reported"

    participant: str
    index: int | None = None
    """Of the agent among the participants, of whom several may have that name; older journals do not have it."""


@frozen
class AgentThread(Note):
    """The id under which an agent said that it keeps the conversation, for the next request."""

    kind: ClassVar[str] = "agent.thread"

    participant: str
    thread: str
    index: int | None = None
    """Of the agent among the participants, of whom several may have that name."""


@frozen
class AgentRetried(Note):
    """An agent was busy, and was sent the same request again ``seconds`` later."""

    kind: ClassVar[str] = "agent.retried"

    participant: str
    status: int
    seconds: float


@frozen
class ConversationHeld(Note):
    """An agent has held the whole conversation by itself. ``seconds`` that it took, by the ids of its messages."""

    kind: ClassVar[str] = "conversation.held"

    seconds: dict[str, float] = field(default_factory=dict[str, float])


@frozen
class RuntimeReported(Note):
    """What a runtime says of a test case beside its transcript: ids of calls, addresses of recordings, and the like.

    ``estimated`` names whose usage is an estimate: ``agent``, ``platform``.
    """

    kind: ClassVar[str] = "runtime"

    runtime: str
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    estimated: tuple[str, ...] = ()


@frozen
class TurnUnfinished(Note):
    """What a native agent had said and called when its turn failed."""

    kind: ClassVar[str] = "turn.unfinished"

    messages: tuple[dict[str, Any], ...] = ()


@frozen
class NotInterrupted(Note):
    """The agent had finished before the script's ``interrupt`` came to its turn: nothing was cut off."""

    kind: ClassVar[str] = "not_interrupted"

    after_words: int
    words: int


@frozen
class WorkflowEntered(Note):
    """The state in which a workflow begins."""

    kind: ClassVar[str] = "workflow.state"

    state: str
    terminal: bool = False


@frozen
class WorkflowMoved(Note):
    """A workflow went from state ``origin`` to state ``target``, as the tool call ``call_id`` asked for."""

    kind: ClassVar[str] = "workflow.transition"

    origin: str
    target: str
    event: str = ""
    terminal: bool = False
    context: str = ""
    call_id: str = ""


@frozen
class GuardrailApplied(Note):
    """What a guardrail said of a message.

    ``type`` is the guardrail as it was written, ``check`` the type of the check behind it.
    """

    kind: ClassVar[str] = "guardrail"

    type: str
    passed: bool
    direction: str = "output"
    check: str = ""
    explanation: str = ""


@frozen
class FaultInjected(Note):
    """A tool call was disturbed on purpose. ``probability`` is the chance of that, from 0 to 1."""

    kind: ClassVar[str] = "chaos"

    tool: str
    mode: str
    call_id: str = ""
    probability: float = 1.0


@frozen
class ConsentGiven(Note):
    """What the user answered when a tool asked for consent; ``assumed`` where the scenario does not say."""

    kind: ClassVar[str] = "consent"

    tool: str
    answer: str
    call_id: str = ""
    assumed: bool = False
    question: str | None = None


@frozen
class AttackNote(Note):
    """Base of what an attacker notes. ``participant`` is the attacker's index."""

    participant: int | None = None


@frozen
class AttackPlanned(AttackNote):
    """The attacker has made a plan."""

    kind: ClassVar[str] = "red_team.plan"

    plan: str
    model: str = ""


@frozen
class AttackAttempted(AttackNote):
    """The attacker wrote a message. ``turn`` counts the turns of the attack from 1."""

    kind: ClassVar[str] = "red_team.attempt"

    turn: int
    text: str
    raw: str = ""
    scripted: bool = False
    phase: str = ""
    observation: str = ""
    reasoning: str = ""
    techniques: tuple[str, ...] = ()
    parse_failed: bool = False
    attacker_refused: bool = False


@frozen
class AttackInjected(AttackNote):
    """A technique changed the form of the message."""

    kind: ClassVar[str] = "red_team.injection"

    turn: int
    technique: str
    sent: str


@frozen
class AttackReplied(AttackNote):
    """The agent answered. ``tool_calls`` are its tool calls as text; ``refusal`` is what its words show."""

    kind: ClassVar[str] = "red_team.reply"

    turn: int
    reply: str
    refusal: str
    tool_calls: tuple[str, ...] = ()


@frozen
class AttackScored(AttackNote):
    """The reply was scored from 0 to 10."""

    kind: ClassVar[str] = "red_team.score"

    turn: int
    score: int | None = None
    scored_by: str = ""
    hint: str = ""
    problem: str = ""
    refused: bool = False


@frozen
class AttackTakenBack(AttackNote):
    """An exchange was taken out of the conversation."""

    kind: ClassVar[str] = "red_team.backtrack"

    turn: int
    refusal: str | None = None
    removed: int = 0
    remaining: int = 0


@frozen
class AttackSucceeded(AttackNote):
    """The attack reached its goal: ``score`` is at least ``success_score``."""

    kind: ClassVar[str] = "attack_succeeded"

    turn: int
    score: int | None = None
    success_score: int | None = None


def note_from_data(value: object) -> Note:
    """The note that :func:`note_to_data` wrote; an :class:`UnknownNote` where its kind is not known here.

    Raises:
        ValueError: it has no kind, or its fields do not fit its kind.
    """
    if isinstance(value, Note):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}, expected an object with a 'kind'")
    data = dict(cast("dict[str, Any]", value))
    kind = data.pop("kind", None)
    if not isinstance(kind, str) or not kind:
        raise ValueError("a note needs a 'kind'")
    return make_note(kind, data)


def make_note(kind: str, data: Mapping[str, Any]) -> Note:
    """A note of that kind with these fields, under the names of today or of version 1.

    Raises:
        ValueError: the fields do not fit the kind.
    """
    found = _TYPES.get(kind) or _from_entry_points(kind)
    names = _EARLIER_NAMES.get(kind, {})
    fields = {names.get(name, name): value for name, value in data.items()}
    if found is None:
        return UnknownNote(kind=kind, data=fields)
    return _adapter(found).validate_python(fields)


_EARLIER_NAMES = {"workflow.transition": {"from": "origin", "to": "target"}, "guardrail": {"kind": "check"}}
"""What fields were called in version 1 of the journal, and still are in recordings that people write."""


def note_to_data(note: Note) -> dict[str, Any]:
    """A note as plain data, its kind first."""
    if isinstance(note, UnknownNote):
        return {"kind": note.kind, **note.data}
    values = {item.name: getattr(note, item.name) for item in fields(cast("Any", note))}
    return {"kind": note.kind, **values}


@cache
def _adapter(cls: type[Note]) -> TypeAdapter[Note]:
    return TypeAdapter(cls)


@cache
def _from_entry_points(kind: str) -> type[Note] | None:
    loaded: object = load_registered(ENTRY_POINTS, kind)
    return loaded if isinstance(loaded, type) and issubclass(loaded, Note) else None
