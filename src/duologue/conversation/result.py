"""What a run came to and what it looks like on the way: two readings of its journal.

What the verdict is, is decided in ``lifecycle``. :class:`ScenarioState` is what steps, checks and adapters may ask
about the run so far.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, field_serializer, model_validator

from duologue.conversation.traced import collected_spans
from duologue.conversation.views import (
    CriterionResult,
    ShownMessages,
    TurnView,
    criteria_of,
    said,
    transcript_of,
    turns_of,
)
from duologue.conversation.voice_state import (
    Delivery,
    InterruptionConfig,
    SoundEffect,
    TimelineEvent,
    VoiceState,
    sound_effects,
)
from duologue.errors import ConfigurationError
from duologue.journal.artifacts import ArtifactStore, open_beside
from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, MessageAdded, RawMessage, Usage
from duologue.journal.journal import Journal, RunView
from duologue.journal.jsonl import read_journal
from duologue.journal.spoken import OpensArtifacts, SpokenNote, spoken_run
from duologue.messages import Message, ToolCall, copy_of, iter_tool_calls, lazy_copy_of, tool_calls_of
from duologue.own_model import OwnModel
from duologue.settings import ScenarioConfig
from duologue.vocabulary import AgentRole, Decision, RunStatus, Termination, Verdict

NOTHING_TO_GO_BY = (
    "Reached end of script without conclusion. Add one of the following: duologue.judge() or a checkpoint "
    "duologue.judge(criteria=[…]) to the script, a JudgeAgent to the agents, checks=[…] to the run, "
    "duologue.succeed() or duologue.fail() at the end of the script."
)
"""The reason of a run that is undecided because nothing was there to decide it."""


class ScenarioResult(OwnModel):
    """The outcome of a run; also what a judge of your own returns to end one.

    ``ScenarioResult(success=True, messages=[])`` is enough for the latter: the verdict follows from ``success`` unless
    it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    success: bool
    """True if and only if the verdict is pass."""
    messages: list[RawMessage] = Field(default_factory=list[RawMessage])
    reasoning: str | None = None
    passed_criteria: list[str] = Field(default_factory=list[str])
    failed_criteria: list[str] = Field(default_factory=list[str])
    total_time: float | None = None
    """Seconds from start to end."""
    agent_time: float | None = None
    """Seconds spent inside the agent under test."""
    audio: Any = Field(default=None, exclude=True)
    """What was heard, as :class:`duologue.voice.VoiceRecording`; None for a run that was played in text."""
    timeline: Any = None
    """What happened in a conversation in voice, as a sequence of :class:`duologue.voice.VoiceEvent`."""
    latency: Any = None
    """How fast a voice agent answered, as :class:`duologue.voice.LatencyMetrics`."""

    verdict: Verdict | None = None
    """None when the run has no verdict: see ``status`` and ``error``."""
    status: RunStatus = RunStatus.COMPLETED
    termination: Termination | None = None
    decisions: list[CriterionDecision] = Field(default_factory=list[CriterionDecision])
    """The judge's decision on each criterion, with its reason and the messages it rests on."""
    checks: list[CheckEvaluated] = Field(default_factory=list[CheckEvaluated])
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    """Tokens of the simulated user and the judge; the agent under test counts its own."""
    cost: float | None = None
    """US dollars, where every model call had a price."""
    advisory: bool = False
    """On a judge's result: it is shown and does not decide the run."""
    details: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """On a judge's result: shown beside the verdict, and deciding nothing."""
    scenario: str | None = None
    run_id: str | None = None
    thread_id: str | None = None
    seed: int | None = None
    turns: int | None = None
    message_ids: list[str] = Field(default_factory=list[str])
    """The id of each message, such as ``m3``: what decisions and checks cite."""
    journal: Path | None = Field(default=None, exclude=True)
    """The file that holds the run, when it was recorded."""

    @field_serializer("messages", mode="wrap")
    def _with_sounds(self, messages: list[Message], write: SerializerFunctionWrapHandler) -> Any:
        return write([copy_of(message) for message in messages])

    @model_validator(mode="before")
    @classmethod
    def _verdict_follows_success(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, object]", data)
        if given.get("verdict") is not None or given.get("status", RunStatus.COMPLETED) != RunStatus.COMPLETED:
            return given
        if "verdict" in given and "status" in given:  # as in a file: a verdict is not made up
            raise ValueError("status='completed' without a verdict: expected one of 'pass', 'fail' and 'undecided'")
        return {**given, "verdict": Verdict.PASS if given.get("success") else Verdict.FAIL}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.success != (self.verdict is Verdict.PASS):
            raise ValueError(
                f"success={self.success} contradicts verdict={self.verdict}: success means the verdict 'pass'"
            )
        if self.verdict is not None and self.status is not RunStatus.COMPLETED:
            raise ValueError(f"verdict={self.verdict} with status={self.status}: only a completed run has a verdict")
        return self

    @property
    def undecided(self) -> bool:
        """Whether the run completed without enough to decide on."""
        return self.verdict is Verdict.UNDECIDED

    @property
    def criteria(self) -> list[CriterionResult]:
        """What was decided on each criterion, as ``passed``, ``failed`` or ``inconclusive``, with the reason."""
        return criteria_of(decisions_from(self))

    def __repr__(self) -> str:
        status = {Verdict.PASS: "PASSED", Verdict.FAIL: "FAILED", Verdict.UNDECIDED: "UNDECIDED"}
        word = status[self.verdict] if self.verdict else self.status.value.upper()
        return f"ScenarioResult(success={self.success}, status={word}, reasoning={self.reasoning!r})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """As a notebook shows it: what it came to, and the conversation."""
        from duologue.notebook import html_table

        word = (self.verdict or self.status).value
        reason = self.error.message if self.error else self.reasoning
        title = " · ".join(part for part in (self.scenario, word, reason) if part)
        return html_table(title, ("who", "said"), ((item["role"], said(item)) for item in self.messages))


def result_of(view: RunView, journal: Path | None = None, artifacts: ArtifactStore | None = None) -> ScenarioResult:
    """The result of a run whose journal folds to this view; a journal without its end gives an error result.

    Args:
        view: the fold.
        journal: its file, if it is recorded in one.
        artifacts: where the sound of a conversation in voice is; None for beside the journal.
    """
    finished, started = view.finished, view.started
    verdict = finished.verdict if finished else None
    return _unvalidated(
        success=verdict is Verdict.PASS,
        verdict=verdict,
        status=finished.status if finished else RunStatus.ERROR,
        termination=finished.termination if finished else None,
        messages=[lazy_copy_of(message) for message in view.messages],
        message_ids=[record.message_id for record in view.records],
        reasoning=finished.reasoning if finished else "The journal ends before the run does.",
        passed_criteria=list(finished.passed_criteria if finished else view.passed_criteria),
        failed_criteria=list(finished.failed_criteria if finished else view.failed_criteria),
        decisions=[decision for judged in view.judgements if not judged.advisory for decision in judged.decisions],
        checks=list(view.checks),
        error=finished.error if finished else None,
        total_time=finished.total_time if finished else None,
        agent_time=finished.agent_time if finished else view.agent_time,
        usage=view.usage,
        cost=view.cost if not view.unpriced_calls else None,
        scenario=started.scenario.name if started else None,
        run_id=started.run_id if started else None,
        thread_id=started.thread_id if started else None,
        seed=started.seed if started else None,
        turns=view.turns,
        journal=journal,
        **(_heard(view, journal, artifacts) if any(isinstance(noted.note, SpokenNote) for noted in view.notes) else {}),
    )


def _heard(view: RunView, journal: Path | None, artifacts: ArtifactStore | None) -> dict[str, object]:
    """What was heard in a conversation in voice."""
    if isinstance(artifacts, OpensArtifacts):
        opened = artifacts.open
    else:
        opened = None if journal is None else partial(open_beside, journal)
    found = spoken_run(view.notes, opened)
    return {} if found is None else {"audio": found.recording, "timeline": found.events, "latency": found.latency}


def _unvalidated(**values: object) -> ScenarioResult:
    """What a fold gives is valid: validating it again, or copying the defaults of fields, would cost more than it."""
    result = ScenarioResult.__new__(ScenarioResult)
    private: dict[str, object] = {
        "__dict__": {"audio": None, "timeline": None, "latency": None, "advisory": False, "details": {}, **values},
        "__pydantic_fields_set__": set(values),
        "__pydantic_extra__": None,
        "__pydantic_private__": None,
    }
    for name, value in private.items():
        object.__setattr__(result, name, value)
    return result


def read_result(path: str | Path) -> ScenarioResult:
    """The result of a recorded run, equal to the one that the run returned.

    Raises:
        JournalError: the file cannot be read as a journal.
    """
    return result_of(read_journal(path).view, Path(path))


def decisions_from(result: ScenarioResult) -> list[CriterionDecision]:
    """A result's decisions; made from its criteria lists where a judge gave only those."""
    if result.decisions:
        return result.decisions
    passed = [CriterionDecision(criterion=text, decision=Decision.MET) for text in result.passed_criteria]
    failed = [CriterionDecision(criterion=text, decision=Decision.UNMET) for text in result.failed_criteria]
    return passed + failed


