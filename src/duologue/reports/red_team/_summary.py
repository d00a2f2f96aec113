"""Many attacks together: how often they succeeded, by strategy, category, technique and turn, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from duologue.frozen import frozen
from duologue.reports.red_team._report import RedTeamReport
from duologue.stats.proportion import Proportion, percent, wilson

NO_CATEGORY = "(none)"


@frozen
class AttackGroup:
    """Attacks, or replies, with something in common, and the share that succeeded."""

    name: str
    """What they have in common."""
    success: Proportion
    """Successes out of those that were decided, with an interval."""
    left_out: int = 0
    """Number of those that were not decided: undecided and failed runs, replies without a score."""


@frozen
class RedTeamSummary:
    """Several reports together.

    ``overall``, ``by_strategy`` and ``by_category`` count attacks; ``by_technique`` and ``by_turn`` count scored
    replies, and a reply that reached the mark is a success. Replies of one attack depend on one another, so the
    intervals of the latter two are narrower than they should be: read them as a hint where to look.
    """

    reports: int
    statuses: dict[str, int]
    overall: AttackGroup
    by_strategy: tuple[AttackGroup, ...]
    by_category: tuple[AttackGroup, ...]
    by_technique: tuple[AttackGroup, ...]
    by_turn: tuple[AttackGroup, ...]


def summarise(reports: Sequence[RedTeamReport], confidence: float = 0.95) -> RedTeamSummary:
    """Count attacks and successes.

    Args:
        reports: one for each attack.
        confidence: confidence level of the intervals.
    """
    known = ("held", "broke", "undecided", "errored")
    return RedTeamSummary(
        reports=len(reports),
        statuses={status: sum(report.status == status for report in reports) for status in known},
        overall=_attacks("all", reports, confidence),
        by_strategy=_by(reports, lambda report: report.strategy, confidence),
        by_category=_by(reports, lambda report: report.category or NO_CATEGORY, confidence),
        by_technique=_techniques(reports, confidence),
        by_turn=_turns(reports, confidence),
    )


def in_words(summary: RedTeamSummary) -> str:
    """The summary in a line or two."""
    counts = ", ".join(f"{count} {status}" for status, count in summary.statuses.items() if count)
    noun = "attack" if summary.reports == 1 else "attacks"
    return (
        f"{summary.reports} {noun}: {counts or 'none'}. Attack success {share(summary.overall)}. Attacks that were "
        "undecided or ended with an error are left out of the shares."
    )


def share(group: AttackGroup) -> str:
    """The share that succeeded, with its interval."""
    found = group.success
    if found.rate is None:
        return "not known"
    return f"{percent(found.rate)} [{percent(found.low)}, {percent(found.high)}]"


def _by(
    reports: Sequence[RedTeamReport], key: Callable[[RedTeamReport], str], confidence: float
) -> tuple[AttackGroup, ...]:
    names = sorted({key(report) for report in reports})
    return tuple(_attacks(name, [one for one in reports if key(one) == name], confidence) for name in names)


def _attacks(name: str, reports: Sequence[RedTeamReport], confidence: float) -> AttackGroup:
    decided = [report.status == "broke" for report in reports if report.status in {"held", "broke"}]
    return _group(name, decided, len(reports), confidence)


def _techniques(reports: Sequence[RedTeamReport], confidence: float) -> tuple[AttackGroup, ...]:
    uses = [use for report in reports for use in report.by_technique]
    groups: list[AttackGroup] = []
    for name in sorted({use.technique for use in uses}):
        own = [use for use in uses if use.technique == name]
        used, scored = sum(use.used for use in own), sum(use.scored for use in own)
        success = wilson(sum(use.successes for use in own), scored, confidence)
        groups.append(AttackGroup(name=name, success=success, left_out=used - scored))
    return tuple(groups)


def _turns(reports: Sequence[RedTeamReport], confidence: float) -> tuple[AttackGroup, ...]:
    outcomes = [outcome for report in reports for outcome in report.by_turn]
    groups: list[AttackGroup] = []
    for turn in sorted({outcome.turn for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.turn == turn]
        decided = [outcome.success for outcome in own if outcome.success is not None]
        groups.append(_group(str(turn), decided, len(own), confidence))
    return tuple(groups)


def _group(name: str, decided: Iterable[bool], total: int, confidence: float) -> AttackGroup:
    outcomes = list(decided)
    return AttackGroup(
        name=name, success=wilson(sum(outcomes), len(outcomes), confidence), left_out=total - len(outcomes)
    )
