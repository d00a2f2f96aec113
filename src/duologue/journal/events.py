"""What can happen in a run. A run *is* the ordered list of these events.

Events are frozen and hold plain data only, so that a journal can be folded, written and read back without the objects
that took part. They are made by this package, from typed values; pydantic validates them where they are read from a
file. Ten thousand conversations hold millions of them, so each is small: it has slots, and sequences that never change
are tuples, which the garbage collector stops looking at.

``SCHEMA_VERSION`` is in the first event; see ``upgrade.py`` for reading older files.

Every call that leaves the engine has a *call id* that is unique in its run: ``c3`` for the third call of a
participant or a check, ``c3.1`` for the first model or tool that was called on its behalf. Every event names the call
that caused it in ``call``; None means that the script did it. So what caused what is read, never guessed.
"""

from dataclasses import field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, GetPydanticSchema, PlainSerializer, PlainValidator
from pydantic_core import core_schema

from duologue.config.tracebacks import cause_of, message_of, place_of, traceback_of, without_known_secrets
from duologue.frozen import frozen, maker
from duologue.journal.notes import Note, note_from_data, note_to_data
from duologue.messages import Message
from duologue.own_model import OwnModel
from duologue.vocabulary import AgentRole, CheckStatus, Decision, RunStatus, Scope, Termination, Verdict

SCHEMA_VERSION = 2

RawMessage = Annotated[Message, GetPydanticSchema(lambda _source, _handler: core_schema.dict_schema())]
"""A message as the adapter gave it: checked once on arrival, and never narrowed afterwards."""


AnyNote = Annotated[Note, PlainValidator(note_from_data), PlainSerializer(note_to_data)]
"""A note in its own type, told apart by ``kind``."""

CutReason = Literal["timeout", "interrupted", "cancelled", "error"]
"""Why a message ends before its author had finished it."""


def cut_mark(reason: CutReason) -> str:
    """What readers of a conversation see at the end of a message that was cut off: ``[cut off: timeout]``."""
    return f"[cut off: {reason}]"


_STRICT = ConfigDict(extra="forbid")


class Frozen(OwnModel):
    """Base of the values inside events."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_MOST_CAUSES = 10


@frozen(slots=True)
class Usage:
    """Tokens that a model read and wrote."""

    __pydantic_config__ = _STRICT

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return maker(Usage)(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def model_dump(self) -> dict[str, int]:
        """As plain data."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


class ErrorInfo(Frozen):
    """An exception as data: its class, its text, who it came from and what caused it.

    ``where`` is the innermost line of the user's own code, such as ``bot.py:12 in call``; ``traceback`` is the whole
    traceback, causes included, without secrets. Both are None for errors that no code of the user has a part in.
    """

    type: str
    message: str
    who: str | None = None
    turn: int | None = None
    causes: list[str] = Field(default_factory=list[str])
    where: str | None = None
    traceback: str | None = None

    @classmethod
    def of(cls, error: BaseException, turn: int | None = None) -> "ErrorInfo":
        """An exception and its causes as data."""
        causes: list[str] = []
        cause = cause_of(error)
        while cause is not None and len(causes) < _MOST_CAUSES:
            causes.append(without_known_secrets(f"{type(cause).__name__}: {message_of(cause, whole=True)}"))
            cause = cause_of(cause)
        where = place_of(error)
        who: str | None = getattr(error, "who", None)
        return cls(
            type=type(error).__name__,
            message=without_known_secrets(message_of(error, whole=True)),
            who=who,
            turn=turn,
            causes=causes,
            where=str(where) if where else None,
            traceback=traceback_of(error),
        )


@frozen(slots=True)
class ScenarioSnapshot:
    """The scenario as it was when the run began."""

    __pydantic_config__ = _STRICT

    name: str
    description: str
    script: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    max_turns: int
    set_id: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


