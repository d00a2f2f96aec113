"""A conversation that runs until a success or a failure criterion is met, or up to a number of messages.

``CriteriaJudge`` does that inside a run; ``evaluate_criteria`` and ``generate_persona_message`` are its building blocks
for loops of your own. To judge several criteria one by one, use ``duologue.agents.judge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, cast

from duologue.agents.judge import RULES, JudgeModel, conversation_entries
from duologue.agents.users.persona import Persona
from duologue.agents.users.simulator import UserSimulatorAgent
from duologue.config.json_schema import closed_object
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.script import message as message_step
from duologue.conversation.script import proceed
from duologue.conversation.setup import ScriptStep
from duologue.errors import ConfigurationError, JudgeError, ModelError
from duologue.frozen import frozen
from duologue.journal.events import CriterionDecision, Frozen
from duologue.messages import JsonValue, Message, system_message, text_of, user_message
from duologue.models.base import Model
from duologue.models.choice import ModelChoice, choose
from duologue.models.scope import RunScope
from duologue.models.structured import RuleBrokenError, UnreadableError, excerpt, the_object_in
from duologue.settings import ModelConfig
from duologue.specs.scenario import DEFAULT_MAX_MESSAGES
from duologue.transcripts.rendering import indented, quoted, transcript_of
from duologue.vocabulary import AgentRole, Decision, DoneReason, Verdict

_FORM = """\
There are up to two criteria: "success" and "failure". "met" is true if the transcript shows that what the criterion \
says is so, for "failure" as for "success"; what you cannot tell is false.
Answer with one JSON object and nothing else:
{"success": {"reason": "…", "evidence": ["m2"], "met": true}, \
"failure": {"reason": "…", "evidence": [], "met": false}, "confidence": 0.9, "reasoning": "one or two sentences"}
with an entry for each criterion that is given. "confidence" is from 0 to 1. What is met cites at least one message."""


class FailureCriteriaMode(StrEnum):
    """When the failure criterion is evaluated."""

    EVERY_TURN = "every_turn"
    ON_MAX_MESSAGES = "on_max_messages"


class PersonaMessage(Frozen):
    """The next message of a simulated user."""

    content: str
    """The text."""
    done: DoneReason | None = None
    """Why it is the last message; None if it is not."""


class CriteriaEvaluation(Frozen):
    """A model's evaluation of a conversation."""

    success_met: bool = False
    """Whether the success criterion is met."""
    failure_met: bool = False
    """Whether the failure criterion is met."""
    confidence: float
    """The model's own confidence, from 0 to 1."""
    reasoning: str
    """The model's summary."""
    success_message_ids: tuple[str, ...] = ()
    """Messages that the first decision rests on."""
    failure_message_ids: tuple[str, ...] = ()
    """Messages that the second decision rests on."""
    raw_response: str | None = None
    """The model's answer as it was; None if no model was asked."""


