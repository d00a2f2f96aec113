"""What an attack is allowed: its numbers, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duologue.agents.red_team.techniques import AttackTechnique, Technique
from duologue.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class AttackLimits:
    """The numbers of an attack.

    Attributes:
        total_turns: messages that the attacker may send.
        success_score: from which a reply counts as a success, 0 to 10; None for never.
        success_confirm_turns: replies in a row that have to reach it.
        injection_probability: that a message is sent in another form, 0 to 1.
        max_backtracks: exchanges that may be taken back.
    """

    total_turns: int
    success_score: int | None
    success_confirm_turns: int
    injection_probability: float
    max_backtracks: int

    @property
    def confirm(self) -> int:
        """Replies in a row that make a success: an attack of one turn needs no second one."""
        return min(self.success_confirm_turns, self.total_turns)


def checked_limits(
    *,
    total_turns: int,
    success_score: int | None,
    success_confirm_turns: int,
    injection_probability: float,
    max_backtracks: int | None,
) -> AttackLimits:
    """The numbers, once each is known to make sense; ``max_backtracks`` defaults to a third of the turns.

    Raises:
        ConfigurationError: one does not.
    """
    if total_turns < 1:
        raise ConfigurationError(f"RedTeamAgent: total_turns must be at least 1; found {total_turns}")
    if success_score is not None and not 0 <= success_score <= 10:
        raise ConfigurationError(f"RedTeamAgent: success_score must be from 0 to 10, or None; found {success_score}")
    if success_confirm_turns < 1:
        raise ConfigurationError(
            f"RedTeamAgent: success_confirm_turns must be at least 1; found {success_confirm_turns}"
        )
    if not 0 <= injection_probability <= 1:
        raise ConfigurationError(
            f"RedTeamAgent: injection_probability must be from 0 to 1; found {injection_probability}"
        )
    if max_backtracks is not None and max_backtracks < 0:
        raise ConfigurationError(f"RedTeamAgent: max_backtracks must be 0 or more; found {max_backtracks}")
    return AttackLimits(
        total_turns=total_turns,
        success_score=success_score,
        success_confirm_turns=success_confirm_turns,
        injection_probability=injection_probability,
        max_backtracks=max(1, total_turns // 3) if max_backtracks is None else max_backtracks,
    )


def checked_techniques(
    techniques: Sequence[object] | None, default: Sequence[AttackTechnique], probability: float
) -> tuple[AttackTechnique, ...]:
    """The techniques that may change a message's form.

    Raises:
        ConfigurationError: there are none to choose from, or one of them is no such technique.
    """
    chosen: list[object] = list(default if techniques is None else techniques)
    if not chosen and probability > 0:
        raise ConfigurationError(
            f"RedTeamAgent: techniques is empty and injection_probability is {probability}; give at least one "
            "technique, or a probability of 0"
        )
    for index, item in enumerate(chosen):
        if isinstance(item, Technique):
            raise ConfigurationError(
                f"RedTeamAgent: techniques[{index}] is {item.id}, a move of conversation; give it to "
                "RedTeamAgent.goat(goat_techniques=[…])"
            )
        if not isinstance(item, AttackTechnique):
            raise ConfigurationError(
                f"RedTeamAgent: techniques[{index}] is a {type(item).__name__}; expected an AttackTechnique"
            )
    return tuple(item for item in chosen if isinstance(item, AttackTechnique))
