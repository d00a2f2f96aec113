"""Where a conversation takes place: participants, mailboxes and the journal, without any opinion on what comes next.

Every change is an event appended to the journal; the journal's view is the only state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from duologue.conversation.adapter import AgentAdapter, AgentInput, JudgmentRequest, UserDone
from duologue.conversation.answers import Answer, messages_of
from duologue.conversation.calling import OnDelta, call
from duologue.conversation.checking import Check, CheckInput, evaluate
from duologue.conversation.instrument import RunWatch
from duologue.conversation.setup import RunSetup, cassette_for
from duologue.conversation.state import ScenarioState
from duologue.conversation.turns import TurnOrder
from duologue.conversation.watchdog import Watchdog
from duologue.errors import CheckError, ConfigurationError
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    MessageAdded,
    MessagesRolledBack,
    TurnStarted,
    UserFinished,
)
from duologue.journal.journal import Journal
from duologue.messages import Message, copy_of
from duologue.models.budget import ledger_for
from duologue.models.scope import RunScope
from duologue.settings import DEFAULT_MODEL_TIMEOUT
from duologue.vocabulary import CheckStatus, Scope


class Stage:
    """One conversation in progress."""

    def __init__(self, setup: RunSetup, journal: Journal, state: ScenarioState, watch: RunWatch | None = None) -> None:
        self.setup = setup
        self.journal = journal
        self.view = journal.view
        self.state = state
        self.order = TurnOrder([agent.role for agent in setup.agents])
        self._messages_added = 0
        self._turn_checked = -1
        self._watchdog = Watchdog()
        self._watch = watch
        self._scope = RunScope(
            context=setup.context,
            journal=journal,
            who="check",
            model_timeout=setup.config.model_timeout or DEFAULT_MODEL_TIMEOUT,
            ledger=ledger_for(setup.budget, setup.context.clock, parent=setup.ledger),
            cassette=cassette_for(setup),
            recall=setup.recall,
        )
        self._scopes = [
            replace(self._scope, who=agent.name, participant=index) for index, agent in enumerate(setup.agents)
        ]

    @property
    def agents(self) -> tuple[AgentAdapter, ...]:
        """The participants; their place is their index in events."""
        return self.setup.agents

    def close(self) -> None:
        """The run is over."""
        self._watchdog.close()

    def open_turn(self) -> None:
        """Begin the next turn."""
        self.journal.append(TurnStarted(turn=self.view.turn + 1))
        self.order.open()

    def add(self, message: Message, *, author: int | None = None, stands_in_for: int | None = None) -> None:
        """Put a message into the conversation and into every mailbox but its author's."""
        self._messages_added += 1
        self.journal.append(
            MessageAdded(
                message_id=f"m{self._messages_added}",
                message=message,
                turn=self.view.turn,
                author=author,
                stands_in_for=stands_in_for,
            )
        )

    def roll_back(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them, [] if there are none."""
        if index < 0:
            raise ConfigurationError(f"rollback_messages_to({index}): the index must be 0 or more")
        gone = self.view.records[index:]
        if gone:
            ids = [record.message_id for record in gone]
            self.journal.append(MessagesRolledBack(index=index, message_ids=ids))
        return [record.message for record in gone]

    async def ask(self, index: int, request: JudgmentRequest | None = None, on_delta: OnDelta | None = None) -> Answer:
        """Call one participant with what is new to it, and put its messages into the conversation."""
        agent = self.agents[index]
        clock = self.setup.context.clock
        box = self.view.mailboxes[index]
        delivered = tuple(record.message_id for record in box)
        given = AgentInput(
            thread_id=self.state.thread_id,
            messages=[copy_of(message) for message in self.view.messages],
            new_messages=[copy_of(record.message) for record in box],
            judgment_request=request,
            scenario_state=self.state,
            scope=self._scopes[index],
        )
        started = clock.monotonic()
        try:
            answering = call(agent, given, self.setup.config, self._watchdog, on_delta)
            answer = await (answering if self._watch is None else self._watch.around(index, answering))
        except BaseException:
            self._called(index, (), clock.monotonic() - started, failed=True)
            raise
        self._called(index, delivered, clock.monotonic() - started)
        self._take(index, answer)
        return answer

    async def check_turn(self) -> None:
        """Evaluate the turn checks of the open turn, once, if the agent has said something in it."""
        turn = self.view.turn
        if self._turn_checked == turn or not any(check.scope is Scope.TURN for check in self.setup.checks):
            return
        records = [record for record in self.view.records if record.turn == turn]
        if any(record.message["role"] == "assistant" for record in records):
            self._turn_checked = turn
            await self.evaluate([check for check in self.setup.checks if check.scope is Scope.TURN], records)

    async def check_conversation(self) -> None:
        """Evaluate the turn checks that are still due, then those of the whole conversation."""
        await self.check_turn()
        whole = [check for check in self.setup.checks if check.scope is Scope.CONVERSATION]
        await self.evaluate(whole, list(self.view.records))

    async def evaluate(self, checks: Sequence[Check], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate all these checks on these messages and record each outcome.

        Raises:
            CheckError: a check broke, or found that it could not decide.
        """
        given = CheckInput(state=self.state, records=records, turn=self.view.turn, scope=self._scope)
        outcomes = [await self._evaluate(check, given) for check in checks]
        broken = [outcome for outcome in outcomes if outcome.status is CheckStatus.ERROR]
        if broken:
            found = "; ".join(f"{outcome.name}: {outcome.explanation}" for outcome in broken)
            raise CheckError(f"checks could not be evaluated: {found}", who=broken[0].name)
        return outcomes

    async def _evaluate(self, check: Check, given: CheckInput) -> CheckEvaluated:
        outcome = await evaluate(check, given)
        event = CheckEvaluated(
            name=check.name,
            kind=check.kind,
            scope=check.scope,
            turn=given.turn,
            status=outcome.status,
            score=outcome.score,
            explanation=outcome.explanation,
            message_ids=outcome.message_ids,
            details=outcome.details,
        )
        self.journal.append(event)
        return event

    def _called(self, index: int, delivered: tuple[str, ...], seconds: float, *, failed: bool = False) -> None:
        if not self.journal.finished:
            self.journal.append(
                AgentCalled(participant=index, turn=self.view.turn, delivered=delivered, seconds=seconds, failed=failed)
            )

    def _take(self, index: int, answer: Answer) -> None:
        if isinstance(answer, list):
            for message in answer:
                self.add(message, author=index)
        elif isinstance(answer, UserDone):
            for message in messages_of(answer, self.agents[index].name):
                self.add(message, author=index)
            self.journal.append(
                UserFinished(
                    participant=index, turn=self.view.turn, reason=answer.reason, explanation=answer.explanation
                )
            )
