"""What the turns of a scenario do in a run: a line or a simulated user, the agent's answer, the checks of the turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from duologue.conversation.result import RunControl, ScenarioResult, ScenarioState
from duologue.conversation.setup import Check
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.specs.scenario import Turn
from duologue.vocabulary import CheckStatus, Termination, Verdict

STOPPED = "The conversation was ended because the answer failed a check of its turn."


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
    """

    index: int
    turn: Turn
    line: Message | None
    checks: Sequence[Check]
    listeners: Sequence[TurnListener]
    stop: bool = False

    @property
    def __name__(self) -> str:  # what the journal calls the step
        return f"turn {self.index + 1}"

    async def __call__(self, state: ScenarioState) -> ScenarioResult | None:
        """Play the turn; a result if it ends the run."""
        for listener in self.listeners:
            listener.turn_spec = self.turn
        executor = state.executor
        if self.line is not None:
            return await executor.user(self.line) or await self._heard(executor)
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
            if ended or finished:
                return ended
        return None

    async def _heard(self, executor: RunControl) -> ScenarioResult | None:
        """The agent's part of the turn, and what the checks say of it."""
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
