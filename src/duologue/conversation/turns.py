"""Whose turn it is: the order of roles within a turn, and the driver that asks them one after the other.

A turn asks USER, then AGENT, then JUDGE. Several participants of one role are all asked, in the order in which they
were given, before the next role. Each participant is asked at most once a turn.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Literal, cast

from duologue.conversation.adapter import HeldConversation, JudgmentRequest, UserDone
from duologue.conversation.answers import Answer, Ended
from duologue.conversation.conversation import Call, Conversation, DecisionKind
from duologue.conversation.deadlines import GRACE
from duologue.conversation.duplex import duplex_session, pass_on
from duologue.conversation.result import ScenarioResult, ScenarioState, decisions_from
from duologue.conversation.voice_state import InterruptionConfig
from duologue.conversation.waiting import wait_for_first, wait_for_words
from duologue.errors import MissingRoleError, ScriptError
from duologue.journal.events import AgentCalled, MessageAdded
from duologue.messages import Message, user_message
from duologue.vocabulary import AgentRole, Termination, Verdict

logger = logging.getLogger("duologue.conversation")

ROLE_ORDER = (AgentRole.USER, AgentRole.AGENT, AgentRole.JUDGE)
_PLACES = {role: place for place, role in enumerate(ROLE_ORDER)}

TERMINATIONS = {
    AgentRole.JUDGE: Termination.JUDGED,
    AgentRole.AGENT: Termination.AGENT_DONE,
    AgentRole.USER: Termination.USER_DONE,
}

FIRST_WORD_SECONDS = 15.0
"""That a user who cuts in waits for the agent to say something."""

Callback = Callable[[ScenarioState], "None | Awaitable[None]"]
DeltaListener = Callable[[Conversation, int, str], None]
Part = ScenarioResult | Literal["continued"] | None


class TurnOrder:
    """The part of the open turn that is still to come."""

    def __init__(self, roles: Sequence[AgentRole]) -> None:
        self._roles = tuple(roles)
        everyone = range(len(self._roles))
        self._everyone = [index for role in ROLE_ORDER for index in everyone if self._roles[index] is role]
        self.open()

    def open(self) -> None:
        """Begin a new turn: every role, every participant."""
        self._position = 0
        self._waiting = self._everyone.copy()

    def next(self) -> int | None:
        """The participant to ask next; None when the turn is over."""
        for index in self._waiting:  # in the order of roles
            place = _PLACES[self._roles[index]]
            if place >= self._position:
                self._position = place
                return index
        self._position = len(ROLE_ORDER)
        return None

    def seek(self, role: AgentRole) -> int | None:
        """Pass over the roles before this one; its next participant, or None if this turn has none left."""
        wanted = ROLE_ORDER.index(role)
        if wanted < self._position:
            self._position = len(ROLE_ORDER)
            return None
        self._position = wanted
        return self._first(role)

    def use(self, participant: int) -> None:
        """This participant has had its part in the turn."""
        self._waiting.remove(participant)

    def waiting(self, role: AgentRole) -> list[int]:
        """The participants of that role that have not been asked in this turn."""
        return [index for index in self._waiting if self._roles[index] is role]

    def _first(self, role: AgentRole) -> int | None:
        for index in self._waiting:
            if self._roles[index] is role:
                return index
        return None


class TurnDriver:
    """Asks the participants of a conversation turn by turn.

    Attributes:
        conversation: what it drives.
        termination: why the turns ended, where no result says so.
        on_delta: told of each piece of text that the agent under test streams.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        person: Callable[[ScenarioState], Awaitable[str]] | None = None,
        on_delta: DeltaListener | None = None,
    ) -> None:
        self.conversation = conversation
        self.on_delta = on_delta
        self.termination: Termination | None = None
        self._order = TurnOrder([agent.role for agent in conversation.agents])
        self._person = person
        self._background: tuple[Call, asyncio.Task[ScenarioResult | None]] | None = None
        self._interruptions: InterruptionConfig | None = None

    async def proceed(
        self,
        turns: int | None,
        on_turn: Callback | None,
        on_step: Callback | None,
        interruptions: InterruptionConfig | None = None,
    ) -> ScenarioResult | None:
        """Let the conversation continue until something ends it, or for ``turns`` turns (the open one is the first)."""
        if ended := await self.drain():
            return ended
        view = self.conversation.view
        first: int | None = None
        self._interruptions = interruptions or self._of_the_user()
        while True:
            may_open = turns is None or first is None or view.turn + 1 < first + turns
            outcome = await self.advance(may_open, on_turn)
            first = view.turn if first is None else first
            if outcome is None:
                return None
            if on_step:
                await _call_back(on_step, self.conversation.state)
            if isinstance(outcome, ScenarioResult):
                return outcome

    async def advance(self, may_open: bool = True, on_turn: Callback | None = None) -> Part:
        """One participant's part; None if no more may happen."""
        view = self.conversation.view
        while (index := self._order.next()) is None:
            if (why := self._why_over()) is not None:
                self.termination = why
                return None
            if not may_open:
                return None
            await self._open_turn(on_turn)
            if view.turn >= self.conversation.setup.config.turn_limit:
                return await self._reach_limit()
        self._order.use(index)
        if self._interruptions is not None and may_open and self._is_cut_in_on(index, self._interruptions):
            return await self._part_with_interruption(index, self._interruptions) or "continued"
        return await self._part(index) or "continued"

    async def scripted(self, role: AgentRole, content: Message | None) -> ScenarioResult | None:
        """A part that the script asks for: with fixed content the participant is not called."""
        if role is AgentRole.USER and self._is_heard_at_once():
            if ended := await self.interrupt(1, FIRST_WORD_SECONDS, content, noted=False):
                return ended
        elif ended := await self.drain():
            return ended
        index = await self._claim(role, content)
        if content is None:
            return await self._part(index)
        self.conversation.add(content, stands_in_for=index)
        if role is AgentRole.USER and self.conversation.connected:
            await pass_on(self.conversation)
        return None

    async def judge(self, request: JudgmentRequest) -> ScenarioResult | None:
        """Ask the judge to decide now: for the criteria of the request as a checkpoint, else for the final verdict."""
        if ended := await self.drain():
            return ended
        await self.conversation.checks.check_turn()
        index = await self._claim(AgentRole.JUDGE)
        if request.criteria is not None:
            return await self._decision(index, request, "checkpoint")
        result = await self._decision(index, request)
        return result and await self._with_other_judges(result)

    # --- turns of the agent in the background ------------------------------------------------------------------------

    async def start_in_background(self) -> None:
        """Let the agent answer while the script continues."""
        if self._background is not None:
            raise ScriptError(
                "An agent turn is already in flight: a step that waits, such as duologue.user(), must come between two "
                "duologue.agent(wait=False)."
            )
        self._start(await self._claim(AgentRole.AGENT))

    def _start(self, index: int) -> None:
        call = self._begin(index)
        call.input.streamed = True  # it may be interrupted
        if (session := duplex_session(self.conversation, index)) is not None:
            session.attend(False)
        self._background = call, self.conversation.run.start(self._complete(call))

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background; the result that it ended the run with, if any."""
        if self._background is None or self._background[1] is asyncio.current_task():
            return None
        if (recorded := self.conversation.journal.recorded) is not None:
            recorded.wake()
        if (session := duplex_session(self.conversation, self._background[0].index)) is not None:
            session.attend()
        ended = await self._background[1]
        self._background = None
        return ended

    async def interrupt(
        self, words: int, seconds: float, line: Message | None = None, *, more: float = 0.0, noted: bool = True
    ) -> ScenarioResult | None:
        """Cut the agent off once it has said that many words, or says nothing for so long.

        Args:
            words: that it may say first; an agent that does not stream says nothing before it has finished.
            seconds: that it may take for them.
            line: what the user is going to say, if that is known.
            more: seconds to listen on after those words.
            noted: an agent that has finished before is worth a note.
        """
        if self._background is None:
            await self.start_in_background()
        assert self._background is not None
        call, task = self._background
        if self.conversation.journal.recorded is None or not self.conversation.journal.recorded.has(call.id):
            over = False
            if (session := duplex_session(self.conversation, call.index)) is not None:
                if line is not None:
                    await session.prepare(line)
                over = await wait_for_first(task, session.until_heard(words, seconds, more=more)) is False
            else:
                await wait_for_words(call, task, words, seconds)
                if more and not task.done():
                    await wait_for_first(task, self.conversation.setup.context.clock.sleep(more))
            if not over:
                await self.conversation.interrupt(call, task)
        ended = await self.drain()
        if noted:
            self.conversation.note_if_complete(call, words)
        return ended

    def warn_of_uncalled(self) -> None:
        """Warn of agents and users that had no part in the run, while others of their role had."""
        agents = self.conversation.agents
        if len({agent.role for agent in agents}) == len(agents):
            return
        events = [entry.event for entry in self.conversation.journal.entries]
        used = {event.participant for event in events if isinstance(event, AgentCalled)}
        for event in events:
            if isinstance(event, MessageAdded):
                used |= {event.author, event.stands_in_for}
        roles = {agents[index].role for index in used if index is not None}
        for index, agent in enumerate(agents):
            if index not in used and agent.role in roles and agent.role is not AgentRole.JUDGE:
                logger.warning(
                    "agents[%d] (%s) was never called: in each turn, a step of the script asks the first participant "
                    "of its role that had no part in it. Add a step for it, use duologue.proceed(), or leave it out",
                    index,
                    agent.name,
                )

    async def abandon(self) -> None:
        """Cancel an agent turn that is still in the background."""
        background, self._background = self._background, None
        if background is not None and background[1] is not asyncio.current_task():
            background[1].cancel()
            await asyncio.wait({background[1]}, timeout=GRACE)

    # --- parts of a turn ---------------------------------------------------------------------------------------------

    async def _open_turn(self, on_turn: Callback | None = None) -> None:
        await self.conversation.checks.check_turn()
        self.conversation.open_turn()
        self._order.open()
        if on_turn:
            await _call_back(on_turn, self.conversation.state)

    async def _reach_limit(self) -> ScenarioResult:
        """The turns are used up: the judges are asked once more; without them nothing is decided."""
        result = await self._decide_now(self._order.waiting(AgentRole.JUDGE))
        limit = self.conversation.setup.config.turn_limit
        return (result or _limit_reached(limit)).model_copy(update={"termination": Termination.MAX_TURNS})

    async def _claim(self, role: AgentRole, content: Message | None = None) -> int:
        """The participant whose part is next for this role; a new turn is opened if this one has none left."""
        index = self._order.seek(role)
        if index is None and any(agent.role is role for agent in self.conversation.agents):
            await self._open_turn()
            index = self._order.seek(role)
        if index is None:
            raise MissingRoleError(_missing(role, content))
        self._order.use(index)
        return index

    async def _part(self, index: int) -> ScenarioResult | None:
        """One participant's part in the turn; a result if it ends the run."""
        conversation = self.conversation
        agent = conversation.agents[index]
        if agent.role is AgentRole.JUDGE:
            return await self._judge_part(index)
        if agent.role is AgentRole.USER and self._person and (text := await self._person(conversation.state)):
            conversation.add(user_message(text), stands_in_for=index)
            if conversation.connected:
                await pass_on(conversation)
            return None
        answer = await conversation.complete(self._begin(index))
        if agent.role is AgentRole.USER and conversation.connected:
            await pass_on(conversation)
        return self._taken(index, answer)

    # --- users that cut in -------------------------------------------------------------------------------------------

    def _is_heard_at_once(self) -> bool:
        """Whether an agent is answering in the background that hears the user meanwhile."""
        return self._background is not None and duplex_session(self.conversation, self._background[0].index) is not None

    def _of_the_user(self) -> InterruptionConfig | None:
        """How often the simulated user says that it cuts in, in a conversation in voice."""
        conversation = self.conversation
        if not conversation.connected:
            return None
        if not any(duplex_session(conversation, index) for index in range(len(conversation.agents))):
            return None
        for agent in conversation.agents:
            if agent.role is AgentRole.USER and (said := getattr(agent, "interruptions", None)) is not None:
                return cast("InterruptionConfig", said)
            if agent.role is AgentRole.USER and (often := getattr(agent, "interrupt_probability", 0.0)):
                return InterruptionConfig(probability=often)
        return None

    def _is_cut_in_on(self, index: int, interruptions: InterruptionConfig) -> bool:
        """Whether the user cuts in on this part: on an agent that answers bit by bit, with a turn left to speak in."""
        conversation = self.conversation
        if conversation.agents[index].role is not AgentRole.AGENT or conversation.session_of(index) is None:
            return False
        if not any(agent.role is AgentRole.USER for agent in conversation.agents) or self._why_over() is not None:
            return False
        if conversation.view.turn + 1 >= conversation.setup.config.turn_limit:
            return False
        return self._chance("interrupts").random() < interruptions.probability

    def _chance(self, what: str) -> Random:
        return self.conversation.setup.context.random("interruptions", what, self.conversation.view.turn)

    async def _part_with_interruption(self, index: int, interruptions: InterruptionConfig) -> ScenarioResult | None:
        """The agent's part, in which the user cuts in; and the user's line, with which the next turn begins."""
        self._start(index)
        chance = self._chance("how")
        line = None
        if interruptions.strategy == "random_phrase":
            line = user_message(chance.choice(list(interruptions.phrases)))
        more = chance.uniform(*interruptions.delay_range)
        if ended := await self.interrupt(1, FIRST_WORD_SECONDS, line, more=more, noted=False):
            return ended
        if self._why_over() is not None:
            return None
        return await self.scripted(AgentRole.USER, line)

    def _begin(self, index: int) -> Call:
        on_delta = self.on_delta
        if on_delta is None or self.conversation.agents[index].role is not AgentRole.AGENT:
            return self.conversation.begin(index)
        return self.conversation.begin(index, on_delta=lambda text: on_delta(self.conversation, index, text))

    async def _complete(self, call: Call) -> ScenarioResult | None:
        return self._taken(call.index, await self.conversation.complete(call))

    def _taken(self, index: int, answer: Answer) -> ScenarioResult | None:
        """What an answer means for the turn; a result if it ends the run."""
        if isinstance(answer, (list, Ended, HeldConversation)):
            return None
        if isinstance(answer, UserDone) and answer.message is None:
            self._order.seek(AgentRole.JUDGE)
        return self._decided(index, answer)

    # --- judges ------------------------------------------------------------------------------------------------------

    async def _judge_part(self, index: int) -> ScenarioResult | None:
        await self.conversation.checks.check_turn()
        over = self._why_over()
        result = await self._decision(index, JudgmentRequest() if over else None)
        if result is None:
            return None
        result = await self._with_other_judges(result)
        return result.model_copy(update={"termination": over}) if over else result

    def _why_over(self) -> Termination | None:
        """Why the conversation is over, if its user has nothing more to say or its agent has ended it."""
        finished = self.conversation.view.user_finished
        return None if finished is None else TERMINATIONS[self.conversation.agents[finished.participant].role]

    async def _with_other_judges(self, result: ScenarioResult) -> ScenarioResult:
        """A judge that passes the run is not enough when others wait: all of them must."""
        return await self._decide_now(self._order.waiting(AgentRole.JUDGE), result) or result

    async def _decide_now(self, judges: list[int], first: ScenarioResult | None = None) -> ScenarioResult | None:
        """Ask these judges to decide, after ``first`` if another one has already; a pass needs all of them.

        The first judge that does not pass ends the asking. None if no judge decides.
        """
        results = [first] if first else []
        for index in judges:
            if results and not results[-1].success:
                break
            result = await self._decision(index, JudgmentRequest())
            if result:
                results.append(result)
        return _combined(results)

    async def _decision(
        self, index: int, request: JudgmentRequest | None, kind: DecisionKind = "final"
    ) -> ScenarioResult | None:
        """What a participant decides; None if it lets the conversation continue or is only advisory."""
        return self._decided(index, await self.conversation.ask(index, request, kind=kind))

    def _decided(self, index: int, answer: Answer) -> ScenarioResult | None:
        if not isinstance(answer, ScenarioResult) or answer.advisory:
            return None
        why = answer.termination or TERMINATIONS[self.conversation.agents[index].role]
        return answer.model_copy(update={"termination": why, "decisions": decisions_from(answer)})


