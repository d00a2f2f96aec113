"""Plays one scenario: whose turn it is, what a step does, when the conversation is over.

The executor decides what happens next; the stage makes it happen and the journal records it. Beginning and ending a run
(ids, timeouts, errors, the verdict) is in ``performance``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from duologue.context import Context
from duologue.conversation.adapter import AgentAdapter, JudgmentRequest, UserDone
from duologue.conversation.answers import normalise
from duologue.conversation.checking import CheckLike, as_check
from duologue.conversation.debugging import ask_person
from duologue.conversation.judging import ask_judge, decide_now, limit_reached, record_decision
from duologue.conversation.performance import Performance, cancelled, perform
from duologue.conversation.result import ScenarioResult
from duologue.conversation.setup import (
    DEFAULT_SET,
    RunSetup,
    ScriptStep,
    batch_id,
    checked_agents,
    checked_script,
    checked_text,
    plain,
)
from duologue.conversation.setup import context_for as _context_for
from duologue.conversation.stage import Stage
from duologue.conversation.state import ScenarioState
from duologue.errors import MissingRoleError, ScriptError
from duologue.journal.journal import Journal, Listener
from duologue.messages import Message, user_message
from duologue.models.budget import Budget, Ledger
from duologue.models.cassette import CassetteMode
from duologue.models.recall import Recall
from duologue.settings import ScenarioConfig, effective_config
from duologue.vocabulary import AgentRole, CheckStatus, Termination, Verdict

Callback = Callable[[ScenarioState], "None | Awaitable[None]"]
OnDelta = Callable[[Stage, int, str], None]

SUCCEEDED = "Scenario marked as successful with duologue.succeed()"
FAILED = "Scenario marked as failed with duologue.fail()"


class ScenarioExecutor:
    """One scenario, ready to be played any number of times; each play is a run of its own.

    Most callers want :func:`duologue.run`. Steps of your own reach the executor of their run by ``state.executor``;
    its coroutines ``user``, ``agent``, ``judge``, ``message``, ``proceed``, ``check``, ``succeed`` and ``fail`` are
    what the steps of the same names call.

    Args:
        name, description, agents, script: the scenario; see :func:`duologue.run`.
        max_turns, verbose, cache_key, debug: settings of this run; None takes the configured default.
        set_id, batch_run_id, metadata: for grouping and finding runs.
        checks: assertions that are evaluated by code, at the end of each turn or of the conversation.
        config: all settings at once, in place of the configured defaults.
        context: clock, ids and seed.
        budget, cassette, cassette_mode: see :func:`duologue.prepare`.
        ledger: what this run spends from together with others.
        recall: what models answered in a play of this run that was cut off.
        listeners: told of every event.
    """

    def __init__(
        self,
        name: str,
        description: str,
        agents: Sequence[AgentAdapter] = (),
        script: Sequence[ScriptStep] | None = None,
        max_turns: int | None = None,
        verbose: bool | int | None = None,
        cache_key: str | None = None,
        debug: bool | None = None,
        set_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        checks: Sequence[CheckLike] = (),
        batch_run_id: str | None = None,
        config: ScenarioConfig | None = None,
        context: Context | None = None,
        budget: Budget | None = None,
        ledger: Ledger | None = None,
        cassette: str | Path | None = None,
        cassette_mode: CassetteMode | str = CassetteMode.AUTO,
        recall: Recall | None = None,
        listeners: Sequence[Listener] = (),
        on_delta: OnDelta | None = None,
    ) -> None:
        given = {"max_turns": max_turns, "verbose": verbose, "cache_key": cache_key, "debug": debug}
        self.config = config or effective_config(**given)
        self.setup = RunSetup(
            name=checked_text(name, "name"),
            description=checked_text(description, "description"),
            agents=checked_agents(agents),
            script=checked_script(script) or (_proceed,),
            checks=tuple(as_check(check) for check in checks),
            config=self.config,
            context=_context_for(self.config, context),
            set_id=set_id or DEFAULT_SET,
            batch_run_id=batch_id(batch_run_id),
            metadata=plain(metadata or {}, "metadata"),
            budget=budget,
            ledger=ledger,
            cassette=(cassette, CassetteMode(cassette_mode)) if cassette else None,
            recall=recall,
        )
        self.listeners = tuple(listeners)
        self.on_delta = on_delta
        self.failure: BaseException | None = None
        self.termination: Termination | None = None
        self._playing = False
        self._performance: Performance | None = None
        self._stage: Stage | None = None
        self._background: asyncio.Task[ScenarioResult | None] | None = None

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def run(self) -> ScenarioResult:
        """Play the scenario from first turn to verdict.

        Raises:
            AssertionError: a step's assertion failed; the run is recorded as a fail.
            RunError, ConfigurationError: the run could not reach a verdict; ``error.result`` has what there is.
        """
        result = await self.perform()
        if self.failure is not None:
            raise self.failure
        return result

    async def perform(self) -> ScenarioResult:
        """Like :meth:`run`, but a failure is kept in ``self.failure`` and the result says what came of the run."""
        if self._playing:
            raise ScriptError(f"the scenario '{self.name}' is being played already: prepare one for each run at once")
        self._playing = True
        try:
            self.reset()
            return await perform(self)
        finally:
            self._playing = False

    def reset(self) -> None:
        """Begin a new run: new ids, no messages, turn 0."""
        self.failure = self.termination = self._background = None
        self._performance = Performance.begin(self.setup, self, self.listeners)
        self._stage = self._performance.stage

    @property
    def performance(self) -> Performance:
        """The run in progress."""
        if self._performance is None:
            self.reset()
        assert self._performance is not None
        return self._performance

    @property
    def stage(self) -> Stage:
        """The conversation in progress; a run is begun if there is none."""
        return self._stage or self.performance.stage

    @property
    def state(self) -> ScenarioState:
        """The run so far."""
        return self.stage.state

    @property
    def journal(self) -> Journal:
        """The journal of the run in progress."""
        return self.stage.journal

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.setup.name

    @property
    def description(self) -> str:
        """The situation."""
        return self.setup.description

    @property
    def agents(self) -> tuple[AgentAdapter, ...]:
        """The participants."""
        return self.setup.agents

    @property
    def script(self) -> tuple[ScriptStep, ...]:
        """The steps."""
        return self.setup.script

    @property
    def scenario_set_id(self) -> str:
        """The set that the run belongs to."""
        return self.setup.set_id

    # --- messages ----------------------------------------------------------------------------------------------------

    def add_message(self, message: Message, from_agent_idx: int | None = None) -> None:
        """Put a message into the conversation, by the participant of that index or by nobody."""
        for item in _messages(message):
            self.stage.add(item, author=from_agent_idx)

    def add_messages(self, messages: Sequence[Message], from_agent_idx: int | None = None) -> None:
        """Put several messages into the conversation."""
        for message in messages:
            self.add_message(message, from_agent_idx)

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        return self.stage.roll_back(index)

    # --- steps -------------------------------------------------------------------------------------------------------

    async def message(self, message: Message) -> ScenarioResult | None:
        """Put a message in: as the user's or agent's part in the turn, or beside the turns for other roles."""
        [message] = _messages(message)
        roles = {"user": AgentRole.USER, "assistant": AgentRole.AGENT}
        if message["role"] in roles:
            return await self._scripted(roles[message["role"]], message)
        ended = await self.drain()
        if ended is None:
            self.stage.add(message)
        return ended

    async def user(self, content: str | Message | None = None) -> ScenarioResult | None:
        """The user's part: this line, or what the simulated user says."""
        return await self._scripted(AgentRole.USER, _line(content, "user"))

    async def agent(self, content: str | Message | None = None, *, wait: bool = True) -> ScenarioResult | None:
        """The agent's part: this line, or what the agent answers; with ``wait=False`` in the background."""
        if not wait and content is None:
            await self._start_in_background()
            return None
        return await self._scripted(AgentRole.AGENT, _line(content, "assistant"))

    async def judge(
        self, criteria: Sequence[str] | None = None, *, context: str | None = None
    ) -> ScenarioResult | None:
        """Ask the judge to decide: these criteria as a checkpoint, or its own for the final verdict.

        Returns:
            None if the script goes on: a checkpoint that passed, or a judge that decides nothing.
        """
        if ended := await self.drain():
            return ended
        await self.stage.check_turn()
        index = await self._claim(AgentRole.JUDGE)
        if criteria is None:
            result = await ask_judge(self.stage, index, JudgmentRequest(context=context))
            return result and await self._with_other_judges(result)
        request = JudgmentRequest(criteria=list(criteria), context=context)
        result = await ask_judge(self.stage, index, request, "checkpoint")
        if result is None or result.success:
            return None
        view = self.stage.view
        return result.model_copy(
            update={"passed_criteria": view.passed_criteria, "failed_criteria": view.failed_criteria}
        )

    async def check(self, *checks: CheckLike) -> ScenarioResult | None:
        """Evaluate checks now; all of them are reported, and any that fails ends the run."""
        if ended := await self.drain():
            return ended
        outcomes = await self.stage.evaluate([as_check(check) for check in checks], list(self.stage.view.records))
        if all(outcome.status is not CheckStatus.FAILED for outcome in outcomes):
            return None
        return ScenarioResult(success=False, verdict=Verdict.FAIL, termination=Termination.SCRIPT_END)

    async def proceed(
        self, turns: int | None = None, on_turn: Callback | None = None, on_step: Callback | None = None
    ) -> ScenarioResult | None:
        """Let the conversation go on until something ends it, or for ``turns`` turns (the open one is the first).

        Args:
            turns: how many; None for no limit but ``max_turns``.
            on_turn: called when a new turn begins.
            on_step: called after each participant's part.
        """
        if not self.agents:
            raise MissingRoleError("The scenario has no agents, so there is nobody to proceed with: pass agents=[…].")
        if ended := await self.drain():
            return ended
        first: int | None = None
        while True:
            view = self.stage.view
            may_open = turns is None or first is None or view.turn + 1 < first + turns
            outcome = await self._advance(may_open, on_turn)
            first = view.turn if first is None else first
            if outcome is None:
                return None
            if on_step:
                await _call_back(on_step, self.state)
            if isinstance(outcome, ScenarioResult):
                return outcome

    async def step(self) -> list[Message] | ScenarioResult:
        """The next participant's part; opens a turn when one is over.

        Returns:
            The messages that it added, or the result that it ended the run with.
        """
        ended = await self.drain()
        before = len(self.stage.view.messages)
        outcome = ended or await self._advance(True, None)
        if isinstance(outcome, ScenarioResult):
            return outcome
        if outcome is None:
            raise ScriptError("No result from step: the conversation is over.")
        return self.stage.view.messages[before:]

    async def succeed(self, reasoning: str | None = None) -> ScenarioResult:
        """End the run as a pass."""
        return ScenarioResult(success=True, reasoning=reasoning or SUCCEEDED, termination=Termination.SCRIPT_END)

    async def fail(self, reasoning: str | None = None) -> ScenarioResult:
        """End the run as a fail."""
        return ScenarioResult(success=False, reasoning=reasoning or FAILED, termination=Termination.SCRIPT_END)

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background; the result that it ended the run with, if any."""
        task = self._background
        if task is None or task is asyncio.current_task():
            return None
        ended = await task
        self._background = None
        return ended

    def give_up(self) -> None:
        """Close the journal of a run whose thread does not answer: it was cancelled. Safe from any thread."""
        if self._performance is not None:
            self._performance.finish(cancelled(self._performance))
            self._performance.announce()

    async def abandon(self) -> None:
        """Cancel an agent turn that is still in the background."""
        task, self._background = self._background, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- the turn loop -----------------------------------------------------------------------------------------------

    async def _advance(self, may_open: bool, on_turn: Callback | None) -> ScenarioResult | Literal["went on"] | None:
        """One participant's part; None if no more may happen."""
        stage = self.stage
        while (index := stage.order.next()) is None:
            if stage.view.user_finished is not None:
                self.termination = Termination.USER_DONE
                return None
            if not may_open:
                return None
            await self._open_turn(on_turn)
            if stage.view.turn >= self.config.turn_limit:
                return await self._reach_limit()
        stage.order.use(index)
        return await self._part(index) or "went on"

    async def _open_turn(self, on_turn: Callback | None = None) -> None:
        await self.stage.check_turn()
        self.stage.open_turn()
        if on_turn:
            await _call_back(on_turn, self.state)

    async def _reach_limit(self) -> ScenarioResult:
        """The turns are used up: the judges are asked once more; without them nothing is decided."""
        judges = self.stage.order.waiting(AgentRole.JUDGE)
        result = await decide_now(self.stage, judges) or limit_reached(self.config.turn_limit)
        return result.model_copy(update={"termination": Termination.MAX_TURNS})

    async def _part(self, index: int) -> ScenarioResult | None:
        """One participant's part in the turn; a result if it ends the run."""
        agent = self.agents[index]
        if agent.role is AgentRole.JUDGE:
            return await self._judge_part(index)
        if agent.role is AgentRole.USER and self.config.debug and (text := await ask_person(self.state)):
            self.stage.add(user_message(text), stands_in_for=index)
            return None
        answer = await self.stage.ask(index, on_delta=self._delta_of(index))
        if isinstance(answer, UserDone) and answer.message is None:
            self.stage.order.seek(AgentRole.JUDGE)
        return record_decision(self.stage, index, answer)

    async def _judge_part(self, index: int) -> ScenarioResult | None:
        await self.stage.check_turn()
        over = self.stage.view.user_finished is not None
        result = await ask_judge(self.stage, index, JudgmentRequest() if over else None)
        if result is None:
            return None
        result = await self._with_other_judges(result)
        return result.model_copy(update={"termination": Termination.USER_DONE}) if over else result

    async def _with_other_judges(self, result: ScenarioResult) -> ScenarioResult:
        """A judge that passes the run is not enough when others wait: all of them must."""
        waiting = self.stage.order.waiting(AgentRole.JUDGE)
        return await decide_now(self.stage, waiting, result) or result

    async def _scripted(self, role: AgentRole, content: Message | None) -> ScenarioResult | None:
        """A part that the script asks for: with fixed content the participant is not called."""
        if ended := await self.drain():
            return ended
        index = await self._claim(role, content)
        if content is None:
            return await self._part(index)
        self.stage.add(content, stands_in_for=index)
        return None

    async def _claim(self, role: AgentRole, content: Message | None = None) -> int:
        """The participant whose part is next for this role; a new turn is opened if this one has none left."""
        order = self.stage.order
        index = order.seek(role)
        if index is None and any(agent.role is role for agent in self.agents):
            await self._open_turn()
            index = order.seek(role)
        if index is None:
            raise MissingRoleError(_missing(role, content))
        order.use(index)
        return index

    async def _start_in_background(self) -> None:
        if self._background is not None:
            raise ScriptError(
                "An agent turn is already in flight: a step that waits, such as duologue.user(), must come between two "
                "duologue.agent(wait=False)."
            )
        index = await self._claim(AgentRole.AGENT)
        self._background = asyncio.get_running_loop().create_task(self._part(index))

    def _delta_of(self, index: int) -> Callable[[str], None] | None:
        tell = self.on_delta
        if tell is None or self.agents[index].role is not AgentRole.AGENT:
            return None
        return lambda text: tell(self.stage, index, text)


def _proceed(state: ScenarioState) -> Awaitable[ScenarioResult | None]:
    return state.executor.proceed()


_proceed.__name__ = "proceed"


def _line(content: str | Message | None, role: str) -> Message | None:
    if isinstance(content, str):
        return {"role": role, "content": content}
    return None if content is None else _messages(content)[0]


def _messages(value: object) -> list[Message]:
    answer = normalise(value, AgentRole.USER, "the script")
    return answer if isinstance(answer, list) else []


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