class Participant(Protocol):
    """Somebody who takes part in a run."""

    @property
    def name(self) -> str:
        """What reports and errors call it."""
        ...

    role: ClassVar[AgentRole]
    """Its part in the conversation."""


class RunControl(Protocol):
    """What a step of your own may do to its run: what the steps of the same names in a script do."""

    @property
    def agents(self) -> Sequence[Participant]:
        """The participants; their place is their index in events."""
        ...

    @property
    def journal(self) -> Journal:
        """The journal of the run in progress."""
        ...

    def add_message(self, message: Message, from_agent_idx: int | None = None) -> None:
        """Put a message into the conversation, by the participant of that index or by nobody."""
        ...

    def add_messages(self, messages: Sequence[Message], from_agent_idx: int | None = None) -> None:
        """Put several messages into the conversation."""
        ...

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        ...

    async def message(self, message: Message) -> ScenarioResult | None:
        """See :func:`duologue.message`."""
        ...

    async def user(
        self, content: str | Message | None = None, *, delivery: Delivery | None = None
    ) -> ScenarioResult | None:
        """See :func:`duologue.user`."""
        ...

    async def agent(self, content: str | Message | None = None, *, wait: bool = True) -> ScenarioResult | None:
        """See :func:`duologue.agent`."""
        ...

    async def interrupt(
        self, content: str | Message | None = None, *, after_words: int | None = None, timeout: float = 8.0
    ) -> ScenarioResult | None:
        """See :func:`duologue.interrupt`."""
        ...

    async def judge(
        self,
        criteria: Sequence[str] | None = None,
        *,
        context: str | None = None,
        additional_context: str | None = None,
    ) -> ScenarioResult | None:
        """See :func:`duologue.judge`."""
        ...

    async def check(self, *checks: Any) -> ScenarioResult | None:
        """See :func:`duologue.check`."""
        ...

    async def proceed(
        self,
        turns: int | None = None,
        on_turn: Callable[[ScenarioState], Awaitable[None] | None] | None = None,
        on_step: Callable[[ScenarioState], Awaitable[None] | None] | None = None,
        interruptions: InterruptionConfig | None = None,
    ) -> ScenarioResult | None:
        """See :func:`duologue.proceed`."""
        ...

    async def evaluate(self, checks: Sequence[Any], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate checks on these messages; each outcome is recorded."""
        ...

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def step(self) -> list[Message] | ScenarioResult:
        """The next participant's part."""
        ...

    async def succeed(self, reasoning: str | None = None) -> ScenarioResult:
        """See :func:`duologue.succeed`."""
        ...

    async def fail(self, reasoning: str | None = None) -> ScenarioResult:
        """See :func:`duologue.fail`."""
        ...


class ScenarioState:
    """The run so far. It changes only through the executor, which records every change.

    Attributes:
        description: the situation, as told to the user simulator.
        thread_id: identifies the conversation to a stateful agent.
        config: what the run obeys.
        view: the fold of the journal, for everything that has no shortcut here.
    """

    def __init__(
        self,
        *,
        description: str = "",
        thread_id: str = "",
        config: ScenarioConfig | None = None,
        view: RunView | None = None,
        messages: list[Message] | None = None,
        control: RunControl | None = None,
        voice: VoiceState | None = None,
    ) -> None:
        self.description = description
        self.thread_id = thread_id
        self.config = config or ScenarioConfig()
        self.view = view or RunView()
        if messages:
            self.view.messages.extend(messages)
        self._voice = voice
        # Weak, so that a run is freed as soon as it is over and never waits for the garbage collector.
        self._control = weakref.ref(control) if control else None

    @property
    def messages(self) -> list[Message]:
        """The conversation so far, to read. To change it, use :meth:`add_message` and :meth:`rollback_messages_to`."""
        return ShownMessages(copy_of(message) for message in self.view.messages)

    @property
    def current_turn(self) -> int:
        """Number of the open turn, from 0."""
        return self.view.turn

    @property
    def message_ids(self) -> list[str]:
        """The id of each message, such as ``m3``."""
        return [record.message_id for record in self.view.records]

    @property
    def turns(self) -> list[TurnView]:
        """The turns so far, each with the messages that were added in it."""
        return turns_of(self.view.records)

    @property
    def criteria(self) -> list[str]:
        """The criteria of the judges that take part, in their order."""
        judges = [agent for agent in self.executor.agents if agent.role is AgentRole.JUDGE]
        return [text for judge in judges for text in getattr(judge, "criteria", ())]

    @property
    def spans(self) -> list[Any]:
        """What the agent has traced so far; [] while tracing is off. See ``duologue.spans_of``."""
        return collected_spans(self.thread_id)

    def transcript(self) -> str:
        """The conversation so far as text, a line for each message."""
        return transcript_of(self.view.messages)

    @property
    def executor(self) -> RunControl:
        """The engine that runs this conversation, for steps of your own that drive it."""
        control = self._control() if self._control else None
        if control is None:
            raise ConfigurationError("This state has no run in progress, so there is no executor to drive.")
        return control

    @property
    def voice(self) -> VoiceState:
        """What is to be known of the conversation in voice."""
        if self._voice is None:
            self._voice = VoiceState()
        return self._voice

    def set_effects(self, effects: Sequence[SoundEffect]) -> None:
        """Change the user's sound like this from its next line on; [] for no change."""
        self.voice.effects = sound_effects(effects, "set_effects")

    @property
    def timeline(self) -> list[TimelineEvent]:
        """What has happened so far in a conversation in voice, in order of time; [] in one in text."""
        found = [event for timeline in self.voice.timelines for event in timeline()]
        return sorted(found, key=lambda event: event.time)

    def add_message(self, message: Message) -> None:
        """Put a message into the conversation; every participant will be given it."""
        self.executor.add_message(message)

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        return self.executor.rollback_messages_to(index)

    def last_message(self) -> Message:
        """The newest message. Raises ConfigurationError when there is none."""
        if not self.view.messages:
            raise ConfigurationError("No messages found: nothing has been said yet.")
        return copy_of(self.view.messages[-1])

    def last_user_message(self) -> Message:
        """The newest message of the user. Raises ConfigurationError when there is none."""
        return self._last("user")

    def last_agent_message(self) -> Message:
        """The newest message of the agent. Raises ConfigurationError when there is none."""
        return self._last("assistant")

    def tool_calls(self, name: str | None = None) -> list[ToolCall]:
        """All tool calls so far in order; only those of that name, if one is given."""
        calls = [call for _, call in iter_tool_calls(self.messages)]
        return [call for call in calls if name is None or call["function"]["name"] == name]

    def last_tool_call(self, tool_name: str) -> ToolCall | None:
        """The first call of that name in the newest message that has one; None if there is none."""
        for message in reversed(self.messages):
            for call in tool_calls_of(message):
                if call["function"]["name"] == tool_name:
                    return call
        return None

    def has_tool_call(self, tool_name: str) -> bool:
        """Whether a tool of that name was called."""
        return self.last_tool_call(tool_name) is not None

    def _last(self, role: str) -> Message:
        for message in reversed(self.view.messages):
            if message["role"] == role:
                return copy_of(message)
        raise ConfigurationError(f"No message with the role '{role}' found.")
