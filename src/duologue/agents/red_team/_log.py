"""The record of an attack: a fold over the notes that it leaves in the journal.

The attacker keeps no other state, so the report of a recorded run, the early exit of a running one and what the
attacker's model is shown cannot disagree. Turns of an attack are counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from duologue.agents.red_team._refusals import Refusal
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

PLAN = "red_team.plan"
ATTEMPT = "red_team.attempt"
INJECTION = "red_team.injection"
REPLY = "red_team.reply"
SCORE = "red_team.score"
BACKTRACK = "red_team.backtrack"
SUCCEEDED = "attack_succeeded"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One message of the attack and what came of it.

    Attributes:
        turn: from 1.
        text: the message as the attacker wrote it; ``sent`` as the agent got it.
        raw: all that the attacker's model answered.
        scripted: the line was fixed by the script, not written by the attacker.
        phase: of the strategy.
        observation, reasoning: the attacker's own words on what it saw and does.
        techniques: ids of the moves that it said it uses.
        injection: name of the technique that changed the message's form.
        parse_failed: the attacker's answer was not in the form that was asked for.
        attacker_refused: the attacker's model, it seems, refused to attack.
        reply: what the agent answered; None if it has not.
        deeds: its tool calls.
        refusal: what the words of the reply show; ``refused`` is the final word on it.
        score: 0 to 10; None if unscored, and then ``problem`` may say why.
        hint: the scorer's advice.
        backtracked: the exchange was taken out of the conversation.
    """

    turn: int
    text: str
    sent: str
    raw: str = ""
    scripted: bool = False
    phase: str = ""
    observation: str = ""
    reasoning: str = ""
    techniques: tuple[str, ...] = ()
    injection: str | None = None
    parse_failed: bool = False
    attacker_refused: bool = False
    reply: str | None = None
    deeds: tuple[str, ...] = ()
    refusal: Refusal = Refusal.NONE
    refused: bool = False
    score: int | None = None
    scored_by: str = ""
    hint: str = ""
    problem: str = ""
    backtracked: bool = False


@dataclass(kw_only=True)
class AttackLog:
    """An attack so far.

    Attributes:
        plan: '' where there is none.
        attempts: in order.
        succeeded: the turn on which the attack succeeded; None if it has not.
    """

    plan: str = ""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    succeeded: int | None = None

    def apply(self, note: Note) -> None:
        """Take one more note into account; notes of other kinds are passed over."""
        match note:
            case AttackPlanned():
                self.plan = note.plan
            case AttackAttempted():
                self.attempts.append(_attempt(note))
            case AttackInjected():
                self._change(note.turn, injection=note.technique, sent=note.sent)
            case AttackReplied():
                self._change(note.turn, reply=note.reply, deeds=note.deeds, refusal=Refusal(note.refusal))
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
        """How many exchanges were taken out of the conversation."""
        return sum(item.backtracked for item in self.attempts)

    @property
    def highest_score(self) -> int | None:
        """The best that the attack came to; None if nothing was scored."""
        return max((item.score for item in self.attempts if item.score is not None), default=None)

    def _change(self, turn: int, **changes: Any) -> None:
        for index in range(len(self.attempts) - 1, -1, -1):
            if self.attempts[index].turn == turn:
                self.attempts[index] = replace(self.attempts[index], **changes)
                return


_SCORE_FIELDS = ("score", "scored_by", "hint", "problem", "refused")
_ATTEMPT_FIELDS = ("turn", "text", "raw", "scripted", "phase", "observation", "reasoning")
_FLAGS = ("parse_failed", "attacker_refused")


def _attempt(note: AttackAttempted) -> Attempt:
    values = {name: getattr(note, name) for name in (*_ATTEMPT_FIELDS, *_FLAGS)}
    return Attempt(sent=note.text, techniques=note.techniques, **values)


def attack_log(notes: Iterable[Noted], participant: int | None = None) -> AttackLog:
    """The attack that these notes tell of.

    Args:
        notes: of a journal, such as ``read_journal(path).view.notes``.
        participant: only the notes of the attacker with that index, and those that were left on its behalf; None for
            whoever left any.
    """
    log = AttackLog()
    for note in notes:
        attack = note.note
        if isinstance(attack, AttackNote) and (participant is None or attack.participant in {None, participant}):
            log.apply(attack)
    return log
