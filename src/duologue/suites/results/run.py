"""The result of one test case, as frozen values that every report reads, and why it did not pass.

A :class:`RunResult` is a fold over the journal of its run. The reasons are read from it, the same list for results on
disk and for every report. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from duologue.frozen import frozen, maker
from duologue.journal.events import (
    CheckEvaluated,
    CriterionDecision,
    CutReason,
    ErrorInfo,
    JudgeDecided,
    RawMessage,
    ToolCalled,
    Usage,
)
from duologue.suites.plan.build import TestCase
from duologue.suites.results.simulated import BlameResult, FidelityResult
from duologue.suites.results.voice import VoiceResult
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Termination, Verdict

SPENDERS = ("agent", "user", "judge")
"""Fields of a run that hold what somebody's model calls took."""


@frozen(slots=True)
class Spent:
    """What some model calls took.

    Attributes:
        calls: how many.
        usage: tokens.
        cost: US dollars of the calls that have a price.
        unpriced: how many of them have none.
        seconds: spent waiting for answers.
    """

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            calls=self.calls + other.calls,
            usage=self.usage + other.usage,
            cost=self.cost + other.cost,
            unpriced=self.unpriced + other.unpriced,
            seconds=self.seconds + other.seconds,
        )


def total_spent(parts: Iterable[Spent]) -> Spent:
    """The sum of many parts; faster than adding them one at a time, because each sum makes a validated model."""
    calls = tokens_in = tokens_out = unpriced = 0
    cost = seconds = 0.0
    for part in parts:
        if not part.calls:
            continue
        calls += part.calls
        tokens_in += part.usage.input_tokens
        tokens_out += part.usage.output_tokens
        cost += part.cost
        unpriced += part.unpriced
        seconds += part.seconds
    usage = maker(Usage)(input_tokens=tokens_in, output_tokens=tokens_out)
    return maker(Spent)(calls=calls, usage=usage, cost=cost, unpriced=unpriced, seconds=seconds)


@frozen(slots=True)
class MessageResult:
    """One message of a conversation, and what is known about it.

    Attributes:
        id: what checks and decisions cite, such as ``m3``.
        message: the chat message, as it was said.
        turn: from 0.
        author: the name of the participant; None for a line of the script.
        spent: what the model call behind it took; None if no model call is known.
        model: who made it.
        meta: what else is known, such as ``workflow_state``, ``persona`` or ``warnings`` about a simulated user.
        cut: why it ends before its author had finished, such as ``timeout``; None for a whole message.
    """

    id: str
    message: RawMessage
    turn: int
    author: str | None = None
    spent: Spent | None = None
    model: str | None = None
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    cut: CutReason | None = None


@frozen(slots=True)
class GuardrailResult:
    """What a guardrail said of a message.

    Attributes:
        type: as it was written.
        direction: ``input`` for the user's message, ``output`` for the agent's.
        passed: whether the message could go on.
        expected: a violation that a check asked for, or one that does not fail runs.
    """

    type: str
    direction: str
    turn: int
    passed: bool
    explanation: str = ""
    expected: bool = False


@frozen(slots=True)
class MediaResult:
    """A picture, sound or film of a message.

    Attributes:
        type: ``image``, ``audio`` or ``video``.
        size_bytes: of the decoded data.
        duration: seconds.
        width, height: pixels.
        path: the file that holds it, relative to the folder of the results.
        url: its address, where it is not held.
        thumbnail: a data URL small enough to be shown.
        message_id, part: where it is: the message, and which of its parts, from 0. ``recording`` in place of the
            message is the recording of a whole conversation in voice.
    """

    type: str
    mime_type: str
    message_id: str
    part: int
    size_bytes: int = 0
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    path: str | None = None
    url: str | None = None
    thumbnail: str | None = None


