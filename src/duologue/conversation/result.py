"""What a run came to and what it looks like on the way: two readings of its journal, and the one place of the verdict.

Rules of the verdict, in order: a failed check or criterion fails the run; otherwise the judge's verdict stands;
otherwise checkpoints and checks that all passed pass it; with nothing to decide on, the run is undecided. A check can
veto a judge's pass and never rescue a fail.

:class:`ScenarioState` is what steps, checks and adapters may ask about the run so far.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast

from pydantic import ConfigDict, Field, model_validator

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, MessageAdded, RawMessage, Usage
from duologue.journal.journal import Journal, RunView
from duologue.journal.jsonl import read_journal
from duologue.messages import Message, ToolCall, copy_of, iter_tool_calls, text_of, tool_calls_of
from duologue.own_model import OwnModel
from duologue.settings import ScenarioConfig
from duologue.vocabulary import AgentRole, CheckStatus, Decision, RunStatus, Scope, Termination, Verdict

NOTHING_TO_GO_BY = (
    "Reached end of script without conclusion. Add one of the following: duologue.judge() or a checkpoint "
    "duologue.judge(criteria=[…]) to the script, a JudgeAgent to the agents, checks=[…] to the run, "
    "duologue.succeed() or duologue.fail() at the end of the script."
)
ALL_CHECKPOINTS_PASSED = "All inline criteria checkpoints passed"
ALL_CHECKS_PASSED = "All checks passed"


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
    audio: Any = None
    timeline: Any = None
    latency: Any = None

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
        return html_table(title, ("who", "said"), ((item["role"], _shown(item)) for item in self.messages))


def _shown(message: RawMessage) -> str:
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in tool_calls_of(message)]
    return " ".join([text_of(message), *calls]).strip()


def result_of(view: RunView, journal: Path | None = None) -> ScenarioResult:
    """The result of a run whose journal folds to this view; a journal without its end gives an error result."""
    finished, started = view.finished, view.started
    verdict = finished.verdict if finished else None
    return _unvalidated(
        success=verdict is Verdict.PASS,
        verdict=verdict,
        status=finished.status if finished else RunStatus.ERROR,
        termination=finished.termination if finished else None,
        messages=[copy_of(message) for message in view.messages],
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
    )


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


@frozen
class Conclusion:
    """What a run comes to."""

    verdict: Verdict
    termination: Termination
    reasoning: str | None
    passed_criteria: list[str]
    failed_criteria: list[str]


def conclude(view: RunView, ended_by: ScenarioResult | None, termination: Termination | None) -> Conclusion:
    """The verdict of a conversation that ran to its end.

    Args:
        view: the run so far, all checks evaluated.
        ended_by: the result that a judge, a step or an agent ended the run with, if one did.
        termination: why the conversation ended, where ``ended_by`` does not say.
    """
    failed_checks = _by_name(view.checks_with(CheckStatus.FAILED))
    passed_checks = [name for name in _by_name(view.checks_with(CheckStatus.PASSED)) if name not in failed_checks]
    verdict, reasoning = _before_checks(view, ended_by, bool(passed_checks))
    if failed_checks:
        verdict = Verdict.FAIL
        found = "; ".join(_told(name, failures) for name, failures in failed_checks.items())
        reasoning = f"Failed checks: {found}" + (f" ({reasoning})" if reasoning and ended_by else "")
    own_passed = ended_by.passed_criteria if ended_by else []
    own_failed = ended_by.failed_criteria if ended_by else view.failed_criteria
    compiled = view.passed_criteria
    return Conclusion(
        verdict=verdict,
        termination=(ended_by.termination if ended_by else None) or termination or Termination.SCRIPT_END,
        reasoning=reasoning,
        passed_criteria=[*compiled, *(text for text in own_passed if text not in compiled), *passed_checks],
        failed_criteria=[*own_failed, *failed_checks],
    )


def _by_name(checks: Iterable[CheckEvaluated]) -> dict[str, list[CheckEvaluated]]:
    """Outcomes by check: one that is evaluated in each turn is still one check."""
    found: dict[str, list[CheckEvaluated]] = {}
    for check in checks:
        found.setdefault(check.name, []).append(check)
    return found


def _told(name: str, outcomes: Sequence[CheckEvaluated]) -> str:
    """A check and what it found, each finding once, with the turns if it looked at turns."""
    turns: dict[str, list[int]] = {}
    for outcome in outcomes:
        turns.setdefault(outcome.explanation, [])
        if outcome.scope is Scope.TURN:
            turns[outcome.explanation].append(outcome.turn + 1)
    findings = [
        explanation + (f" (turn{'s' if len(found) > 1 else ''} {', '.join(map(str, found))})" if found else "")
        for explanation, found in turns.items()
    ]
    told = "; ".join(text.strip() for text in findings if text)
    return f"{name}: {told}" if told else name


def _before_checks(view: RunView, ended_by: ScenarioResult | None, checks_passed: bool) -> tuple[Verdict, str | None]:
    """The verdict without a veto of checks, and its reason."""
    if ended_by is not None:
        limit_only = ended_by.termination is Termination.MAX_TURNS and not ended_by.decisions
        if not (limit_only and checks_passed and ended_by.undecided):
            reasoning = ended_by.reasoning
            if limit_only and ended_by.undecided and (skipped := _all_skipped(view)):
                reasoning = f"{reasoning}. {skipped}" if reasoning else skipped
            return ended_by.verdict or Verdict.UNDECIDED, reasoning
    if view.checkpoints:
        if view.failed_criteria:
            return Verdict.FAIL, "A checkpoint found criteria that are not met"
        return Verdict.PASS, ALL_CHECKPOINTS_PASSED
    if checks_passed:
        return Verdict.PASS, ALL_CHECKS_PASSED + _some_skipped(view)
    return Verdict.UNDECIDED, _all_skipped(view) or NOTHING_TO_GO_BY


def _some_skipped(view: RunView) -> str:
    """Which checks decided nothing in any turn, beside those that passed."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    names = skipped.keys() - {check.name for check in view.checks_with(CheckStatus.PASSED)} if skipped else set[str]()
    return f", except for skipped ones: {', '.join(name for name in skipped if name in names)}" if names else ""