class CriteriaJudge(AgentAdapter):
    """Ends a run as soon as the success or the failure criterion is met, or after a number of messages.

    The failure criterion takes precedence whenever it is evaluated: in every turn, or at the limit only. At the limit
    the last evaluation decides: without success the run fails, unless there is only a failure criterion and it was not
    met. An agent that has said nothing passes no criterion.
    """

    role: ClassVar[AgentRole] = AgentRole.JUDGE

    def __init__(
        self,
        *,
        success_criteria: str | None = None,
        failure_criteria: str | None = None,
        failure_criteria_mode: FailureCriteriaMode | str = FailureCriteriaMode.ON_MAX_MESSAGES,
        max_messages: int = DEFAULT_MAX_MESSAGES,
        model: str | ModelConfig | Model | None = None,
        temperature: float | None = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        """Choose the criteria that end the run.

        Args:
            success_criteria, failure_criteria: statements that make the conversation pass or fail once they are true.
            failure_criteria_mode: when the failure criterion is evaluated.
            max_messages: messages of user and agent after which the run ends; messages of tools do not count. The
                run's own ``max_turns`` has to allow for as many.
            model: name, configuration or model object; None for the configured default.
            temperature: sampling temperature.
            name: what reports call the judge; None for ``CriteriaJudge``.
            options: ``api_base``, ``api_key``, ``max_tokens``, and ``extra`` for provider options.

        Raises:
            ConfigurationError: no criterion, no model, or an invalid argument.
        """
        self._criteria = _Criteria(success=_given(success_criteria), failure=_given(failure_criteria))
        if max_messages < 1:
            raise ConfigurationError(f"CriteriaJudge: max_messages is {max_messages}, expected at least 1")
        if not (self._criteria.success or self._criteria.failure):
            raise ConfigurationError("CriteriaJudge needs success_criteria or failure_criteria: nothing passes on none")
        self._every_turn = _mode(failure_criteria_mode) is FailureCriteriaMode.EVERY_TURN
        self._max_messages = max_messages
        self._choice = choose(model, temperature=temperature, **options, purpose=type(self).__name__)
        self._name = name or type(self).__name__

    @property
    def name(self) -> str:
        """What reports call the judge."""
        return self._name

    def describe(self) -> dict[str, Any]:
        """Model, criteria, and when they are evaluated."""
        mode = FailureCriteriaMode.EVERY_TURN if self._every_turn else FailureCriteriaMode.ON_MAX_MESSAGES
        return {
            "model": self._choice.name,
            "success_criteria": self._criteria.success,
            "failure_criteria": self._criteria.failure,
            "failure_criteria_mode": mode.value,
            "max_messages": self._max_messages,
        }

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """End the run, or let it continue.

        Raises:
            JudgeError: the model did not answer, or gave no answer that counts.
            ConfigurationError: a checkpoint asks for criteria of its own.
        """
        if input.judgment_request and input.judgment_request.criteria is not None:
            raise ConfigurationError(
                "CriteriaJudge decides its own two criteria only; add a JudgeAgent for judge(criteria=[…])"
            )
        full = sum(message["role"] in {"user", "assistant"} for message in input.shared_messages) >= self._max_messages
        state = input.scenario_state
        last = full or input.judgment_request is not None or state.current_turn >= state.config.turn_limit - 1
        asked = self._criteria if last or self._every_turn else _Criteria(success=self._criteria.success)
        if not last and not (_agent_has_spoken(input) and (asked.success or asked.failure)):
            nothing: list[Message] = []
            return nothing
        try:
            found = await _evaluate(self._choice, asked, input.shared_messages, state, input.scope)
        except ModelError as error:
            raise JudgeError(f"the model of the judge failed: {error}", who=self.name) from error
        return self._ended(found, asked, input, full=full, last=last)

    def _ended(
        self, found: CriteriaEvaluation, asked: _Criteria, input: AgentInput, *, full: bool, last: bool
    ) -> ScenarioResult | list[Message]:
        end = f"Max messages ({self._max_messages}) reached" if full else "The conversation ended"
        if found.failure_met:
            return _result(found, asked, input, Verdict.FAIL, "Failure criteria was triggered.", full)
        if found.success_met:
            return _result(found, asked, input, Verdict.PASS, "", full)
        if not last:
            return []
        if asked.success:
            return _result(found, asked, input, Verdict.FAIL, f"{end} without meeting success criteria.", full)
        if not _agent_has_spoken(input):
            why = f"{end}, and the agent has said nothing that could have met the failure criteria."
            return _result(found, asked, input, Verdict.UNDECIDED, why, full)
        return _result(found, asked, input, Verdict.PASS, f"{end}, and the failure criteria was not met.", full)


async def evaluate_criteria(
    messages: Sequence[Message],
    *,
    success_criteria: str | None = None,
    failure_criteria: str | None = None,
    model: str | ModelConfig | Model | None = None,
    temperature: float | None = 0.0,
    scope: RunScope | None = None,
    **options: Any,
) -> CriteriaEvaluation:
    """Ask a model whether a conversation meets a success and a failure criterion. Without criteria, nothing is asked.

    Args:
        messages: the conversation; its messages are cited as ``m1``, ``m2`` and so on.
        success_criteria, failure_criteria: statements about the conversation.
        model: name, configuration or model object; None for the configured default.
        scope: scope of the run that this belongs to.
        temperature: sampling temperature.
        options: ``api_base``, ``api_key``, ``max_tokens``, and ``extra`` for provider options.

    Raises:
        JudgeError: no answer counts.
        ModelError: there was no answer.
    """
    criteria = _Criteria(success=_given(success_criteria), failure=_given(failure_criteria))
    if not criteria.named:
        return CriteriaEvaluation(confidence=1.0, reasoning="There are no criteria to evaluate.")
    choice = choose(model, temperature=temperature, **options, purpose="evaluate_criteria")
    return await _evaluate(choice, criteria, messages, ScenarioState(), scope or RunScope(who="evaluate_criteria"))


async def generate_persona_message(
    messages: Sequence[Message],
    *,
    scenario: str,
    persona: str | Persona | None = None,
    goal: str | None = None,
    model: str | ModelConfig | Model | None = None,
    scope: RunScope | None = None,
    **options: Any,
) -> PersonaMessage:
    """The next message of a simulated user in a conversation.

    Args:
        messages: the conversation so far; may be empty.
        scenario: the situation.
        persona: who the user is.
        goal: what the user wants, if the situation does not say so.
        model: name, configuration or model object; None for the configured default.
        scope: scope of the run that this belongs to.
        options: further arguments of :class:`duologue.UserSimulatorAgent`.

    Raises:
        SimulatorError: the model did not answer, or not as a user would.
    """
    user = UserSimulatorAgent(model=model, persona=persona, goal=goal, **options)
    answer = await user.call(
        AgentInput(
            thread_id="",
            messages=list(messages),
            new_messages=[],
            scenario_state=ScenarioState(description=scenario),
            scope=scope or RunScope(who="generate_persona_message"),
        )
    )
    if isinstance(answer, UserDone):
        return PersonaMessage(content=_content(answer.message), done=answer.reason)
    return PersonaMessage(content=_content(answer if isinstance(answer, str) else None))


def seeded_script(seed_messages: Sequence[Message]) -> list[ScriptStep]:
    """A script that begins with these messages and continues from there: with the agent if the last is the user's."""
    return [*(message_step(message) for message in seed_messages), proceed()]


@frozen
class _Criteria:
    """A success and a failure criterion; '' for none."""

    success: str = ""
    failure: str = ""

    @property
    def named(self) -> dict[str, str]:
        """The criteria that are set, by name."""
        return {name: text for name, text in (("success", self.success), ("failure", self.failure)) if text}


async def _evaluate(
    choice: ModelChoice, criteria: _Criteria, messages: Sequence[Message], state: ScenarioState, scope: RunScope
) -> CriteriaEvaluation:
    entries = conversation_entries(messages, state)
    sections = {
        "situation": indented(state.description),
        "criteria": "\n".join(f"{name}: {quoted(text)}" for name, text in criteria.named.items()),
        "transcript": transcript_of(entries),
    }
    case = "\n\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in sections.items() if text)
    ids = frozenset(entry.id for entry in entries)
    said = "\n".join(map(text_of, messages))
    return await JudgeModel(choice=choice, scope=scope).ask(
        [system_message(f"{RULES}\n\n{_FORM}"), user_message(case)],
        _schema(criteria),
        lambda text: _evaluation(text, criteria, ids, said),
    )


def _schema(criteria: _Criteria) -> dict[str, Any]:
    entry = closed_object(
        reason={"type": "string"}, evidence={"type": "array", "items": {"type": "string"}}, met={"type": "boolean"}
    )
    fields: dict[str, Any] = dict.fromkeys(criteria.named, entry)
    return {
        "title": "evaluation",
        **closed_object(**fields, confidence={"type": "number"}, reasoning={"type": "string"}),
    }


def _evaluation(text: str, criteria: _Criteria, ids: frozenset[str], said: str) -> CriteriaEvaluation:
    answer = the_object_in(text, ("success", "failure", "confidence"), given=said)
    found = {name: _entry(name, answer.get(name), ids) for name in criteria.named}
    nothing: tuple[bool, tuple[str, ...]] = (False, ())
    success, failure = found.get("success", nothing), found.get("failure", nothing)
    reasoning = answer.get("reasoning")
    return CriteriaEvaluation(
        success_met=success[0],
        failure_met=failure[0],
        confidence=_confidence(answer.get("confidence")),
        reasoning=reasoning if isinstance(reasoning, str) else "",
        success_message_ids=success[1],
        failure_message_ids=failure[1],
        raw_response=text,
    )


def _entry(name: str, value: JsonValue, ids: frozenset[str]) -> tuple[bool, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise UnreadableError(f'there is no object "{name}"')
    entry = cast("dict[str, JsonValue]", value)
    met, evidence = entry.get("met"), entry.get("evidence")
    if not isinstance(met, bool):
        raise RuleBrokenError(f'"met" of "{name}" is {excerpt(met)}; it has to be true or false')
    if not isinstance(evidence, list):
        raise RuleBrokenError(f'"evidence" of "{name}" is not a list of message ids')
    cited = [str(item).strip().strip("[]") for item in cast("list[object]", evidence)]
    if unknown := [item for item in cited if item not in ids]:
        raise RuleBrokenError(f'"{name}" cites {", ".join(map(excerpt, unknown[:20]))}, which does not exist')
    if met and not cited:
        raise RuleBrokenError(f'"{name}" is met and "evidence" is empty: cite the messages that it rests on')
    return met, tuple(cited)


def _confidence(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RuleBrokenError(f'"confidence" is {excerpt(value)}; it has to be a number from 0 to 1')
    return float(value)


def _content(message: Message | str | None) -> str:
    return (message if isinstance(message, str) else text_of(message) if message else "").strip()


def _agent_has_spoken(input: AgentInput) -> bool:
    return any(message["role"] == "assistant" for message in input.shared_messages)


def _given(criterion: str | None) -> str:
    return (criterion or "").strip()


def _mode(mode: FailureCriteriaMode | str) -> FailureCriteriaMode:
    try:
        return FailureCriteriaMode(mode)
    except ValueError:
        known = " or ".join(repr(item.value) for item in FailureCriteriaMode)
        raise ConfigurationError(f"CriteriaJudge: failure_criteria_mode is {mode!r}, expected {known}") from None


def _result(
    found: CriteriaEvaluation, asked: _Criteria, input: AgentInput, verdict: Verdict, why: str, full: bool
) -> ScenarioResult:
    decisions: list[CriterionDecision] = []
    if asked.success:
        decisions.append(_decision(asked.success, found.success_met, found.success_message_ids, found.reasoning))
    if asked.failure:
        text = f"Does not happen: {asked.failure}"
        decisions.append(_decision(text, not found.failure_met, found.failure_message_ids, found.reasoning))
    return ScenarioResult(
        success=verdict is Verdict.PASS,
        verdict=verdict,
        reasoning=f"{why} {found.reasoning}".strip(),
        messages=list(input.shared_messages),
        decisions=decisions,
        passed_criteria=[item.criterion for item in decisions if item.decision is Decision.MET],
        failed_criteria=[item.criterion for item in decisions if item.decision is Decision.UNMET],
        details={
            "success_met": found.success_met,
            "failure_met": found.failure_met,
            "confidence": found.confidence,
            "reasoning": found.reasoning,
            "max_messages_reached": full,
        },
    )


def _decision(criterion: str, met: bool, message_ids: Sequence[str], reason: str) -> CriterionDecision:
    return CriterionDecision(
        criterion=criterion,
        decision=Decision.MET if met else Decision.UNMET,
        reason=reason,
        message_ids=list(message_ids),
    )
