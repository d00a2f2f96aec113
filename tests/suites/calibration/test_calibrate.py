"""How well judges agree with people, and what their counts come to."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from duologue.journal.events import CheckEvaluated, CriterionDecision, ParticipantSnapshot, RunStarted, ScenarioSnapshot
from duologue.suites.calibration.calibrate import ALL_CRITERIA, calibrate, remarks
from duologue.suites.calibration.judged import JudgeIdentity, identity_of, judge_of, judged_items
from duologue.suites.calibration.labels import Label
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.vocabulary import AgentRole, CheckStatus, Decision, RunStatus, Scope, Verdict

WORDS = {"pass": Decision.MET, "fail": Decision.UNMET, "unsure": Decision.INCONCLUSIVE}
OLD, NEW = JudgeIdentity(digest="old", model="old/model"), JudgeIdentity(digest="new", model="new/model")


def run(number: int, checks: tuple[CheckEvaluated, ...] = (), scenario: str = "", **decided: str) -> RunResult:
    values = set(decided.values())
    verdict = Verdict.FAIL if "fail" in values else Verdict.UNDECIDED if "unsure" in values else Verdict.PASS
    return RunResult(
        case=TestCase(index=number, scenario=scenario or f"s{number}", agent="a"),
        run_id=f"r{number}",
        status=RunStatus.COMPLETED,
        verdict=verdict,
        decisions=tuple(CriterionDecision(criterion=name, decision=WORDS[value]) for name, value in decided.items()),
        checks=checks,
    )


def says(number: int, value: Any, criterion: str = "polite", rater: str = "eva", **more: Any) -> Label:
    return Label(run=f"r{number}", criterion=criterion, value=value, rater=rater, **more)


def test_sensitivity_and_specificity_are_counted_from_what_people_say() -> None:
    runs = [run(i, polite="pass" if i < 6 else "fail") for i in range(10)]
    people = ["pass"] * 5 + ["fail"] + ["pass"] + ["fail"] * 3
    found = calibrate([says(i, value) for i, value in enumerate(people)], runs)
    polite = found.criteria[0]
    assert (polite.sensitivity.successes, polite.sensitivity.total) == (5, 6)
    assert (polite.specificity.successes, polite.specificity.total) == (3, 4)
    assert (polite.agreement.successes, polite.compared) == (8, 10)
    assert polite.kappa is not None
    assert [item.name for item in found.criteria] == ["polite", "verdict"]
    rate = found.rates[0]
    assert (rate.counted.successes, rate.counted.total) == (6, 10)
    assert rate.corrected is not None
    assert rate.corrected.value == pytest.approx((0.6 + 0.75 - 1) / (5 / 6 + 0.75 - 1))


def test_what_nobody_decided_is_counted_beside() -> None:
    runs = [run(0, polite="unsure"), run(1, polite="pass"), run(2, polite="pass")]
    found = calibrate([says(0, "pass"), says(1, "unsure"), says(2, "pass")], runs)
    assert (found.criteria[0].compared, found.criteria[0].undecided) == (1, 2)
    assert (found.rates[0].counted.total, found.rates[0].why) == (2, "no label says fail")


def test_most_of_several_raters_count_and_their_agreement_is_measured() -> None:
    runs = [run(i, polite="pass" if i % 2 else "fail") for i in range(6)]
    labels = [says(i, "pass" if i % 2 else "fail", rater=rater) for i in range(6) for rater in ("a", "b")]
    labels += [says(0, "pass", rater="c"), says(1, "pass", rater="c"), says(2, "unsure", rater="c")]
    polite = calibrate(labels, runs).criteria[0]
    assert (polite.agreement.rate, polite.raters) == (1.0, 3)
    assert polite.alpha is not None
    assert 0 < polite.alpha.alpha < 1
    tied = calibrate([says(0, "pass", rater="a"), says(0, "fail", rater="b")], runs).criteria[0]
    assert (tied.compared, tied.undecided) == (0, 1)


def test_the_verdict_follows_where_everything_of_a_run_was_labelled() -> None:
    failed = CheckEvaluated(name="no tool", scope=Scope.CONVERSATION, turn=0, status=CheckStatus.FAILED)
    runs = [run(0, polite="pass", right="pass"), run(1, polite="pass", right="fail"), run(2, (failed,), polite="pass")]
    labels = [says(0, "pass"), says(0, "pass", "right"), says(1, "pass"), says(2, "pass")]
    verdict = next(item for item in calibrate(labels, runs).criteria if item.name == "verdict")
    assert (verdict.compared, verdict.sensitivity.total, verdict.specificity.total) == (2, 1, 1)
    own = calibrate([*labels, says(0, "fail", "")], runs)
    assert next(item for item in own.criteria if item.name == "verdict").specificity.total == 2


def test_checks_that_a_model_decides_can_be_labelled_too() -> None:
    check = CheckEvaluated(name="kind?", kind="llm_judge", scope=Scope.TURN, turn=0, status=CheckStatus.FAILED)
    other = CheckEvaluated(name="short?", kind="max_length", scope=Scope.TURN, turn=0, status=CheckStatus.FAILED)
    assert [item.criterion for item in judged_items(run(0, (check, other), polite="pass"))] == ["polite", "kind?", ""]


def test_labels_of_other_runs_count_if_they_keep_the_decision() -> None:
    runs = [run(9, polite="pass")]
    kept = [says(i, "pass" if i < 5 else "fail", decision="pass" if i < 5 else "fail") for i in range(8)]
    found = calibrate([*kept, says(20, "pass"), says(21, "fail")], runs)
    assert (found.criteria[0].compared, found.unknown) == (8, 2)
    assert found.rates[0].corrected is not None
    assert "2 labels are of runs that are not here" in " ".join(remarks(found))


def test_a_changed_judge_is_said_and_nothing_is_corrected_by_the_labels_of_another() -> None:
    kept = [says(i, value, decision=value, judge="old") for i, value in enumerate(["pass", "fail"] * 5)]
    runs = [run(30 + i, polite="pass") for i in range(4)]
    same = calibrate(kept, runs, {item.run_id: OLD for item in runs})
    assert not same.changed
    assert same.rates[0].corrected is not None
    found = calibrate(kept, runs, {item.run_id: NEW for item in runs})
    assert found.changed
    assert found.rates[0].corrected is None
    assert found.rates[0].why == "the judge has changed since it was labelled"
    assert (
        "The judge has changed: the labels are about old, and these runs were judged by new/model (new)."
        in remarks(found)[0]
    )
    mixed = calibrate(
        [*kept, *(says(40 + i, "fail", decision="pass", judge="new") for i in range(3))],
        runs,
        {item.run_id: NEW for item in runs},
    )
    assert (mixed.changed, mixed.criteria[0].compared) == (False, 3)


def test_trials_of_a_case_count_for_less_than_cases_of_their_own() -> None:
    labels = [says(900 + i, value, decision=value) for i, value in enumerate(["pass", "fail"] * 30)]
    apart = [run(i, polite="pass" if i % 2 else "fail") for i in range(40)]
    together = [run(i, scenario=f"s{i % 2}", polite="pass" if i % 2 else "fail") for i in range(40)]
    one, other = (calibrate(labels, runs).rates[0].corrected for runs in (apart, together))
    assert one is not None
    assert other is not None
    assert other.high - other.low > 1.5 * (one.high - one.low)


@pytest.mark.parametrize(("sensitivity", "specificity", "true"), [(0.95, 0.8, 0.6), (0.8, 0.9, 0.35)])
def test_rates_of_simulated_judges_are_corrected_to_the_true_ones(
    sensitivity: float, specificity: float, true: float
) -> None:
    random, held = Random(5), 0
    for _ in range(8):
        truth = [random.random() < true for _ in range(150)]
        judged = [random.random() < (sensitivity if item else 1 - specificity) for item in truth]
        runs = [run(i, polite="pass" if passed else "fail") for i, passed in enumerate(judged)]
        labels = [says(i, "pass" if truth[i] else "fail") for i in random.sample(range(150), 60)]
        corrected = calibrate(labels, runs).rates[0].corrected
        assert corrected is not None
        held += corrected.low <= true <= corrected.high
    assert held >= 7


def test_a_judge_is_known_by_its_model_and_prompt_and_not_by_its_criteria() -> None:
    def started(**details: Any) -> RunStarted:
        judge = ParticipantSnapshot(name="judge", role=AgentRole.JUDGE, details=details)
        agent = ParticipantSnapshot(name="bot", role=AgentRole.AGENT, details={"model": "other"})
        scenario = ScenarioSnapshot(name="s", description="", max_turns=1)
        return RunStarted(
            run_id="r", thread_id="t", scenario=scenario, participants=(agent, judge), seed=1, duologue_version="1"
        )

    first = judge_of(started(model="a/b", criteria=["x"], votes=1))
    assert first == judge_of(started(model="a/b", criteria=["y", "z"], votes=1, min_turns=3))
    others = [{"model": "a/c"}, {"model": "a/b", "system_prompt": "Be strict."}, {"model": "a/b", "votes": 3}]
    assert len({judge_of(started(**details)).digest for details in others} | {first.digest}) == 4  # type: ignore[union-attr]
    assert first is not None
    assert first.model == "a/b"
    assert identity_of([{"model": "a"}, {"model": "b"}]).model == "a, b"


def test_all_criteria_together_are_reported_where_there_are_several() -> None:
    runs = [run(i, polite="pass", right="fail") for i in range(3)]
    labels = [says(i, "pass", name) for i in range(3) for name in ("polite", "right")]
    found = calibrate(labels, runs)
    assert [item.name for item in found.criteria] == ["polite", "right", "verdict", ALL_CRITERIA]
    assert found.criteria[-1].compared == 6