@frozen(slots=True)
class ParticipantSnapshot:
    """One adapter as it was when the run began. Its place in the list is its index in later events."""

    __pydantic_config__ = _STRICT

    name: str
    role: AgentRole
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    reports_tool_calls: bool | None = None
    """Whether its tool calls would be seen in the conversation; None where nothing says so."""


class CriterionDecision(Frozen):
    """A judge's word on one criterion.

    ``message_ids`` are the messages that it rests on, such as ``m3``; ``reason`` is the judge's own sentence.
    """

    criterion: str
    decision: Decision
    reason: str = ""
    message_ids: list[str] = Field(default_factory=list[str])


@frozen(slots=True)
class RunStarted:
    """First event of every journal: everything that is needed to know what was run."""

    __pydantic_config__ = _STRICT

    type: Literal["run_started"] = "run_started"
    schema_version: int = SCHEMA_VERSION
    run_id: str
    thread_id: str
    batch_run_id: str | None = None
    scenario: ScenarioSnapshot
    participants: tuple[ParticipantSnapshot, ...]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    seed: int
    duologue_version: str
    attempt: int = 1
    """How often this run was started from its beginning, this time included."""
    code: dict[str, str] = field(default_factory=dict[str, str])
    """Digests of own functions and classes that decide the result, by name; nothing where that was not looked at."""


@frozen(slots=True)
class RunResumed:
    """The run continues here: the process that played it until now has ended."""

    __pydantic_config__ = _STRICT

    type: Literal["run_resumed"] = "run_resumed"


@frozen(slots=True)
class StepStarted:
    """The script moved on to its step number ``index``, counted from 0."""

    __pydantic_config__ = _STRICT

    type: Literal["step_started"] = "step_started"
    index: int
    name: str


@frozen(slots=True)
class TurnStarted:
    """A new turn was opened. The first is number 0 and is open from the beginning, without this event."""

    __pydantic_config__ = _STRICT

    type: Literal["turn_started"] = "turn_started"
    turn: int


@frozen(slots=True)
class AgentCalled:
    """An adapter was called. ``delivered`` are the ids of the messages that it was given and that left its mailbox.

    A call that ``failed`` leaves its mailbox as it was; ``error`` says how it failed. ``interrupted`` calls were
    ended by the script before the adapter had finished.
    """

    __pydantic_config__ = _STRICT

    type: Literal["agent_called"] = "agent_called"
    participant: int
    turn: int
    delivered: tuple[str, ...]
    seconds: float
    call: str = ""
    failed: bool = False
    error: ErrorInfo | None = None
    interrupted: bool = False


@frozen(slots=True)
class MessageAdded:
    """A message joined the conversation. ``author`` is None for messages that the script put in itself.

    ``stands_in_for`` is the participant whose turn the script used up with a fixed line. ``call`` is the call that made
    the message: of a model where one wrote it word for word, else of the participant. ``cut`` is set on what was said
    by an author that was cut off.
    """

    __pydantic_config__ = _STRICT

    type: Literal["message_added"] = "message_added"
    message_id: str
    message: RawMessage
    turn: int
    author: int | None = None
    stands_in_for: int | None = None
    call: str | None = None
    cut: CutReason | None = None


@frozen(slots=True)
class MessagesRolledBack:
    """Messages from ``index`` on were taken out of the conversation and of every mailbox."""

    __pydantic_config__ = _STRICT

    type: Literal["messages_rolled_back"] = "messages_rolled_back"
    index: int
    message_ids: list[str]
    call: str | None = None


@frozen(slots=True)
class UserFinished:
    """The simulated user has nothing more to say, and why; or the agent has ended the conversation."""

    __pydantic_config__ = _STRICT

    type: Literal["user_finished"] = "user_finished"
    participant: int
    turn: int
    reason: str
    explanation: str = ""
    call: str | None = None


