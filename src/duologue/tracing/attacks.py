"""What an attacker's notes say of the message it is writing, as attributes ``red_team.…`` of its call's span.

The conventions of OpenTelemetry have no names for attacks. These are names that other tools know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from duologue.journal.events import Noted, ParticipantSnapshot

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


@dataclass(kw_only=True)
class _Attack:
    """One attacker so far."""

    details: dict[str, Any] = field(default_factory=dict[str, Any])
    backtracks: int = 0
    took_back: bool = False
    last_score: int | None = None
    parse_failures: int = 0


class Attacks:
    """Folds the notes of a run's attackers.

    Args:
        participants: of the run.
    """

    def __init__(self, participants: Sequence[ParticipantSnapshot] = ()) -> None:
        self._attacks = {index: _Attack(details=dict(who.details)) for index, who in enumerate(participants)}

    def attributes(self, note: Noted) -> dict[str, AttributeValue]:
        """What the span of the call that left this note has to say because of it; {} for most notes."""
        attack = self._attacks.get(note.data.get("participant", -1))
        if attack is None:
            return {}
        match note.kind:
            case "red_team.score":
                attack.last_score = note.data["score"]
            case "red_team.backtrack":
                attack.took_back = True
                attack.backtracks += 1
            case "red_team.attempt" if not note.data["scripted"]:
                return _attempt(attack, note.data)
            case "red_team.injection":
                return {"red_team.injection.technique": note.data["technique"]}
            case _:
                pass
        return {}


def _attempt(attack: _Attack, data: dict[str, Any]) -> dict[str, AttributeValue]:
    details, turn = attack.details, data["turn"]
    total = details.get("total_turns", turn)
    attack.parse_failures += data["parse_failed"]
    found: dict[str, AttributeValue] = {
        "red_team.turn": turn,
        "red_team.total_turns": total,
        "red_team.progress": round(turn / total, 4),
        "red_team.strategy": details.get("strategy", ""),
        "red_team.target": details.get("target", ""),
        "red_team.did_backtrack": attack.took_back,
        "red_team.backtracks_remaining": max(0, details.get("max_backtracks", 0) - attack.backtracks),
        "red_team.reasoning.parse_failed": data["parse_failed"],
        "red_team.parse_failure_count": attack.parse_failures,
        "red_team.progress_bucket" if details.get("phase_kind") == "progress" else "red_team.phase": data["phase"],
        "red_team.chosen_technique_ids": list(data["techniques"]),
    }
    if attack.last_score is not None:
        found["red_team.last_response_score"] = attack.last_score
    for name, key in (("observation", "observation"), ("strategy", "reasoning")):
        if data[key]:
            found[f"red_team.reasoning.{name}"] = data[key]
    attack.took_back = False
    return found
