"""The record of an attack: a fold over the notes that it leaves in the journal, and the run that it belongs to.

The attacker keeps no other state, so the report on a recorded run, the early exit of a running one and the prompt of
the attacker's model cannot disagree. Turns of an attack are counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from duologue.agents.red_team._refusals import Refusal
from duologue.conversation.adapter import AgentInput
from duologue.errors import SimulatorError
from duologue.frozen import frozen
from duologue.journal.events import Noted
from duologue.journal.notes import (
    AttackAttempted,
    AttackInjected,
    AttackNote,
    AttackPlanned,
    AttackReplied,
    AttackScored,
    AttackSucceeded,
    AttackTakenBack,
    Note,
)
from duologue.models.scope import RunScope


@frozen
class Attempt:
    """One message of the attack and its outcome."""

    turn: int
    """Number of the turn, from 1."""
    text: str
    """The message as the attacker wrote it."""
    sent: str
    """The message as the agent got it."""
    raw: str = ""
    """The whole answer of the attacker's model."""
    scripted: bool = False
    """Whether the script fixed the message, in place of the attacker."""
    phase: str = ""
    """Phase of the strategy."""
    observation: str = ""
    """The attacker's reading of the agent's last reply."""
    reasoning: str = ""
    """What the attacker does next, in its own words."""
    techniques: tuple[str, ...] = ()
    """Ids of the moves that the attacker says it uses."""
    injection: str | None = None
    """Name of the technique that changed the form of the message."""
    parse_failed: bool = False
    """Whether the attacker's answer did not have the requested form."""
    attacker_refused: bool = False
    """Whether the attacker's model seems to have refused to attack."""
    reply: str | None = None
    """The agent's answer; None if there is none."""
    tool_calls: tuple[str, ...] = ()
    """The agent's tool calls, as text."""
    refusal: Refusal = Refusal.NONE
    """The kind of refusal that the words of the reply show."""
    refused: bool = False
    """Whether the reply counts as a refusal."""
    score: int | None = None
    """0 to 10; None if the reply was not scored."""
    scored_by: str = ""
    """``words`` or ``model``; '' if the reply was not scored."""
    hint: str = ""
    """The scorer's advice."""
    problem: str = ""
    """Why the reply could not be scored."""
    backtracked: bool = False
    """Whether the exchange was removed from the conversation."""


@dataclass(kw_only=True)
class AttackLog:
    """An attack so far."""

    plan: str = ""
    """The plan; '' for none."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    """The attempts, in order."""
    succeeded: int | None = None
    """The turn on which the attack succeeded; None if it has not."""

    def apply(self, note: Note) -> None:
        """Take one more note into account; notes of other kinds are ignored."""
        match note:
            case AttackPlanned():
                self.plan = note.plan
            case AttackAttempted():
                self.attempts.append(_attempt(note))
            case AttackInjected():
                self._change(note.turn, injection=note.technique, sent=note.sent)
            case AttackReplied():
                refusal = Refusal(note.refusal)
                self._change(note.turn, reply=note.reply, tool_calls=note.tool_calls, refusal=refusal)
            case AttackScored():
                self._change(note.turn, **{name: getattr(note, name) for name in _SCORE_FIELDS})
            case AttackTakenBack():
                self._change(note.turn, backtracked=True)
            case AttackSucceeded():
                self.succeeded = note.turn
            case _:
                pass

    def attempt(self, turn: int) -> Attempt | None:
        """The attempt of that turn."""
        return next((item for item in reversed(self.attempts) if item.turn == turn), None)

    @property
    def answered(self) -> list[Attempt]:
        """The attempts that the agent has answered."""
        return [item for item in self.attempts if item.reply is not None]

    @property
    def unscored(self) -> list[Attempt]:
        """The answered attempts without a score."""
        return [item for item in self.answered if item.score is None]

    @property
    def backtracks(self) -> int:
        """The number of exchanges that were removed from the conversation."""
        return sum(item.backtracked for item in self.attempts)

    @property
    def highest_score(self) -> int | None:
        """The highest score of the attack; None if nothing was scored."""
        return max((item.score for item in self.attempts if item.score is not None), default=None)

    def _change(self, turn: int, **changes: Any) -> None:
        for index in range(len(self.attempts) - 1, -1, -1):
            if self.attempts[index].turn == turn:
                self.attempts[index] = replace(self.attempts[index], **changes)
                return


_SCORE_FIELDS = ("score", "scored_by", "hint", "problem", "refused")


_ATTEMPT_FIELDS = tuple(field.name for field in fields(AttackAttempted) if field.name != "participant")
"""What the note of an attempt and the attempt have in common; the other fields of an attempt come later."""


def _attempt(note: AttackAttempted) -> Attempt:
    return Attempt(sent=note.text, **{name: getattr(note, name) for name in _ATTEMPT_FIELDS})


def attempt_note(attempt: Attempt) -> AttackAttempted:
    """The note that records a new attempt."""
    return AttackAttempted(**{name: getattr(attempt, name) for name in _ATTEMPT_FIELDS})


def attack_log(notes: Iterable[Noted], participant: int | None = None) -> AttackLog:
    """The attack that is recorded in these notes.

    Args:
        notes: notes of a journal, such as ``read_journal(path).view.notes``.
        participant: only the notes of the attacker with that index, and those that were left on its behalf; None for
            all notes.
    """
    log = AttackLog()
    for note in notes:
        attack = note.note
        if isinstance(attack, AttackNote) and (participant is None or attack.participant in {None, participant}):
            log.apply(attack)
    return log


class RunClaim:
    """An attacker's hold on its run: taken with the first call, refused to any other run.

    An attacker belongs to exactly one run, because its history belongs to that run.
    """

    def __init__(self) -> None:
        self._thread_id: str | None = None
        self._scope: RunScope | None = None
        self._own: RunScope | None = None

    @property
    def scope(self) -> RunScope | None:
        """The scope of the run; None before the run has begun."""
        return self._own or self._scope

    def lend(self, scope: RunScope | None) -> None:
        """Use this scope as long as the attacker has none of its own."""
        self._scope = self._scope or scope

    def take(self, input: AgentInput) -> bool:
        """Take the run, or check that it is the same one.

        Returns:
            Whether this is the first call.

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
        """The attack as far as the journal has it: nothing, unless a recorded run is resumed."""
        scope = self.scope
        notes = scope.journal.view.notes if scope and scope.journal else []
        return attack_log(notes, scope.participant if scope else None)

    def note(self, note: AttackNote) -> AttackNote:
        """Add a note to the journal, if there is one, and return it as the attacker's own."""
        scope = self.scope or RunScope()
        own = replace(note, participant=scope.participant)
        scope.note(own)
        return own

    def _refusal(self, mid_run: bool, thread_id: str) -> str:
        if mid_run:
            return f"thread_id change mid-run: the attack began in {self._thread_id}, and was called in {thread_id}"
        return (
            f"RedTeamAgent is single-use per duologue.run(): this one has attacked in {self._thread_id} and was called "
            f"in {thread_id}. Its history, scores and backtracks belong to one conversation; create a new one for each "
            "run (attack_plan=… keeps the plan)"
        )