@frozen(slots=True)
class RecordingResult:
    """What the source says about a recording that was judged. Nothing of it was spent by the run.

    Attributes:
        name: what the source calls it.
        facts: its id, reward, task, trial and whatever else the source says, besides file and format. JSON data.
        agent, user: what the recorded model calls took, as far as the source says.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    agent: Spent = field(default_factory=Spent)
    user: Spent = field(default_factory=Spent)

    @property
    def spent(self) -> Spent:
        """All recorded model calls."""
        return self.agent + self.user


@frozen(slots=True)
class WorkflowResult:
    """Where a workflow came to.

    Attributes:
        transitions: ``{from, to, event, turn}`` each.
    """

    state: str
    complete: bool
    transitions: tuple[dict[str, Any], ...] = ()


TOO_MANY = "Too many open files"
"""What the system says where a process may open no more files or connections."""


@frozen(slots=True)
class RunResult:
    """Everything about the run of one test case.

    Attributes:
        run_id: unique, and the name of its files.
        status: ``completed`` if and only if there is a verdict.
        system_prompts: what an agent made of a model was told, in order; more than one where a workflow changed it.
        checks: every check that was evaluated, those of prompt packs (kind ``pack_eval:…``) included.
        decisions: what judges said of each criterion.
        guardrails: what guardrails said, message by message.
        tools: the calls that Duologue made for the agent.
        agent, user, judge: what the agent's own model, the simulated user, and judges and checks have spent. Agent and
            user of a recording have spent nothing now; what they took then is in ``recording``.
        recording: where the conversation comes from, if it was not played but read from a file.
        started_at: when it began, with a time zone; None for one that did not begin.
        seconds, agent_seconds: how long it took, and how much of that was the agent.
        journal: the file that holds it, relative to the folder of the results.
        labels: of the scenario.
        definition: digests of what decided the result, by part; see :mod:`duologue.suites.runner.definition`.
        fidelity: how well a model has played the user; None where no model did.
        blame: who made it fail; nothing for one that passed.
        repeated: why the run was played a second time, as a sentence; '' for one that was not.
        voice: what was heard; None for a conversation in text.
    """

    case: TestCase
    run_id: str
    status: RunStatus
    verdict: Verdict | None = None
    termination: Termination | None = None
    reasoning: str | None = None
    error: ErrorInfo | None = None
    messages: tuple[MessageResult, ...] = ()
    system_prompts: tuple[str, ...] = ()
    checks: tuple[CheckEvaluated, ...] = ()
    judgements: tuple[JudgeDecided, ...] = ()
    decisions: tuple[CriterionDecision, ...] = ()
    guardrails: tuple[GuardrailResult, ...] = ()
    tools: tuple[ToolCalled, ...] = ()
    media: tuple[MediaResult, ...] = ()
    workflow: WorkflowResult | None = None
    recording: RecordingResult | None = None
    agent: Spent = field(default_factory=Spent)
    user: Spent = field(default_factory=Spent)
    judge: Spent = field(default_factory=Spent)
    started_at: datetime | None = None
    seconds: float = 0.0
    agent_seconds: float = 0.0
    turns: int = 0
    self_play: bool = False
    persona: str | None = None
    journal: str | None = None
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    definition: Mapping[str, str] = field(default_factory=dict[str, str])
    fidelity: FidelityResult | None = None
    blame: tuple[BlameResult, ...] = ()
    repeated: str = ""
    voice: VoiceResult | None = None

    @property
    def spent(self) -> Spent:
        """All model calls together."""
        return self.agent + self.user + self.judge

    @property
    def outcome(self) -> str:
        """One word for lists: ``pass``, ``fail``, ``undecided``, ``error`` or ``cancelled``."""
        return str(self.status if self.verdict is None else self.verdict)

    @property
    def unrecorded(self) -> bool:
        """Whether the run broke because a file could not be written or opened, which says nothing about its case."""
        if self.error is None:
            return False
        return self.error.type in {"JournalError", "ResultsError", "ArtifactError"} or self.lacked_files

    @property
    def lacked_files(self) -> bool:
        """Whether the run broke because this process had too many files or connections open."""
        return self.error is not None and any(TOO_MANY in text for text in (self.error.message, *self.error.causes))

    @property
    def violations(self) -> tuple[GuardrailResult, ...]:
        """Guardrails that stopped a message although nobody expected it."""
        return tuple(item for item in self.guardrails if not item.passed and not item.expected)


FailureKind = Literal["error", "check", "criterion", "guardrail", "undecided", "reason"]


@frozen(slots=True)
class Failure:
    """One thing that kept a run from passing.

    Attributes:
        kind: what said so.
        name: of the check, the criterion, the guardrail or the exception.
        text: the explanation, as it was given.
        message_ids: what it rests on.
    """

    kind: FailureKind
    name: str
    text: str = ""
    message_ids: tuple[str, ...] = ()


def failures_of(run: RunResult) -> tuple[Failure, ...]:
    """What kept a run from passing, the weightiest first; nothing for one that passed."""
    if run.verdict is Verdict.PASS:
        return ()
    found = [*_errors(run), *_failures(run)]
    if not found:
        kind = "undecided" if run.verdict is Verdict.UNDECIDED else "reason"
        found = [Failure(kind=kind, name=run.outcome, text=run.reasoning or "")]
    return tuple(found)


def _errors(run: RunResult) -> Iterable[Failure]:
    if run.error is not None:
        yield Failure(kind="error", name=run.error.type, text=run.error.message)


def _failures(run: RunResult) -> Iterable[Failure]:
    for check in failed_checks(run):
        yield Failure(kind="check", name=check.name, text=check.explanation, message_ids=tuple(check.message_ids))
    for criterion in open_criteria(run):
        yield Failure(
            kind="criterion",
            name=criterion.criterion,
            text=criterion.reason,
            message_ids=tuple(criterion.message_ids),
        )
    for item in run.violations:
        yield Failure(kind="guardrail", name=item.type, text=f"turn {item.turn + 1}: {item.explanation}")


def statuses_of(run: RunResult) -> dict[str, list[CheckStatus]]:
    """What each check of a run has found, by its name: one that is evaluated in each turn has several outcomes."""
    statuses: dict[str, list[CheckStatus]] = {}
    for check in run.checks:
        statuses.setdefault(check.name, []).append(check.status)
    return statuses


def failed_checks(run: RunResult) -> list[CheckEvaluated]:
    """Checks that failed, or that broke."""
    return [check for check in run.checks if check.status in {CheckStatus.FAILED, CheckStatus.ERROR}]


def open_criteria(run: RunResult) -> list[CriterionDecision]:
    """Criteria that are not met, or that nobody could decide."""
    return [item for item in run.decisions if item.decision is not Decision.MET]


def reason_of(run: RunResult) -> str:
    """One sentence: why a run is not a pass; '' if it is one, or if nothing is known."""
    if run.verdict is Verdict.PASS:
        return ""
    if run.error is not None:
        return f"{run.error.type}: {run.error.message}"
    if run.reasoning:
        return run.reasoning
    first = failures_of(run)[0]
    return f"{first.name}: {first.text}" if first.text else first.name


def summary_of(run: RunResult, found: Iterable[Failure]) -> str:
    """The reasoning of a run; '' where it only repeats the failures or the error."""
    said = run.reasoning or ""
    if run.error is not None or any((item.text and item.text in said) or item.text == said for item in found):
        return ""
    return said


def cited(run: RunResult, message_ids: Iterable[str]) -> list[MessageResult]:
    """The messages of those ids that are in the conversation."""
    wanted = set(message_ids)
    return [message for message in run.messages if message.id in wanted]
