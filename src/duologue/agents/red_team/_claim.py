"""Which run an attacker belongs to: exactly one, because its history is that run's."""

from __future__ import annotations

from typing import Any

from duologue.agents.red_team._log import AttackLog, attack_log
from duologue.conversation.adapter import AgentInput
from duologue.errors import SimulatorError
from duologue.journal.notes import Note, make_note
from duologue.models.scope import RunScope


class Claim:
    """An attacker's hold on its run: taken with its first call, refused to any other run."""

    def __init__(self) -> None:
        self._thread_id: str | None = None
        self._scope: RunScope | None = None
        self._own: RunScope | None = None

    @property
    def scope(self) -> RunScope | None:
        """Of the run; None before anything has begun."""
        return self._own or self._scope

    def lend(self, scope: RunScope | None) -> None:
        """Use this scope as long as the attacker has none of its own."""
        self._scope = self._scope or scope

    def take(self, input: AgentInput) -> bool:
        """Take the run, or see that it is the same one.

        Returns:
            True with the first call.

        Raises:
            SimulatorError: the attacker belongs to another run.
        """
        if self._own is None:
            self._thread_id, self._own = input.thread_id, input.scope
            return True
        # Ids may repeat, as those that count in tests do; a journal is one run's and no other's.
        same_run = input.scope.journal is self._own.journal
        if same_run and self._thread_id == input.thread_id:
            self._own = input.scope
            return False
        in_a_run = self._own.journal is not None
        raise SimulatorError(self._refusal(same_run and in_a_run, input.thread_id), who=input.scope.who)

    def earlier_notes(self) -> AttackLog:
        """The attack as far as the journal already has it: nothing, unless a recorded run is taken up again."""
        scope = self.scope
        notes = scope.journal.view.notes if scope and scope.journal else []
        return attack_log(notes, scope.participant if scope else None)

    def note(self, kind: str, data: dict[str, Any]) -> Note:
        """Put a note into the journal, if there is one."""
        scope = self.scope or RunScope()
        note = make_note(kind, {"participant": scope.participant, **data})
        scope.note(note)
        return note

    def _refusal(self, mid_run: bool, thread_id: str) -> str:
        if mid_run:
            return f"thread_id change mid-run: the attack began in {self._thread_id}, and was called in {thread_id}"
        return (
            f"RedTeamAgent is single-use per duologue.run(): this one has attacked in {self._thread_id} and was called "
            f"in {thread_id}. Its history, scores and backtracks belong to one conversation; make a new one for each "
            "run, attack_plan=… keeps the plan"
        )