@frozen(slots=True)
class ModelCalled:
    """A participant or a check asked a model. ``response`` is the assistant message; ``seconds`` is its latency.

    ``participant`` is None for checks; ``asker`` is a name for display.
    """

    __pydantic_config__ = _STRICT

    type: Literal["model_called"] = "model_called"
    asker: str
    turn: int
    model: str
    request_digest: str
    response: RawMessage | None = None
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float = 0.0
    attempts: int = 1
    replayed: bool = False
    error: str | None = None
    call: str = ""
    participant: int | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    logprobs: tuple[dict[str, float], ...] = ()


@frozen(slots=True)
class ToolCalled:
    """A tool was run by Duologue (not by the agent itself) and answered ``result``, or failed with ``error``.

    ``call_id`` is the id that the model gave the tool call; ``content`` is what the model was sent back.
    """

    __pydantic_config__ = _STRICT

    type: Literal["tool_called"] = "tool_called"
    name: str
    turn: int
    call_id: str
    arguments: Any = None
    result: Any = None
    content: Any = None
    error: str | None = None
    seconds: float = 0.0
    call: str = ""
    participant: int | None = None


@frozen(slots=True)
class CheckEvaluated:
    """A check gave its outcome. ``details`` is for people and reports; no decision reads it.

    ``written_as`` is the type as its author wrote it, where that is another name of the same; '' where nobody knows.
    """

    __pydantic_config__ = _STRICT

    type: Literal["check_evaluated"] = "check_evaluated"
    name: str
    kind: str = "python"
    scope: Scope
    turn: int
    status: CheckStatus
    score: float | None = None
    explanation: str = ""
    message_ids: list[str] = field(default_factory=list[str])
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    call: str = ""
    written_as: str = ""


@frozen(slots=True)
class JudgeDecided:
    """A judge decided. A ``checkpoint`` decides its own criteria only, ``final`` the run; advisory decides nothing."""

    __pydantic_config__ = _STRICT

    type: Literal["judge_decided"] = "judge_decided"
    judge: str
    turn: int
    kind: Literal["checkpoint", "final"]
    verdict: Verdict
    decisions: list[CriterionDecision] = field(default_factory=list[CriterionDecision])
    reasoning: str | None = None
    advisory: bool = False
    termination: Termination | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    call: str = ""
    participant: int | None = None


@frozen(slots=True)
class Noted:
    """Something worth keeping that is no other event: an attack technique, a score, an injected fault."""

    __pydantic_config__ = _STRICT

    type: Literal["noted"] = "noted"
    turn: int
    note: AnyNote
    call: str | None = None

    @property
    def kind(self) -> str:
        """The kind of the note, such as ``guardrail``."""
        return self.note.kind


@frozen(slots=True)
class RunFinished:
    """Last event of a complete journal. ``verdict`` is there if and only if the status is ``completed``."""

    __pydantic_config__ = _STRICT

    type: Literal["run_finished"] = "run_finished"
    status: RunStatus
    verdict: Verdict | None = None
    termination: Termination
    reasoning: str | None = None
    passed_criteria: list[str] = field(default_factory=list[str])
    failed_criteria: list[str] = field(default_factory=list[str])
    error: ErrorInfo | None = None
    total_time: float
    agent_time: float


Event = Annotated[
    RunStarted
    | RunResumed
    | StepStarted
    | TurnStarted
    | AgentCalled
    | MessageAdded
    | MessagesRolledBack
    | UserFinished
    | ModelCalled
    | ToolCalled
    | CheckEvaluated
    | JudgeDecided
    | Noted
    | RunFinished,
    Field(discriminator="type"),
]
"""Any event; on disk told apart by ``type``."""


class Entry(NamedTuple):
    """An event in its place. ``(run_id, seq)`` is unique; ``at`` is seconds since 1970 UTC."""

    run_id: str
    seq: int
    at: float
    event: Event


Transition = tuple[Entry, ...]
"""The entries of events that were appended at once: kept whole or not at all."""
