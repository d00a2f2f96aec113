"""Agents of suites that are spoken with: the call, the user who acts beside its turns, and when the call is complete.

A call cannot be resumed: the other side is gone. An interrupted run is started again, with its attempt counted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NoReturn, cast

from duologue.config.tracebacks import describe
from duologue.context import derive_seed
from duologue.conversation.adapter import AgentAdapter, AgentDone, AgentInput, AgentSession, CompleteAnswer, Piece
from duologue.conversation.observers import CURRENT_RUN
from duologue.conversation.result import ScenarioState
from duologue.errors import AgentError, ConfigurationError, DuologueError, RunTimeoutError
from duologue.journal.events import MessageAdded
from duologue.models.scope import RunScope
from duologue.runtimes.voice.base import set_limits
from duologue.specs.voice import VoiceCall
from duologue.suites.manifests.validate.voice import HUM
from duologue.suites.runner.runtime_agents import MakeVoiceAgent
from duologue.suites.runner.user_voice import SpokenUser
from duologue.suites.runner.voice_mock import MockedVoiceAgent, hummed
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.user import PHRASES, DuplexUser, Manners
from duologue.voice.port import VoiceConnectionError
from duologue.voice.session import VoiceSession
from duologue.voice.speech_of_user import with_effects, without_silence
from duologue.voice.synthesis import register_tts_provider, synthesize

_TURN_SECONDS = 600.0
"""That one turn may take, whose parts have limits of their own."""


def always(made: AgentAdapter) -> MakeVoiceAgent:
    """Gives the same adapter for each call: one that code of the suite has made."""

    async def give(run: RunScope) -> VoiceAgentAdapter:
        return cast("VoiceAgentAdapter", made)

    return give


class SpokenAgent(AgentAdapter):
    """An agent of a suite that is spoken with.

    Args:
        name: of the agent, for reports.
        make: makes the adapter for a call.
        call: how the scenario is spoken; None where it says nothing of that.
        user: who speaks with it.
        seed: of the test case; decides what the user does beside its turns.
        exchanges: how often the agent answers, where the scenario says that; None where it is open.
        described: for the journal.
    """

    resumable = False

    def __init__(
        self,
        name: str,
        make: MakeVoiceAgent,
        *,
        call: VoiceCall | None,
        user: SpokenUser,
        seed: int,
        exchanges: int | None = None,
        described: dict[str, Any] | None = None,
    ) -> None:
        self._name, self._make = name, make
        self._call = call or VoiceCall.model_construct()
        self._user, self._seed = user, seed
        self._exchanges = exchanges
        self._described = described or {}
        self.timeout = _TURN_SECONDS

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    def describe(self) -> dict[str, Any]:
        """Which transport it is, and how the user sounds."""
        return {**self._described, "voice": self._user.voice}

    async def call(self, input: AgentInput) -> NoReturn:
        """Not used: it is driven through its session."""
        raise ConfigurationError(f"{self.name} is spoken with in a session, and was called without one")

    async def open(self, run: RunScope) -> AgentSession:
        """Call the agent, again if it cannot be reached and the scenario says so."""
        retries = self._call.retries
        while True:
            session = await self._session(run)
            try:
                await session.open()
            except VoiceConnectionError:
                if not retries:
                    raise
                retries -= 1
                await run.context.clock.sleep(self._call.retry_delay)
            else:
                return session

    async def adapter(self, run: RunScope) -> VoiceAgentAdapter:
        """The adapter for one call, with the time limits of the scenario.

        Raises:
            DuologueError: the call cannot be prepared.
        """
        try:
            adapter = await self._make(run)
        except DuologueError:
            raise
        except Exception as error:
            raise AgentError(
                f"[{self.name}] the call could not be prepared: {describe(error)}", who=self.name
            ) from error
        if self._call.end_of_turn == "silence":
            adapter.ends_turns = False
        set_limits(adapter, self._call)
        return adapter

    async def _session(self, run: RunScope) -> SpokenSession:
        adapter = await self.adapter(run)
        if self._user.voice == HUM:
            register_tts_provider("mock", hummed)
        beside = await self._beside()
        return SpokenSession(adapter, run, CURRENT_RUN.get(), self._call, beside, self._exchanges)

    async def _beside(self) -> DuplexUser | None:
        said = self._user.manners
        manners = Manners(
            backchannels=said.backchannels,
            vocal_tics=said.vocal_tics,
            non_directed=said.non_directed,
            patience=said.patience,
            hang_up_after=said.hang_up_after,
        )
        if not manners.purposes:
            return None
        sounds = {purpose: [await self._sound(text) for text in PHRASES[purpose]] for purpose in manners.purposes}
        return DuplexUser(manners, sounds, seed=derive_seed(self._seed, "manners"))

    async def _sound(self, text: str) -> AudioChunk:
        pcm = without_silence((await synthesize(text, self._user.voice)).data)
        return AudioChunk(await with_effects(pcm, self._user.effects), transcript=text)


class SpokenSession(VoiceSession):
    """One call of a run of a suite."""

    def __init__(
        self,
        adapter: VoiceAgentAdapter,
        run: RunScope,
        state: ScenarioState | None,
        call: VoiceCall,
        beside: DuplexUser | None,
        exchanges: int | None,
    ) -> None:
        super().__init__(adapter, run, state)
        self._call, self._beside, self._exchanges = call, beside, exchanges
        self._answers = 0
        self._is_late = False
        if call.timeout is not None:
            self.driver.beside = self._within_time
        elif beside is not None:
            self.driver.beside = beside.frame

    def _within_time(self, driver: DuplexDriver) -> None:
        """What the user does beside its turns, until the time of the call is over."""
        if self._beside is not None:
            self._beside.frame(driver)
        limit = self._call.timeout
        if limit is None or self._is_late or driver.now < limit or driver.over is not None:
            return
        self._is_late = True
        driver.hang_up(RunTimeoutError(f"the call with {self.adapter.name} took longer than voice.timeout={limit:g} s"))

    async def hear(self, records: Sequence[MessageAdded]) -> None:
        """Say what the user has said, after a pause if the scenario wants one."""
        if self._call.pause and records:
            await self.pause(self._call.pause)
        await super().hear(records)

    async def send(self, input: AgentInput) -> None:
        """Say what the agent has not heard of the user; a mock is given its answer."""
        await super().send(input)
        if isinstance(self.adapter, MockedVoiceAgent):
            await self.adapter.asked(input)

    async def receive(self) -> AsyncGenerator[Piece]:
        """The agent's answer. A call that its side ends too early is an error; one that the user ends is none."""
        try:
            async for piece in super().receive():
                if isinstance(piece, CompleteAnswer) and piece.messages:
                    self._answers += 1
                if isinstance(piece, AgentDone):
                    self._check_complete(piece)
                yield piece
        except VoiceConnectionError:
            if self._beside is None or not self._beside.hung_up:
                raise
            self._note()
            yield AgentDone(explanation="the user has hung up, because the agent was silent for too long")

    def _check_complete(self, done: AgentDone) -> None:
        call, answers = self._call, self._answers
        is_last = self._exchanges is not None and answers >= self._exchanges - 1
        if answers >= call.enough_turns or (is_last and call.may_end_in_last_turn):
            return
        told = f"{self.adapter.name} has ended the call after {answers} answers; expected at least {call.enough_turns}"
        raise AgentError(f"{told}: {done.explanation}", who=self.adapter.name)
