from __future__ import annotations

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from duologue.checks.metrics import (
    DEFAULT_METRICS,
    PREDEFINED,
    TASK_COMPLETION,
    ExpectedToolCall,
    Grading,
    MetricGrade,
    OutcomeGrade,
    ScoreType,
    Tier,
    ToolCallGrade,
    summarise,
)
from duologue.errors import ConfigurationError
from duologue.vocabulary import Verdict


def a_grade(
    name: str, score: int | None, weight: float, tier: Tier = Tier.PROCESS, code: str | None = None
) -> MetricGrade:
    return MetricGrade(
        metric=name,
        title=name,
        tier=tier,
        weight=weight,
        score=score,
        reason="so",
        failure_code=code,
        message_ids=("m2",),
    )


SCORES = st.one_of(st.none(), st.integers(0, 5))
WEIGHTS = st.one_of(st.just(0.0), st.floats(0, 1_000_000), st.floats(0, 1e-300))
GRADES = st.lists(st.tuples(SCORES, WEIGHTS, st.sampled_from(list(Tier))), max_size=9).map(
    lambda rows: tuple(a_grade(f"m_{number}", *row) for number, row in enumerate(rows))
)
MET = OutcomeGrade(outcome="Booked.", met=True, reason="m2 says so")
UNMET = OutcomeGrade(outcome="Paid.", met=False, reason="nobody paid")
CALL = ExpectedToolCall(tool="book")


def graded(*scores: int, outcomes: tuple[OutcomeGrade, ...] = (), **fields: object) -> Grading:
    grades = tuple(a_grade(f"m_{number}", score, 1.0) for number, score in enumerate(scores))
    return Grading.model_validate({"metrics": grades, "outcomes": outcomes, **fields})


@given(GRADES)
def test_score_lies_between_the_grades_that_count(grades: tuple[MetricGrade, ...]) -> None:
    counted = [grade.score for grade in grades if grade.score is not None and grade.weight > 0]
    score = Grading(metrics=grades).score
    if not counted:
        assert score is None
    else:
        assert score is not None
        assert min(counted) * 20 - 1e-6 <= score <= max(counted) * 20 + 1e-6
        assert 0 <= score <= 100


@given(GRADES)
def test_weights_of_what_applies_sum_to_one_and_give_the_score(grades: tuple[MetricGrade, ...]) -> None:
    grading = Grading(metrics=grades)
    if grading.score is None:
        assert grading.weights == {}
        return
    assert isclose(sum(grading.weights.values()), 1.0)
    applying = {grade.metric: grade.score for grade in grades if grade.score is not None}
    assert grading.weights.keys() == applying.keys()
    by_hand = sum(20 * score * grading.weights[name] for name, score in applying.items())
    assert isclose(grading.score, by_hand, abs_tol=1e-6)


@given(GRADES, st.sampled_from([0.5, 2.0, 4.0]))
def test_scaling_all_weights_changes_nothing(grades: tuple[MetricGrade, ...], factor: float) -> None:
    if any(0 < grade.weight < 1e-290 or grade.weight * factor > 1_000_000 for grade in grades):
        return
    scaled = [grade.model_copy(update={"weight": grade.weight * factor}) for grade in grades]
    assert Grading(metrics=tuple(scaled)).score == Grading(metrics=grades).score


@given(GRADES)
def test_metric_that_does_not_apply_or_weighs_nothing_changes_no_score(grades: tuple[MetricGrade, ...]) -> None:
    more = (*grades, a_grade("absent", None, 1.0), a_grade("weightless", 0, 0.0))
    assert Grading(metrics=more).score == Grading(metrics=grades).score


@given(GRADES)
def test_better_grade_never_lowers_the_score(grades: tuple[MetricGrade, ...]) -> None:
    before = Grading(metrics=grades).score
    for place, grade in enumerate(grades):
        if grade.score is None or grade.score == 5 or before is None:
            continue
        better = list(grades)
        better[place] = grade.model_copy(update={"score": grade.score + 1})
        after = Grading(metrics=tuple(better)).score
        assert after is not None
        assert after >= before


@given(GRADES)
def test_tiers_are_scored_by_themselves_and_together_make_the_score(grades: tuple[MetricGrade, ...]) -> None:
    grading = Grading(metrics=grades)
    assert set(grading.tiers) == {grade.tier for grade in grades}
    for tier, score in grading.tiers.items():
        assert score == Grading(metrics=tuple(grade for grade in grades if grade.tier is tier)).score


