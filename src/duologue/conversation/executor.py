"""The public face of a run: a scenario that is ready to be played, and the steps that its script may take.

Whose turn it is, is decided in ``turns``; what is said is kept by ``conversation``; beginning and end are in
``lifecycle``.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from collections.abc import Awaitable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from duologue.context import Context
from duologue.conversation.adapter import AgentAdapter, JudgmentRequest
from duologue.conversation.calls import messages_of
from duologue.conversation.conversation import Conversation
from duologue.conversation.lifecycle import Conclusion, RunLifecycle, conclude
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.setup import (
    DEFAULT_SET,
    CheckLike,
    RunSetup,
    ScriptStep,
    as_check,
    batch_id,
    checked_agents,
    checked_script,
    checked_text,
    plain,
    step_name,
    whole_number,
)
from duologue.conversation.setup import context_for as _context_for
from duologue.conversation.turns import Callback, DeltaListener, TurnDriver
from duologue.conversation.voice_state import Delivery, InterruptionConfig, VoiceListeners
from duologue.errors import ConfigurationError, MissingRoleError, ScriptError
from duologue.journal.artifacts import ArtifactStore
from duologue.journal.events import CheckEvaluated, MessageAdded, StepStarted
from duologue.journal.journal import Journal, JournalSink, Listener
from duologue.journal.run_journal import RunJournal
from duologue.messages import Message
from duologue.models.scope import Budget, Ledger
from duologue.settings import ScenarioConfig, effective_config
from duologue.vocabulary import AgentRole, CassetteMode, CheckStatus, Termination, Verdict

SUCCEEDED = "Scenario marked as successful with duologue.succeed()"
FAILED = "Scenario marked as failed with duologue.fail()"
PROMPT = "[debug] Your message as the user (Enter lets the simulated user speak): "


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
        recorded_in: where the journal of the run is kept, in place of ``record``.
        resume: continue the run that its journal holds, if it was interrupted.
        sinks: keep the journal as well.
        artifacts: keeps media and other bytes of the run; None for the folder ``media`` beside the journal.
        voice: who listens to the sound of a conversation in voice.
        listeners: told of every event.
        on_delta: told of each piece of text that the agent under test streams.
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
        recorded_in: RunJournal | None = None,
        resume: bool = False,
        sinks: Sequence[JournalSink] = (),
        artifacts: ArtifactStore | None = None,
        voice: VoiceListeners | None = None,
        listeners: Sequence[Listener] = (),
        on_delta: DeltaListener | None = None,
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
            recorded_in=recorded_in,
            resume=resume,
            sinks=tuple(sinks),
            artifacts=artifacts,
            voice=voice,
        )
        self.listeners = tuple(listeners)
        self.on_delta = on_delta
        self._playing = False
        self._lifecycle: RunLifecycle | None = None
        self._driver: TurnDriver | None = None

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
        """Like :meth:`run`, but a failure is kept in ``self.failure`` and is part of the result."""
        if self._playing:
            raise ScriptError(f"the scenario '{self.name}' is being played already: prepare one for each run at once")
        self._playing = True
        try:
            self.reset()
            return await self.lifecycle.run(self._play, self.driver.abandon)
        finally:
            self._playing = False

    def reset(self) -> None:
        """Begin a new run: new ids, no messages, turn 0."""
        self._lifecycle = RunLifecycle(self.setup, self, self.listeners)
        person = _ask_person if self.config.debug and not self.config.headless else None
        self._driver = TurnDriver(self._lifecycle.conversation, person=person, on_delta=self.on_delta)

    async def _play(self) -> Conclusion:
        conversation, driver = self.conversation, self.driver
        ended_by: ScenarioResult | None = None
        for index, step in enumerate(self.script):
            conversation.journal.append(StepStarted(index=index, name=step_name(step)))
            value = step(conversation.state)
            ended_by = _ending(step, await value if inspect.isawaitable(value) else value)
            if conversation.run.disturbed and await conversation.run.settle():
                raise ScriptError(f"the script step '{step_name(step)}' cancelled its own task")
            conversation.run.check_going_on()
            if ended_by is not None:
                break
        ended_by = await driver.drain() or ended_by
        await conversation.conclude()  # a voice agent would keep talking while models check what it has said
        await conversation.checks.check_conversation()
        driver.warn_of_uncalled()
        return conclude(conversation.view, ended_by, driver.termination)

    async def give_up(self, error: Exception | None = None) -> ScenarioResult:
        """End a run that does not end by itself: as an error, or without one as cancelled. Safe from any thread."""
        return await self.lifecycle.give_up(error)

    async def start_again(self, error: Exception) -> ScenarioExecutor:
        """Another executor of the same scenario, in place of this one, whose run cannot go on and counts as not played.

        What it has recorded is set aside, under a name that ends with ``.replaced``.
        """
        if self._lifecycle is not None:
            await self._lifecycle.withdraw(error)
        again = copy(self)
        again._playing, again._lifecycle, again._driver = False, None, None
        return again

    @property
    def failure(self) -> BaseException | None:
        """The exception that the run ended with, if it did."""
        return self._lifecycle.failure if self._lifecycle else None

    @property
    def lifecycle(self) -> RunLifecycle:
        """The run in progress; one is begun if there is none."""
        if self._lifecycle is None:
            self.reset()
        assert self._lifecycle is not None
        return self._lifecycle

    @property
    def driver(self) -> TurnDriver:
        """Whose turn it is in the run in progress."""
        if self._driver is None:
            self.reset()
        assert self._driver is not None
        return self._driver

    @property
    def conversation(self) -> Conversation:
        """The conversation in progress."""
        return self.lifecycle.conversation

    @property
    def state(self) -> ScenarioState:
        """The run so far."""
        return self.conversation.state

    @property
    def journal(self) -> Journal:
        """The journal of the run in progress."""
        return self.conversation.journal

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

    @property
    def batch_run_id(self) -> str | None:
        """The batch that the run belongs to, if it does to one."""
        return self.setup.batch_run_id

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was given to find the run by."""
        return self.setup.metadata

    # --- messages ----------------------------------------------------------------------------------------------------

    def add_message(self, message: Message, from_agent_idx: int | None = None) -> None:
        """Put a message into the conversation, by the participant of that index or by nobody."""
        for item in messages_of(message, "the script"):
            self.conversation.add(item, author=from_agent_idx)

    def add_messages(self, messages: Sequence[Message], from_agent_idx: int | None = None) -> None:
        """Put several messages into the conversation."""
        for message in messages:
            self.add_message(message, from_agent_idx)

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        return self.conversation.roll_back(index)

    # --- steps -------------------------------------------------------------------------------------------------------

    async def message(self, message: Message) -> ScenarioResult | None:
        """Put a message in: as the user's or agent's part in the turn, or beside the turns for other roles."""
        [message] = messages_of(message, "the script")
        roles = {"user": AgentRole.USER, "assistant": AgentRole.AGENT}
        if message["role"] in roles:
            return await self.driver.scripted(roles[message["role"]], message)
        ended = await self.driver.drain()
        if ended is None:
            self.conversation.add(message)
        return ended

    async def user(
        self, content: str | Message | None = None, *, delivery: Delivery | None = None
    ) -> ScenarioResult | None:
        """The user's part: this line, or what the simulated user says; ``delivery`` says how it is spoken."""
        if delivery is not None:
            self.state.voice.delivery = delivery
        return await self.driver.scripted(AgentRole.USER, _line(content, "user"))

    async def agent(self, content: str | Message | None = None, *, wait: bool = True) -> ScenarioResult | None:
        """The agent's part: this line, or what the agent answers; with ``wait=False`` in the background."""
        if not wait and content is None:
            await self.driver.start_in_background()
            return None
        return await self.driver.scripted(AgentRole.AGENT, _line(content, "assistant"))

    async def interrupt(
        self, content: str | Message | None = None, *, after_words: int | None = None, timeout: float = 8.0
    ) -> ScenarioResult | None:
        """Cut the agent off in the middle of its answer, and let the user speak at once: see ``duologue.interrupt``."""
        words = whole_number(after_words, "interrupt(after_words=…)", "words, or None for the first sign of life")
        line = _line(content, "user")
        if ended := await self.driver.interrupt(words or 1, timeout, line):
            return ended
        return await self.driver.scripted(AgentRole.USER, line)

    async def judge(
        self,
        criteria: Sequence[str] | None = None,
        *,
        context: str | None = None,
        additional_context: str | None = None,
    ) -> ScenarioResult | None:
        """Ask the judge to decide: these criteria as a checkpoint, or its own for the final verdict.

        Returns:
            None if the script continues: a checkpoint that passed, or a judge that decides nothing.
        """
        request = JudgmentRequest(
            criteria=None if criteria is None else list(criteria),
            context=context,
            additional_context=additional_context,
        )
        result = await self.driver.judge(request)
        if result is None or criteria is None:
            return result
        if result.success:
            return None
        view = self.conversation.view
        return result.model_copy(
            update={"passed_criteria": view.passed_criteria, "failed_criteria": view.failed_criteria}
        )

    async def check(self, *checks: CheckLike) -> ScenarioResult | None:
        """Evaluate checks now; all of them are reported, and any that fails ends the run."""
        if ended := await self.driver.drain():
            return ended
        outcomes = await self.evaluate(checks, list(self.conversation.view.records))
        if all(outcome.status is not CheckStatus.FAILED for outcome in outcomes):
            return None
        return ScenarioResult(success=False, verdict=Verdict.FAIL, termination=Termination.SCRIPT_END)

    async def evaluate(self, checks: Sequence[CheckLike], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate checks on these messages; each outcome is recorded, and none of them ends the run.

        Raises:
            CheckError: a check broke, or found that it could not decide.
        """
        return await self.conversation.checks.evaluate([as_check(check) for check in checks], records)

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background; the result that it ended the run with, if any."""
        return await self.driver.drain()

    async def proceed(
        self,
        turns: int | None = None,
        on_turn: Callback | None = None,
        on_step: Callback | None = None,
        interruptions: InterruptionConfig | None = None,
    ) -> ScenarioResult | None:
        """Let the conversation continue until something ends it, or for ``turns`` turns (the open one is the first).

        Args:
            turns: how many; None for no limit but ``max_turns``.
            on_turn: called when a new turn begins.
            on_step: called after each participant's part.
            interruptions: how often the user cuts in; None for what the simulated user says of it.
        """
        if not self.agents:
            raise MissingRoleError("The scenario has no agents, so there is nobody to proceed with: pass agents=[…].")
        whole_number(turns, "proceed(turns=…)", "turns, or None for no limit but max_turns")
        return await self.driver.proceed(turns, on_turn, on_step, interruptions)

    async def step(self) -> list[Message] | ScenarioResult:
        """The next participant's part; opens a turn when one is over.

        Returns:
            The messages that it added, or the result that it ended the run with.
        """
        ended = await self.driver.drain()
        before = len(self.conversation.view.messages)
        outcome = ended or await self.driver.advance()
        if isinstance(outcome, ScenarioResult):
            return outcome
        if outcome is None:
            raise ScriptError("No result from step: the conversation is over.")
        return self.conversation.view.messages[before:]

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await self.setup.context.clock.sleep(seconds)

    async def succeed(self, reasoning: str | None = None) -> ScenarioResult:
        """End the run as a pass."""
        return ScenarioResult(success=True, reasoning=reasoning or SUCCEEDED, termination=Termination.SCRIPT_END)

    async def fail(self, reasoning: str | None = None) -> ScenarioResult:
        """End the run as a fail."""
        return ScenarioResult(success=False, reasoning=reasoning or FAILED, termination=Termination.SCRIPT_END)


def _proceed(state: ScenarioState) -> Awaitable[ScenarioResult | None]:
    return state.executor.proceed()


_proceed.__name__ = "proceed"


def _ending(step: ScriptStep, value: object) -> ScenarioResult | None:
    """The result that a step ends the run with, if it does."""
    if value is None or isinstance(value, ScenarioResult):
        return value
    if isinstance(value, bool) or inspect.isroutine(value):
        forgotten = "an assert" if isinstance(value, bool) else "the call of it"
        warnings.warn(
            f"the script step '{step_name(step)}' returned a {type(value).__name__}, which has no effect: was "
            f"{forgotten} forgotten? A step returns None to continue or a ScenarioResult to end the run",
            stacklevel=1,
        )
    return None


def _line(content: str | Message | None, role: str) -> Message | None:
    if content is None:
        return None
    line: object = {"role": role, "content": content} if isinstance(content, str) else content
    messages = messages_of(line, "the script")
    if len(messages) != 1:
        raise ConfigurationError(f"a step of the script says {content!r}; expected text or one chat message")
    return messages[0]


async def _ask_person(_: ScenarioState) -> str:
    """What the person at the terminal types as the user; '' for Enter and at the end of input."""
    return await asyncio.to_thread(_read_line)


def _read_line() -> str:
    sys.stdout.write(PROMPT)
    sys.stdout.flush()
    return sys.stdin.readline().strip()
