"""The judge as a participant: when it decides, what it reads, and which result follows.

The rules for an answer are in ``_judgement``, the prompt in ``_prompt``, what can be read in ``_evidence``, votes in
``_panel``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from duologue.agents.judge._evidence import TraceSource, conversation_entries, span_entries
from duologue.agents.judge._judgement import CriterionFinding, Judgement, Question
from duologue.agents.judge._panel import JudgeInput, JudgePanel, Tally, tally
from duologue.agents.judge._voice import HeardMessage, sounds_in
from duologue.agents.judge.local import judge_by_probability
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes
from duologue.conversation.observers import Instrument
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError, JudgeError, ModelError
from duologue.journal.events import CriterionDecision
from duologue.journal.spoken import spoken_run
from duologue.messages import Message, text_of, tool_calls_of
from duologue.models.base import CompletionModel, Model, can_complete
from duologue.models.choice import choose
from duologue.models.modalities import takes_sound
from duologue.models.names import parse_name
from duologue.settings import ModelConfig
from duologue.tracing.setup import instrument_for_judges, judge_span_collector, tracing_is_asked_for
from duologue.vocabulary import AgentRole, Decision, Verdict

NO_CRITERIA = (
    "The judge has no criteria to decide, so the run is undecided. Add some: JudgeAgent(criteria=[…]), or "
    "duologue.judge(criteria=[…]) in the script."
)


class JudgeAgent(AgentAdapter):
    """A judge that asks a language model for a decision on each criterion, and derives the verdict from them itself.

    It lets the conversation continue until all criteria are met, one can no longer be met, or it has to decide: because
    the script asks for it, or because it is the last turn. One object may take part in any number of runs at once.
    """

    role: ClassVar[AgentRole] = AgentRole.JUDGE

    def __init__(
        self,
        *,
        criteria: Sequence[str] | None = None,
        model: str | ModelConfig | Model | None = None,
        api_base: str | None = None,
        api_key: str | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
        system_prompt: str | None = None,
        token_threshold: int = 8192,
        max_discovery_steps: int = 10,
        votes: int = 1,
        min_turns: int = 0,
        advisory: bool | None = None,
        span_collector: TraceSource | None = None,
        include_audio: bool | None = None,
        include_timeline: bool | None = None,
        include_traces: bool | None = None,
        name: str | None = None,
        **extra: Any,
    ) -> None:
        """Choose the criteria and the model.

        Args:
            criteria: statements that have to be true of the conversation.
            model: name, configuration or model object; None for the configured default.
            api_base, api_key: address and key of an OpenAI-compatible server.
            temperature, max_tokens: sampling.
            system_prompt: replaces the built-in rules for judging; the form of the answer follows it.
            token_threshold: estimated tokens above which transcript and traces are shown in outline, with tools to
                look things up.
            max_discovery_steps: how often the judge may look things up before it has to decide.
            votes: how often the model is asked; the majority decides each criterion.
            min_turns: turns after which the judge may first end the run; until then the conversation goes on without
                its being asked, unless the script or the turn limit asks for a decision.
            advisory: report the decision beside the verdict without deciding anything. None: only for a local model.
                An advisory judge is asked at the end only.
            span_collector: source of the agent's traces; None for what it traces in this process with OpenTelemetry.
            include_traces: False keeps traces from the judge; True refuses a judge without a source of them.
            include_audio: whether the model is given the sound of messages; None where it is known to take sound.
                It is given their transcripts in any case.
            include_timeline: False keeps from the judge who spoke when in a spoken conversation.
            name: the judge's name in reports, if there are several.
            extra: provider options.

        Raises:
            ConfigurationError: no model is set, or an argument is invalid.
        """
        _check_numbers(
            votes=(votes, 1),
            min_turns=(min_turns, 0),
            token_threshold=(token_threshold, 1),
            max_discovery_steps=(max_discovery_steps, 0),
        )
        if include_traces and span_collector is None and not tracing_is_asked_for():
            raise ConfigurationError(
                "JudgeAgent: include_traces needs a source of traces: turn tracing on with "
                "duologue.setup_scenario_tracing(), or pass span_collector=…"
            )
        choice = choose(
            model,
            api_base=api_base,
            api_key=api_key,
            temperature=temperature,
            max_tokens=max_tokens,
            extra=extra,
            purpose=type(self).__name__,
        )
        self.model, self.system_prompt = choice.name, system_prompt
        self.api_base = api_base
        self.temperature, self.max_tokens = choice.temperature, choice.max_tokens
        self._criteria = list(_checked(criteria))
        self._min_turns = min_turns
        self._panel = JudgePanel(
            choice=choice,
            votes=votes,
            system_prompt=system_prompt,
            token_threshold=token_threshold,
            max_steps=max_discovery_steps,
        )
        self._advisory = parse_name(choice.name).provider == "local" if advisory is None else advisory
        self._traces = None if include_traces is False else span_collector or judge_span_collector
        self._include_audio, self._include_timeline = include_audio, include_timeline
        self._name = name

    @property
    def name(self) -> str:
        """The given name, or the name of the class."""
        return self._name or type(self).__name__

    def run_watch(self) -> Instrument | None:
        """Collects what the agent traces here, unless the judge must not see it or has a source of its own."""
        return instrument_for_judges() if self._traces is judge_span_collector else None

    @property
    def criteria(self) -> list[str]:
        """The statements that have to be true of the conversation. The list may be changed before a run."""
        return self._criteria

    @criteria.setter
    def criteria(self, statements: Sequence[str]) -> None:
        self._criteria = list(_checked(statements))

    @property
    def advisory(self) -> bool:
        """Whether the decision is only reported."""
        return self._advisory

    def describe(self) -> dict[str, Any]:
        """Model, criteria, votes, and whether it is advisory."""
        panel = self._panel
        rules: dict[str, Any] = {"system_prompt": panel.system_prompt} if panel.system_prompt else {}
        if self._min_turns:
            rules["min_turns"] = self._min_turns
        return {
            "model": panel.choice.name,
            "criteria": list(self._criteria),
            "votes": panel.votes,
            "advisory": self._advisory,
            **rules,
        }

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Decide, or let the conversation continue.

        Returns:
            A result, or an empty list if the conversation is to continue.

        Raises:
            JudgeError: the model did not answer, or gave no answer that counts.
        """
        criteria = self._asked_for(input)
        forced = _has_to_decide(input)
        nothing: list[Message] = []
        too_early = input.scenario_state.current_turn + 1 < self._min_turns or not _agent_has_spoken(input)
        if not forced and (not criteria or self._advisory or too_early):
            return nothing
        if not criteria:
            return ScenarioResult(
                success=False,
                verdict=Verdict.UNDECIDED,
                reasoning=NO_CRITERIA,
                messages=list(input.shared_messages),
                advisory=self._advisory,
            )
        try:
            counted = await self._decide(criteria, forced, input)
        except ModelError as error:
            raise JudgeError(f"the model of the judge failed: {error}", who=self.name) from error
        if not forced and counted.judgement.verdict is Verdict.UNDECIDED:
            return nothing
        return self._result(criteria, counted, input)

    def _asked_for(self, input: AgentInput) -> tuple[str, ...]:
        request = input.judgment_request
        return _checked(self._criteria if request is None or request.criteria is None else request.criteria)

    async def _decide(self, criteria: tuple[str, ...], forced: bool, input: AgentInput) -> Tally:
        model = self._panel.choice.model
        if can_complete(model) and self._panel.system_prompt is None:
            return await _by_probability(model, criteria, forced, input)
        spans = span_entries(self._traces.spans(input.thread_id)) if self._traces else []
        entries = conversation_entries(input.shared_messages, input.scenario_state)
        question = Question(
            criteria=criteria,
            message_ids=frozenset(entry.id for entry in entries),
            span_ids=frozenset(entry.id for entry in spans),
            forced=forced,
            said=_said(input.shared_messages),
        )
        case = JudgeInput(
            question=question,
            situation=input.scenario_state.description,
            entries=entries,
            spans=spans,
            context=(input.judgment_request.context if input.judgment_request else None) or "",
            timeline=self._timeline(input),
            sounds=self._sounds(input, [entry.id for entry in entries]),
        )
        return tally(await self._panel.judgements(case, input.scope))

    def _timeline(self, input: AgentInput) -> str:
        if self._include_timeline is False:
            return ""
        heard = spoken_run(input.scenario_state.view.notes)
        return heard.text() if heard else ""

    def _sounds(self, input: AgentInput, ids: Sequence[str]) -> list[HeardMessage]:
        if self._include_audio is False:
            return []
        found = sounds_in(input.shared_messages, ids)
        choice = self._panel.choice
        return found if found and (self._include_audio or takes_sound(choice.model, choice.name)) else []

    def _result(self, criteria: tuple[str, ...], counted: Tally, input: AgentInput) -> ScenarioResult:
        judgement = counted.judgement
        decisions = [
            CriterionDecision(
                criterion=text,
                decision=finding.decision,
                reason=_with_spans(finding),
                message_ids=list(finding.cites),
            )
            for text, finding in zip(criteria, judgement.findings, strict=True)
        ]
        details: dict[str, Any] = {"model": self._panel.choice.name}
        if sum(counted.votes[0].values()) > 1:
            details |= {"agreement": list(counted.agreement), "votes": list(counted.votes)}
        return ScenarioResult(
            success=judgement.verdict is Verdict.PASS,
            verdict=judgement.verdict,
            reasoning=judgement.reasoning,
            messages=list(input.shared_messages),
            passed_criteria=[item.criterion for item in decisions if item.decision is Decision.MET],
            failed_criteria=[item.criterion for item in decisions if item.decision is not Decision.MET],
            decisions=decisions,
            advisory=self._advisory,
            details=details,
        )


