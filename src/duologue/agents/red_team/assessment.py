"""What came of a message: whether the agent refused, how near its reply is to the objective, whether it succeeded."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from duologue.agents.red_team.exchanges import Exchange, exchanges
from duologue.agents.red_team.limits import AttackLimits
from duologue.agents.red_team.log import ATTEMPT, REPLY, SCORE, SUCCEEDED, AttackLog, Attempt
from duologue.agents.red_team.refusals import Refusal, RefusalClassifier, detect_refusal
from duologue.agents.red_team.scoring import REFUSAL_HINT, REFUSED, Score, score_reply
from duologue.conversation.state import ScenarioState
from duologue.errors import SimulatorError
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope

Note = Callable[..., None]
"""Puts a note into the journal and into the log: ``note(kind, **data)``."""


@dataclass(frozen=True, kw_only=True)
class Assessor:
    """Reads replies.

    Attributes:
        target: the objective.
        limits: of the attack.
        choice: the model that scores; None scores nothing.
        fast_refusals: plain refusals score 0 without a model.
        classifier: a second opinion on refusals.
    """

    target: str
    limits: AttackLimits
    choice: ModelChoice | None
    fast_refusals: bool
    classifier: RefusalClassifier | None

    async def assess(self, state: ScenarioState, log: AttackLog, scope: RunScope | None, note: Note) -> None:
        """Note every reply that has not been noted, its score, and whether the attack has succeeded with it."""
        for exchange in exchanges(state):
            if exchange.reply is None:
                continue
            if log.attempt(exchange.turn) is None:
                note(ATTEMPT, **_scripted(exchange))
            attempt = log.attempt(exchange.turn)
            if attempt and attempt.reply is None:
                await self._read(attempt, exchange, log, scope or RunScope(), note)

    def succeeded(self, log: AttackLog) -> bool:
        """Whether the newest replies have all reached the success score, as many as it takes."""
        threshold, needed = self.limits.success_score, self.limits.confirm
        newest = log.answered[-needed:]
        if threshold is None or len(newest) < needed:
            return False
        return all(item.score is not None and item.score >= threshold for item in newest)

    async def _read(self, attempt: Attempt, exchange: Exchange, log: AttackLog, scope: RunScope, note: Note) -> None:
        reply = exchange.reply or ""
        words = detect_refusal(reply)
        hard = words is Refusal.HARD and not exchange.deeds
        note(REPLY, turn=attempt.turn, reply=reply, deeds=list(exchange.deeds), refusal=words.value)
        refused = hard or await self._says_classifier(reply, scope)
        score = await self._score(attempt, exchange, refused, log, scope)
        note(
            SCORE,
            turn=attempt.turn,
            score=score.value,
            scored_by="" if score.value is None else "words" if self._is_plain(refused, log) else "model",
            hint=score.hint,
            problem=score.problem,
            refused=refused or bool(score.refused),
        )
        if log.succeeded is None and self.succeeded(log):
            note(SUCCEEDED, turn=attempt.turn, score=score.value, success_score=self.limits.success_score)

    async def _says_classifier(self, reply: str, scope: RunScope) -> bool:
        if self.classifier is None:
            return False
        try:
            answer = self.classifier(reply)
            if inspect.isawaitable(answer):
                async with asyncio.timeout(scope.model_timeout):
                    answer = await answer
        except Exception as error:
            raise SimulatorError(
                f"the refusal_classifier broke: {type(error).__name__}: {error}", who=scope.who
            ) from error
        return bool(answer)

    async def _score(
        self, attempt: Attempt, exchange: Exchange, refused: bool, log: AttackLog, scope: RunScope
    ) -> Score:
        if self.choice is None:
            return Score(value=None)
        if self._is_plain(refused, log):
            return Score(value=REFUSED, hint=REFUSAL_HINT)
        return await score_reply(
            self.choice,
            scope,
            target=self.target,
            attack=attempt.text,
            reply=exchange.reply or "",
            deeds=list(exchange.deeds),
        )

    def _is_plain(self, refused: bool, log: AttackLog) -> bool:
        """Whether a refusal needs no model to score: always where the exchange can still be taken back."""
        return refused and (self.fast_refusals or log.backtracks < self.limits.max_backtracks)


def _scripted(exchange: Exchange) -> dict[str, object]:
    """A line that the script put into the attacker's mouth, as an attempt of its own."""
    texts = {"text": exchange.said, "raw": exchange.said, "phase": "", "observation": "", "reasoning": ""}
    flags = {"scripted": True, "parse_failed": False, "attacker_refused": False}
    return {"turn": exchange.turn, "techniques": [], **texts, **flags}