@given(GRADES, st.floats(0, 100), st.booleans())
def test_grading_survives_json_and_keeps_what_follows_from_it(
    grades: tuple[MetricGrade, ...], threshold: float, decide: bool
) -> None:
    grading = Grading(metrics=grades, outcomes=(MET,), threshold=threshold, outcomes_decide=decide, judge="x/y")
    read = Grading.model_validate_json(grading.model_dump_json())
    assert read == grading
    assert read.verdict is grading.verdict
    assert grading.model_dump(mode="json")["verdict"] == grading.verdict.value


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.floats(0, 100))
def test_verdict_is_pass_exactly_from_the_threshold_on(scores: list[int], threshold: float) -> None:
    grading = graded(*scores, threshold=threshold)
    assert grading.score is not None
    assert grading.verdict is (Verdict.PASS if grading.score >= threshold else Verdict.FAIL)


def test_three_of_five_reaches_sixty() -> None:
    grades = tuple(a_grade(metric.name, 3, metric.weight) for metric in DEFAULT_METRICS)
    assert Grading(metrics=grades, threshold=60.0).verdict is Verdict.PASS


def test_default_weights_are_those_of_four_tiers_and_sum_to_one() -> None:
    assert isclose(sum(metric.weight for metric in DEFAULT_METRICS), 1.0)
    by_tier: dict[Tier, float] = {}
    for metric in DEFAULT_METRICS:
        by_tier[metric.tier] = by_tier.get(metric.tier, 0.0) + metric.weight
    assert {tier.value: round(weight, 9) for tier, weight in by_tier.items()} == {
        "execution": 0.45,
        "knowledge": 0.25,
        "process": 0.2,
        "delivery": 0.1,
    }
    assert len(DEFAULT_METRICS) == 8
    assert (*DEFAULT_METRICS, TASK_COMPLETION) == PREDEFINED
    assert (TASK_COMPLETION.weight, TASK_COMPLETION.score_type) == (0.0, ScoreType.BINARY)


def test_missed_outcome_fails_whatever_the_score() -> None:
    assert graded(5, outcomes=(MET, UNMET)).verdict is Verdict.FAIL
    assert graded(5, outcomes=(MET, UNMET)).missed == ("Paid.: nobody paid",)
    assert graded(5, outcomes=(MET,)).verdict is Verdict.PASS
    assert graded(0, outcomes=(MET,)).verdict is Verdict.FAIL


def test_outcomes_decide_in_place_of_the_score_where_there_are_any() -> None:
    assert graded(0, outcomes=(MET,), outcomes_decide=True).verdict is Verdict.PASS
    assert graded(5, outcomes=(UNMET,), outcomes_decide=True).verdict is Verdict.FAIL
    assert graded(0, outcomes_decide=True).verdict is Verdict.FAIL


@pytest.mark.parametrize("made", [True, False])
def test_call_that_was_not_made_fails_whatever_the_score(made: bool) -> None:
    call = ToolCallGrade(expected=CALL, made=made, reason="book was not called")
    expected = Verdict.PASS if made else Verdict.FAIL
    assert graded(5, tool_calls=(call,)).verdict is expected
    assert Grading(tool_calls=(call,)).verdict is expected


def test_nothing_that_applies_is_undecided() -> None:
    grading = Grading(metrics=(a_grade("tool_routing", None, 1.0),))
    assert (grading.score, grading.verdict, grading.metrics[0].label) == (None, Verdict.UNDECIDED, "not_applicable")


@pytest.mark.parametrize("score", [True, 6, -1, 2.5, "3"])
def test_grade_refuses_what_is_no_score(score: object) -> None:
    fields = {"metric": "a", "title": "A", "tier": "process", "weight": 1.0, "reason": "so"}
    with pytest.raises(ValidationError):
        MetricGrade.model_validate({**fields, "score": score})


def test_binary_grade_has_no_step_in_between() -> None:
    fields = {"metric": "a", "title": "A", "tier": "process", "weight": 1.0, "reason": "so", "score_type": "binary"}
    assert MetricGrade.model_validate({**fields, "score": 5}).passed is True
    assert MetricGrade.model_validate({**fields, "score": 0}).passed is False
    with pytest.raises(ValidationError, match="a binary metric has the score 0 or 5; found 3"):
        MetricGrade.model_validate({**fields, "score": 3})


def test_metric_is_graded_once() -> None:
    with pytest.raises(ValidationError, match="a metric is graded once"):
        Grading(metrics=(a_grade("a", 1, 1.0), a_grade("a", 5, 1.0)))


# ------------------------------------------------------------------------------------------------ an execution


