"""What judges have decided in runs, item by item, and who the judges were."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from random import Random
from typing import Any

from duologue.frozen import frozen
from duologue.journal.events import RunStarted
from duologue.suites.calibration.labels import LabelValue
from duologue.suites.results.run import RunResult
from duologue.vocabulary import AgentRole, CheckStatus, Decision, Verdict

_JUDGED_CHECKS = ("llm_judge",)
_DIGITS = 12
_DECIDES = ("model", "system_prompt", "votes")
"""What of the description of a judge decides what it says, beside the criteria."""


@frozen
class JudgeIdentity:
    """A judge: its model and its prompt.

    Attributes:
        digest: the same for the same model, prompt and number of votes, whatever the criteria.
        model: for people.
    """

    digest: str
    model: str


@frozen
class JudgedItem:
    """One thing that was decided about a run.

    Attributes:
        run: the id of the run.
        group: what its trials have in common; they depend on each other.
        criterion: its text, or the name of a check that a model decides; '' for the run as a whole.
        decision: what the judge said.
        reason: why, in its words.
        message_ids: what that rests on.
    """

    run: str
    group: str
    criterion: str
    decision: LabelValue
    reason: str = ""
    message_ids: tuple[str, ...] = ()


_DECISIONS: Mapping[Decision, LabelValue] = {
    Decision.MET: "pass",
    Decision.UNMET: "fail",
    Decision.INCONCLUSIVE: "unsure",
}
_STATUSES: Mapping[CheckStatus, LabelValue] = {CheckStatus.PASSED: "pass", CheckStatus.FAILED: "fail"}
_VERDICTS: Mapping[Verdict, LabelValue] = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.UNDECIDED: "unsure",
}


def judged_items(run: RunResult, *, whole: bool = True) -> list[JudgedItem]:
    """What models have decided about a run, criterion by criterion.

    Args:
        run: of which.
        whole: also the verdict, as the criterion ''.
    """
    found: dict[str, JudgedItem] = {}

    def add(criterion: str, decision: LabelValue, reason: str, ids: Iterable[str] = ()) -> None:
        found[criterion] = JudgedItem(
            run=run.run_id,
            group=run.case.group,
            criterion=criterion,
            decision=decision,
            reason=reason,
            message_ids=tuple(ids),
        )

    for item in run.decisions:
        add(item.criterion, _DECISIONS[item.decision], item.reason, item.message_ids)
    for check in run.checks:
        if check.kind.startswith(_JUDGED_CHECKS) and check.status in _STATUSES:
            add(check.name, _STATUSES[check.status], check.explanation, check.message_ids)
    if whole and run.verdict is not None:
        add("", _VERDICTS[run.verdict], run.reasoning or "")
    return list(found.values())


def in_label_order(runs: Iterable[RunResult], seed: str) -> list[RunResult]:
    """The runs that were judged, in the order in which people label them: random, and the same for everybody.

    Args:
        runs: of one execution.
        seed: what the order depends on: the id of the execution.
    """
    found = sorted((run for run in runs if judged_items(run)), key=lambda run: run.run_id)
    Random(seed).shuffle(found)
    return found


def judge_of(started: RunStarted) -> JudgeIdentity | None:
    """The judge that took part in a run; of several, all of them together. None if there was none."""
    judges = [item.details for item in started.participants if item.role is AgentRole.JUDGE]
    return identity_of(judges) if judges else None


def identity_of(judges: Iterable[Mapping[str, Any]]) -> JudgeIdentity:
    """The identity of judges that describe themselves like this."""
    described = [{name: item[name] for name in _DECIDES if item.get(name) not in (None, 1)} for item in judges]
    text = json.dumps(described, sort_keys=True, ensure_ascii=False, default=str)
    models = dict.fromkeys(str(item.get("model", "")) for item in described)
    return JudgeIdentity(
        digest=sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS],
        model=", ".join(filter(None, models)),
    )
