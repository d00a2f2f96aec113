"""The limits of an attack, validated once."""

from __future__ import annotations

from duologue.errors import ConfigurationError
from duologue.frozen import frozen


@frozen
class AttackLimits:
    """The limits of an attack."""

    total_turns: int
    """Messages that the attacker may send."""
    success_score: int | None
    """Score at which a reply counts as a success, 0 to 10; None for never."""
    success_confirm_turns: int
    """Consecutive replies that have to reach it."""
    injection_probability: float
    """Probability that a message is sent in another form, 0 to 1."""
    max_backtracks: int
    """Exchanges that may be taken back."""

    @property
    def confirm(self) -> int:
        """Consecutive replies that make a success: an attack of one turn needs no second one."""
        return min(self.success_confirm_turns, self.total_turns)


def checked_limits(
    *,
    total_turns: int,
    success_score: int | None,
    success_confirm_turns: int,
    injection_probability: float,
    max_backtracks: int | None,
) -> AttackLimits:
    """The limits; ``max_backtracks`` defaults to a third of the turns.

    Raises:
        ConfigurationError: one of them is out of range.
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
