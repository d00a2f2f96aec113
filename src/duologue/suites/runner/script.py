"""What happens in one run: who takes part, and what each turn of the scenario does.

A turn is a line or a simulated user, the agent's answer, and the checks of the turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, cast

from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.held import AGENT_ENDED
from duologue.conversation.result import RunControl, ScenarioResult, ScenarioState
from duologue.conversation.script import agent as agent_step
from duologue.conversation.script import message as message_step
from duologue.conversation.script import proceed
from duologue.conversation.setup import Check, ScriptStep
from duologue.errors import ScriptError
from duologue.frozen import frozen
from duologue.messages import ContentPart, Message, ToolCall
from duologue.specs.scenario import Scenario, SeedMessage, Turn
from duologue.vocabulary import AgentRole, CheckStatus, Termination, Verdict

if TYPE_CHECKING:
    from duologue.suites.runner.user_voice import SpokenUser

_SPEAKS_WITHIN = 60.0
"""Seconds in which an agent that is to be cut in on must have begun."""
STOPPED = "The conversation was ended because the answer failed a check of its turn."


@frozen
class Participants:
    """Who takes part in one run, and what happens in it.

    Attributes:
        name, description: of the scenario.
        agents: the participants.
        script: the steps; empty for a free conversation.
        checks: of every turn and of the whole conversation, in addition to those in the steps.
        metadata: facts that the journal keeps.
    """

    name: str
    description: str
    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...]
    checks: tuple[Check, ...]
    metadata: Mapping[str, Any]


class SilentUser(AgentAdapter):
    """The user of a scenario in which every line is written down: it takes part, and is never asked.

    Args:
        spoken: how it sounds where its lines are spoken; None in writing.
    """

    role: ClassVar[AgentRole] = AgentRole.USER

    def __init__(self, spoken: SpokenUser | None = None) -> None:
        self.voice = spoken.voice if spoken else None
        self.audio_effects = tuple(spoken.effects) if spoken else ()

    @property
    def name(self) -> str:
        """What reports call it."""
        return "user"

    async def call(self, input: AgentInput) -> NoReturn:
        """Refuse: the script holds what the user says."""
        raise ScriptError("every line of the user is written in the scenario; none is left to be made up", who="user")


class TurnListener(Protocol):
    """A participant that wants to know which turn of the scenario is being played."""

    turn_spec: Turn | None


@frozen
class TurnStep:
    """Plays one turn of a scenario; a simulated one takes several turns of the conversation.

    Attributes:
        index: which turn of the scenario, from 0.
        turn: as it was written.
        line: what the user says; None where the user is simulated.
        checks: what must be true of each answer.
        listeners: who is told of the turn.
        stop: end the conversation after an answer that fails a check.
        is_cut: the user cuts in on the answer with the next turn.
    """

    index: int
    turn: Turn
    line: Message | None
    checks: Sequence[Check]
    listeners: Sequence[TurnListener]
    stop: bool = False
    is_cut: bool = False

    @property
    def __name__(self) -> str:  # what the journal calls the step
        return f"turn {self.index + 1}"

    async def __call__(self, state: ScenarioState) -> ScenarioResult | None:
        """Play the turn; a result if it ends the run."""
        executor = state.executor
        if (finished := executor.journal.view.user_finished) is not None and finished.reason == AGENT_ENDED:
            return None
        for listener in self.listeners:
            listener.turn_spec = self.turn
        if self.line is not None:
            return await self._said(executor, self.line) or await self._heard(executor)
        return await self._simulated(executor)

    async def _simulated(self, executor: RunControl) -> ScenarioResult | None:
        view = executor.journal.view
        for _ in range(self.turn.most_exchanges):
            done_before, said = view.user_finished, len(view.records)
            ended = await executor.user()
            finished = view.user_finished is not done_before
            if ended or (finished and len(view.records) == said):
                return ended
            ended = await self._heard(executor)
            if ended or finished or view.user_finished is not done_before:
                return ended
        return None

    async def _said(self, executor: RunControl, line: Message) -> ScenarioResult | None:
        """The user's line, with which it may cut in on the answer to the turn before."""
        words = self.turn.interrupts_after
        if words is None:
            return await executor.user(line)
        return await executor.interrupt(line, after_words=words, timeout=_SPEAKS_WITHIN)

    async def _heard(self, executor: RunControl) -> ScenarioResult | None:
        """The agent's part of the turn, and what the checks say of it."""
        if self.is_cut:
            return await executor.agent(wait=False)
        ended = await executor.agent()
        if not self.checks:
            return ended
        view = executor.journal.view
        records = [record for record in view.records if record.turn == view.turn]
        outcomes = await executor.evaluate(self.checks, records)
        if ended is None and self.stop and any(item.status is CheckStatus.FAILED for item in outcomes):
            return ScenarioResult(
                success=False, verdict=Verdict.FAIL, termination=Termination.SCRIPT_END, reasoning=STOPPED
            )
        return ended


async def final_judgement(state: ScenarioState) -> ScenarioResult | None:
    """The last step of a scripted scenario with criteria: the judge decides."""
    return await state.executor.judge()


def opening_steps(messages: Sequence[Message], scenario: Scenario) -> list[ScriptStep]:
    """The steps up to the turns of a scenario; all of them if it has none. An empty list is a free conversation.

    Args:
        messages: those that the conversation begins with.
        scenario: what is rehearsed.
    """
    steps: list[ScriptStep] = [message_step(message) for message in messages]
    if scenario.first_turn == "agent":
        steps.append(agent_step())
    if scenario.turns:
        return [*steps, agent_step()] if messages and messages[-1]["role"] == "user" else steps
    limit = scenario.message_limit
    if limit is not None and not scenario.ends_on_criteria:
        return [*steps, UntilMessages(limit=limit, judged=scenario.judged)]
    return [*steps, proceed()] if steps else steps


def seed_message(spec: SeedMessage, content: str | list[ContentPart]) -> Message:
    """A message that a conversation begins with, as a chat message.

    Args:
        spec: as it was written.
        content: its content, with everything filled in.
    """
    message: Message = {"role": spec.role, "content": None if spec.content is None and not spec.parts else content}
    if spec.tool_calls:
        message["tool_calls"] = cast("list[ToolCall]", list(spec.tool_calls))
    if spec.tool_call_id is not None:
        message["tool_call_id"] = spec.tool_call_id
    if spec.name is not None:
        message["name"] = spec.name
    return message


@frozen
class UntilMessages:
    """Lets the conversation continue until user and agent have written so many messages.

    Attributes:
        limit: how many.
        judged: whether a judge decides at the end.
    """

    limit: int
    judged: bool = False

    @property
    def __name__(self) -> str:  # what the journal calls the step
        return f"until {self.limit} messages"

    async def __call__(self, state: ScenarioState) -> ScenarioResult | None:
        """Play turn after turn; a result if something ends the run earlier."""
        executor = state.executor
        view = executor.journal.view
        while sum(message["role"] in {"user", "assistant"} for message in view.messages) < self.limit:
            before = len(view.records)
            if ended := await executor.proceed(1):
                return ended
            if len(view.records) == before:  # the user is done
                break
        return await executor.judge() if self.judged else None