async def _by_probability(model: CompletionModel, criteria: tuple[str, ...], forced: bool, input: AgentInput) -> Tally:
    judgement = await judge_by_probability(model, criteria, input.shared_messages, input.scope)
    if not forced and judgement.verdict is Verdict.FAIL:
        # Such a model says what is true now, not whether it can still change.
        judgement = Judgement(continues=True)
    return tally([judgement])


def _has_to_decide(input: AgentInput) -> bool:
    state = input.scenario_state
    return input.judgment_request is not None or state.current_turn >= state.config.turn_limit - 1


def _agent_has_spoken(input: AgentInput) -> bool:
    return any(message["role"] == "assistant" for message in input.shared_messages)


def _said(messages: Sequence[Message]) -> str:
    arguments = (str(call["function"].get("arguments", "")) for message in messages for call in tool_calls_of(message))
    return "\n".join([*map(text_of, messages), *arguments])


def _with_spans(finding: CriterionFinding) -> str:
    return f"{finding.reason} (traces: {', '.join(finding.spans)})" if finding.spans else finding.reason


def _check_numbers(**least: tuple[int, int]) -> None:
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise ConfigurationError(f"JudgeAgent: {name} is {value}, expected at least {minimum}")


def _checked(criteria: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(criteria, str):
        raise ConfigurationError(f"JudgeAgent: criteria is the string {criteria!r}, expected a list of strings")
    found = tuple(criteria or ())
    if empty := [number for number, text in enumerate(found, 1) if not text.strip()]:
        raise ConfigurationError(
            f"JudgeAgent: criterion number {empty[0]} is empty, expected a statement that has to be true"
        )
    return found
