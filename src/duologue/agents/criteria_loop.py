"""A conversation that runs until a success or a failure criterion is met, or for so many messages.

``CriteriaJudge`` does that inside a run; ``evaluate_criteria`` and ``generate_persona_message`` are its two questions
to a model on their own, for loops of your own. Judging several criteria one by one is the business of ``agents.judge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar

from duologue.agents.criteria_evaluation import CriteriaEvaluation, Loop, evaluate
from duologue.agents.users.persona import Persona
from duologue.agents.users.simulator import UserSimulatorAgent
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, DoneReason, UserDone
from duologue.conversation.result import ScenarioResult
from duologue.conversation.script import message as message_step
from duologue.conversation.script import proceed
from duologue.conversation.setup import ScriptStep
from duologue.conversation.state import ScenarioState
from duologue.errors import ConfigurationError, JudgeError, ModelError
from duologue.journal.events import CriterionDecision, Frozen
from duologue.messages import Message, text_of
from duologue.models.base import Model
from duologue.models.choice import choose
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig
from duologue.vocabulary import AgentRole, Decision, Verdict

DEFAULT_MAX_MESSAGES = 10


class FailureCriteriaMode(StrEnum):
    """When the failure criterion is looked at."""

    EVERY_TURN = "every_turn"
    ON_MAX_MESSAGES = "on_max_messages"


class PersonaMessage(Frozen):
    """What the simulated user says next. ``done`` says why it is the last thing, if it is."""

    content: str
    done: DoneReason | None = None


class CriteriaJudge(AgentAdapter):
    """Ends a run as soon as the success criterion is met, or the failure criterion, or after so many messages.

    Of the two the failure criterion goes first, whenever it is looked at: in every turn, or at the limit only. At the
    limit the last evaluation decides: without success the run fails, unless there is only a failure criterion, and it
    was not met. An agent that has said nothing at all passes on no criterion.
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
        **options: Any,
    ) -> None:
        """Say what ends the run.

        Args:
            success_criteria, failure_criteria: what has to be true of the conversation for it to pass, to fail.
            failure_criteria_mode: when the second is looked at.
            max_messages: messages of user and agent after which the run ends; those of tools do not count. The run's
                own ``max_turns`` has to allow for as many.
            model: name, configuration or model object; None for the configured default.
            temperature: of the model.
            options: ``api_base``, ``api_key``, ``max_tokens``, and ``extra`` for options of the provider.

        Raises:
            ConfigurationError: no criterion, no model, or an argument that cannot be used.
        """
        self._loop = Loop(success=_given(success_criteria), failure=_given(failure_criteria))
        if max_messages < 1:
            raise ConfigurationError(f"CriteriaJudge: max_messages is {max_messages}, expected at least 1")
        if not (self._loop.success or self._loop.failure):
            raise ConfigurationError("CriteriaJudge needs success_criteria or failure_criteria: nothing passes on none")
        self._every_turn = _mode(failure_criteria_mode) is FailureCriteriaMode.EVERY_TURN
        self._max_messages = max_messages
        self._choice = choose(model, temperature=temperature, **options, purpose=type(self).__name__)

    def describe(self) -> dict[str, Any]:
        """Model, criteria, and when they are looked at."""
        mode = FailureCriteriaMode.EVERY_TURN if self._every_turn else FailureCriteriaMode.ON_MAX_MESSAGES
        return {
            "model": self._choice.name,
            "success_criteria": self._loop.success,
            "failure_criteria": self._loop.failure,
            "failure_criteria_mode": mode.value,
            "max_messages": self._max_messages,
        }

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """End the run, or let it go on.

        Raises:
            JudgeError: the model did not answer, or not in a way that counts.
            ConfigurationError: a checkpoint asks for criteria of its own.
        """
        if input.judgment_request and input.judgment_request.criteria is not None:
            raise ConfigurationError(
                "CriteriaJudge decides its own two criteria only; add a JudgeAgent for judge(criteria=[…])"
            )
        full = sum(message["role"] in {"user", "assistant"} for message in input.messages) >= self._max_messages
        state = input.scenario_state
        last = full or input.judgment_request is not None or state.current_turn >= state.config.turn_limit - 1
        asked = self._loop if last or self._every_turn else Loop(success=self._loop.success)
        if not last and not (_agent_has_spoken(input) and (asked.success or asked.failure)):
            nothing: list[Message] = []
            return nothing
        try:
            found = await evaluate(self._choice, asked, input.messages, state, input.scope)
        except ModelError as error:
            raise JudgeError(f"the model of the judge failed: {error}", who=self.name) from error
        return self._ended(found, asked, input, full=full, last=last)

    def _ended(
        self, found: CriteriaEvaluation, asked: Loop, input: AgentInput, *, full: bool, last: bool
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
    """Ask a model whether a conversation meets a success and a failure criterion. Without any, no model is asked.

    Args:
        messages: the conversation; its messages are cited as ``m1``, ``m2`` and so on.
        success_criteria, failure_criteria: statements about the conversation.
        model: name, configuration or model object; None for the configured default.
        scope: of the run that it is asked for.
        temperature: of the model.
        options: ``api_base``, ``api_key``, ``max_tokens``, and ``extra`` for options of the provider.

    Raises:
        JudgeError: no answer that counts.
        ModelError: no answer at all.
    """
    loop = Loop(success=_given(success_criteria), failure=_given(failure_criteria))
    if not (loop.success or loop.failure):
        return CriteriaEvaluation(confidence=1.0, reasoning="There are no criteria to evaluate.")
    choice = choose(model, temperature=temperature, **options, purpose="evaluate_criteria")
    return await evaluate(choice, loop, messages, ScenarioState(), scope or RunScope(who="evaluate_criteria"))


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
    """What a simulated user says next in a conversation.

    Args:
        messages: the conversation so far; may be empty.
        scenario: the situation.
        persona: who the user is.
        goal: what the user wants, where the situation does not say it.
        model: name, configuration or model object; None for the configured default.
        scope: of the run that it is asked for.
        options: what :class:`duologue.UserSimulatorAgent` takes.

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
    """A script that begins with these messages and goes on from there: with the agent after one of the user."""
    return [*(message_step(message) for message in seed_messages), proceed()]


def _content(message: Message | str | None) -> str:
    return (message if isinstance(message, str) else text_of(message) if message else "").strip()


def _agent_has_spoken(input: AgentInput) -> bool:
    return any(message["role"] == "assistant" for message in input.messages)


def _given(criterion: str | None) -> str:
    return (criterion or "").strip()


def _mode(mode: FailureCriteriaMode | str) -> FailureCriteriaMode:
    try:
        return FailureCriteriaMode(mode)
    except ValueError:
        known = " or ".join(repr(item.value) for item in FailureCriteriaMode)
        raise ConfigurationError(f"CriteriaJudge: failure_criteria_mode is {mode!r}, expected {known}") from None


def _result(
    found: CriteriaEvaluation, asked: Loop, input: AgentInput, verdict: Verdict, why: str, full: bool
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
        messages=input.messages,
        decisions=decisions,
        passed_criteria=[item.criterion for item in decisions if item.decision is Decision.MET],
        failed_criteria=[item.criterion for item in decisions if item.decision is Decision.UNMET],
        details={"confidence": found.confidence, "max_messages_reached": full},
    )


def _decision(criterion: str, met: bool, message_ids: Sequence[str], reason: str) -> CriterionDecision:
    return CriterionDecision(
        criterion=criterion,
        decision=Decision.MET if met else Decision.UNMET,
        reason=reason,
        message_ids=list(message_ids),
    )