def _all_skipped(view: RunView) -> str:
    """What was skipped and why, where no check decided anything; '' without checks."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    if not skipped:
        return ""
    return f"Every check was skipped: {'; '.join(_told(name, outcomes) for name, outcomes in skipped.items())}"


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

    async def user(self, content: str | Message | None = None) -> ScenarioResult | None:
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
        self, criteria: Sequence[str] | None = None, *, context: str | None = None
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
    ) -> ScenarioResult | None:
        """See :func:`duologue.proceed`."""
        ...

    async def evaluate(self, checks: Sequence[Any], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate checks on these messages; each outcome is recorded."""
        ...

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background."""
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
    ) -> None:
        self.description = description
        self.thread_id = thread_id
        self.config = config or ScenarioConfig()
        self.view = view or RunView()
        if messages:
            self.view.messages.extend(messages)
        # Weak, so that a run is freed as soon as it is over and never waits for the garbage collector.
        self._control = weakref.ref(control) if control else None

    @property
    def messages(self) -> list[Message]:
        """The conversation so far: a copy; changing it changes nothing."""
        return [copy_of(message) for message in self.view.messages]

    @property
    def current_turn(self) -> int:
        """Number of the open turn, from 0."""
        return self.view.turn

    @property
    def message_ids(self) -> list[str]:
        """The id of each message, such as ``m3``."""
        return [record.message_id for record in self.view.records]

    @property
    def executor(self) -> RunControl:
        """The engine that runs this conversation, for steps of your own that drive it."""
        control = self._control() if self._control else None
        if control is None:
            raise ConfigurationError("This state has no run in progress, so there is no executor to drive.")
        return control

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