def test_execution_counts_cases_scores_and_codes() -> None:
    first = Grading(metrics=(a_grade("a", 5, 3.0), a_grade("b", 1, 1.0, code="slow")))
    second = Grading(metrics=(a_grade("a", 3, 3.0), a_grade("b", None, 1.0)), threshold=50.0)
    summary = summarise([first, second], metrics_threshold=65.0, cases_threshold=100.0)
    assert (summary.passed, summary.failed, summary.undecided, summary.errors) == (2, 0, 0, 0)
    assert summary.mean_score == pytest.approx((80 + 60) / 2)
    assert summary.weighted_score == pytest.approx((80 * 3 + 20 * 1) / 4)
    a, b = summary.metrics
    assert (a.mean, a.applied, a.not_applicable, a.failure_codes) == (4, 2, 0, {})
    assert (b.mean, b.applied, b.not_applicable, b.failure_codes) == (1, 1, 1, {"slow": 1})
    assert (summary.metrics_passed, summary.cases_passed, summary.verdict) == (True, True, Verdict.PASS)


def test_case_keeps_its_own_threshold_in_an_execution() -> None:
    lenient, strict = graded(3, threshold=60.0), graded(3, threshold=61.0)
    summary = summarise([lenient, strict], metrics_threshold=0.0, cases_threshold=50.0)
    assert (summary.passed, summary.failed, summary.verdict) == (1, 1, Verdict.PASS)


def test_execution_fails_for_either_threshold() -> None:
    assert summarise([graded(5), graded(4)], metrics_threshold=91.0).verdict is Verdict.FAIL
    assert summarise([graded(5), graded(3)], metrics_threshold=0.0, cases_threshold=51.0).verdict is Verdict.FAIL
    assert summarise([graded(5), graded(3)], metrics_threshold=80.0, cases_threshold=50.0).verdict is Verdict.PASS


def test_error_has_no_score_and_keeps_an_execution_from_passing() -> None:
    without, with_errors = summarise([graded(5)]), summarise([graded(5)], errors=2)
    assert with_errors.mean_score == without.mean_score == 100
    assert with_errors.cases_passed_pct == 100
    assert (without.verdict, with_errors.verdict) == (Verdict.PASS, Verdict.UNDECIDED)
    assert summarise([graded(5), graded(0)], errors=2, metrics_threshold=0.0).verdict is Verdict.FAIL


def test_execution_of_errors_only_is_undecided() -> None:
    summary = summarise([], errors=3)
    assert (summary.mean_score, summary.weighted_score, summary.cases_passed_pct) == (None, None, None)
    assert (summary.metrics_passed, summary.cases_passed, summary.verdict) == (None, None, Verdict.UNDECIDED)
    assert summarise([]).verdict is Verdict.UNDECIDED


def test_undecided_case_may_still_decide() -> None:
    undecided = Grading(metrics=(a_grade("m_0", None, 1.0),))
    summary = summarise([graded(5), undecided])
    assert (summary.cases_passed_pct, summary.cases_passed, summary.verdict) == (50, False, Verdict.UNDECIDED)
    assert summarise([graded(5), undecided], cases_threshold=50.0).verdict is Verdict.PASS
    assert summarise([graded(0), undecided], metrics_threshold=0.0, cases_threshold=51.0).verdict is Verdict.FAIL


def test_silent_agent_counts_as_failed_without_a_score() -> None:
    summary = summarise([graded(5)], silent=1)
    assert (summary.failed, summary.mean_score, summary.cases_passed_pct) == (1, 100, 50)
    assert summary.verdict is Verdict.FAIL


@given(
    st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3), st.integers(0, 3), st.floats(0, 100), st.floats(0, 100)
)
def test_execution_never_passes_with_an_error_and_counts_every_case(
    scores: list[int], errors: int, silent: int, metrics_threshold: float, cases_threshold: float
) -> None:
    gradings = [graded(score) for score in scores]
    summary = summarise(
        gradings, errors=errors, silent=silent, metrics_threshold=metrics_threshold, cases_threshold=cases_threshold
    )
    assert summary.passed + summary.failed + summary.undecided == len(scores) + silent
    if errors:
        assert summary.verdict is not Verdict.PASS
    if summary.verdict is Verdict.PASS:
        assert summary.cases_passed_pct is not None
        assert summary.cases_passed_pct >= cases_threshold
        assert summary.weighted_score is None or summary.weighted_score >= metrics_threshold
    if summary.weighted_score is not None and summary.weighted_score < metrics_threshold:
        assert summary.verdict is Verdict.FAIL


@pytest.mark.parametrize("threshold", [-0.1, 100.1, float("nan"), float("inf")])
def test_threshold_outside_the_scale_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="a threshold is a number from 0 to 100"):
        summarise([], metrics_threshold=threshold)
    with pytest.raises(ConfigurationError, match="a threshold is a number from 0 to 100"):
        summarise([], cases_threshold=threshold)
    with pytest.raises(ValidationError):
        Grading(threshold=threshold)


def test_negative_numbers_of_cases_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="found -1 and 0"):
        summarise([], errors=-1)