def _limit_reached(limit: int) -> ScenarioResult:
    """The result of a run that uses up its turns when nobody decides."""
    return ScenarioResult(
        success=False,
        verdict=Verdict.UNDECIDED,
        termination=Termination.MAX_TURNS,
        reasoning=f"Reached maximum turns ({limit}) without conclusion",
    )


def _combined(results: list[ScenarioResult]) -> ScenarioResult | None:
    if len(results) < 2:
        return results[0] if results else None
    last = results[-1]
    return last.model_copy(
        update={
            "reasoning": "\n".join(result.reasoning for result in results if result.reasoning),
            "passed_criteria": [text for result in results for text in result.passed_criteria],
            "failed_criteria": [text for result in results for text in result.failed_criteria],
            "decisions": [decision for result in results for decision in result.decisions],
        }
    )


def _missing(role: AgentRole, content: Message | None) -> str:
    given = f" with content `{content.get('content')}`" if content else ""
    wanted = {
        AgentRole.USER: "a duologue.UserSimulatorAgent()",
        AgentRole.AGENT: "your agent",
        AgentRole.JUDGE: "a duologue.JudgeAgent()",
    }
    return (
        f"Cannot generate a message for role `{role.value}`{given}, because no agent with this role was found: add "
        f"{wanted[role]} to the scenario's `agents` list."
    )


async def _call_back(callback: Callback, state: ScenarioState) -> None:
    value = callback(state)
    if inspect.isawaitable(value):
        await value
