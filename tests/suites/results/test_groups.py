"""Trials of a test case together: shares of checks, what decides, and that no failure gets lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.journal.events import CheckEvaluated, CriterionDecision, JudgeDecided
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import CheckRate, Group, groups_of
from duologue.suites.results.run import GuardrailResult, RunResult
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Verdict

PASSED, FAILED, SKIPPED, ERROR = CheckStatus.PASSED, CheckStatus.FAILED, CheckStatus.SKIPPED, CheckStatus.ERROR


def trial(number: int, *checks: tuple[str, CheckStatus], scenario: str = "s", **fields: Any) -> RunResult:
    """A trial with those checks. It fails if one of them does, passes if one passes, and is undecided otherwise."""
    found = {status for _, status in checks}
    verdict = Verdict.FAIL if FAILED in found else Verdict.PASS if PASSED in found else Verdict.UNDECIDED
    given: dict[str, Any] = {"status": RunStatus.COMPLETED, "verdict": verdict, **fields}
    return RunResult(
        case=TestCase(index=number, scenario=scenario, agent="a", trial=number, trials=9),
        run_id=f"r{number}",
        checks=tuple(
            CheckEvaluated(name=name, kind="k", scope="turn", turn=0, status=status) for name, status in checks
        ),
        **given,
    )


def only(runs: list[RunResult], **thresholds: float) -> Group:
    (group,) = groups_of(runs, {runs[0].case.group: thresholds} if thresholds else {})
    return group


def rates(group: Group) -> dict[str, tuple[int, int, float | None]]:
    return {rate.name: (rate.passed, rate.decided, rate.rate) for rate in group.checks}


def test_trials_are_grouped_by_their_case_in_the_order_of_their_first() -> None:
    runs = [trial(1, ("c", PASSED)), trial(1, ("c", PASSED), scenario="t"), trial(2, ("c", FAILED))]
    assert [(group.case.scenario, len(group.runs)) for group in groups_of(runs, {})] == [("s", 2), ("t", 1)]


def test_every_trial_counts_where_no_share_is_asked_for() -> None:
    group = only([trial(1, ("c", PASSED)), trial(2, ("c", FAILED)), trial(3, ("c", PASSED))])
    assert (group.outcome, group.pass_at_k, group.pass_hat_k) == ("fail", True, False)
    assert group.pass_rate == pytest.approx(2 / 3)
    assert rates(group) == {"c": (2, 3, pytest.approx(2 / 3))}


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "pass"), (2 / 3, "pass"), (0.67, "fail"), (0.99, "fail")])
def test_a_share_is_reached_or_not(share: float, outcome: str) -> None:
    runs = [trial(1, ("c", PASSED)), trial(2, ("c", FAILED)), trial(3, ("c", PASSED))]
    assert only(runs, c=share).outcome == outcome


def test_a_share_excuses_nothing_else() -> None:
    other_check = [trial(1, ("c", FAILED), ("d", FAILED)), trial(2, ("c", FAILED), ("d", PASSED))]
    assert only(other_check, c=0.0).outcome == "fail"
    guarded = GuardrailResult(type="words", direction="output", turn=0, passed=False)
    assert only([trial(1, ("c", FAILED), guardrails=(guarded,))], c=0.0).outcome == "fail"
    expected = GuardrailResult(type="words", direction="output", turn=0, passed=False, expected=True)
    assert only([trial(1, ("c", FAILED), guardrails=(expected,))], c=0.0).outcome == "pass"


@pytest.mark.parametrize(("advisory", "outcome"), [(False, "fail"), (True, "pass")])
def test_a_share_of_a_check_does_not_excuse_what_a_judge_decided(advisory: bool, outcome: str) -> None:
    decided = JudgeDecided(
        judge="j",
        kind="final",
        turn=0,
        verdict=Verdict.FAIL,
        advisory=advisory,
        decisions=[CriterionDecision(criterion="x", decision=Decision.UNMET, reason="")],
    )
    assert only([trial(1, ("c", FAILED), judgements=(decided,))], c=0.0).outcome == outcome


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"status": RunStatus.ERROR, "verdict": None}, "error"),
        ({"status": RunStatus.CANCELLED, "verdict": None}, "cancelled"),
        ({"verdict": Verdict.UNDECIDED}, "undecided"),
    ],
)
def test_a_trial_that_has_no_verdict_is_not_hidden_by_those_that_passed(fields: dict[str, Any], outcome: str) -> None:
    runs = [trial(1, ("c", PASSED)), trial(2, **fields)]
    assert only(runs).outcome == only(runs, c=0.1).outcome == outcome
    assert only([*runs, trial(3, ("d", FAILED))], c=0.1).outcome == "fail"


def test_a_check_fails_a_trial_if_it_fails_in_any_turn_and_is_not_counted_where_it_was_skipped() -> None:
    runs = [trial(1, ("c", PASSED), ("c", FAILED)), trial(2, ("c", SKIPPED), ("d", PASSED)), trial(3, ("c", PASSED))]
    assert rates(only(runs)) == {"c": (1, 2, 0.5), "d": (1, 1, 1.0)}


def test_a_check_that_decided_nowhere_has_no_share_and_breaks_none() -> None:
    group = only([trial(1, ("c", SKIPPED), ("d", PASSED)), trial(2, ("c", ERROR), ("d", PASSED))], c=0.9)
    assert rates(group)["c"] == (0, 0, None)
    assert all(rate.ok for rate in group.checks)


def test_one_trial_without_shares_needs_no_counting() -> None:
    assert only([trial(1, ("c", PASSED))]).checks == ()


@pytest.mark.parametrize(("passed", "flaky"), [(0, 0.0), (1, 0.5), (2, 1.0), (3, 0.5), (4, 0.0)])
def test_flakiness_is_nothing_where_all_agree_and_all_where_half_do(passed: int, flaky: float) -> None:
    assert CheckRate(name="c", passed=passed, decided=4).flakiness == pytest.approx(flaky)


_CHECKS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([PASSED, FAILED, SKIPPED])), max_size=5)
_ENDS = st.sampled_from([{}, {}, {}, {"status": RunStatus.ERROR, "verdict": None}])
_TRIALS = st.lists(st.tuples(_CHECKS, _ENDS), min_size=1, max_size=6)
_SHARES = st.dictionaries(st.sampled_from("abc"), st.floats(min_value=0, max_value=0.99), max_size=2)


def _run(index: int, made: tuple[list[tuple[str, CheckStatus]], dict[str, Any]]) -> RunResult:
    checks, fields = made
    return trial(index, *checks, **fields)


@given(_TRIALS, _SHARES)
def test_a_group_passes_only_if_nothing_of_it_is_open_and_every_check_reaches_its_share(
    made: list[Any], shares: dict[str, float]
) -> None:
    runs = [_run(index, item) for index, item in enumerate(made, 1)]
    group = only(runs, **shares)
    decided: dict[str, list[bool]] = {}
    for run in runs:
        for name in {check.name for check in run.checks}:
            found = {check.status for check in run.checks if check.name == name}
            if found & {PASSED, FAILED}:
                decided.setdefault(name, []).append(FAILED not in found)
    reached = all(
        sum(passed) / len(passed) >= shares.get(name, 1.0)
        for name, passed in decided.items()
        if name in shares or any(run.verdict is Verdict.FAIL for run in runs if name in {c.name for c in run.checks})
    )
    broken = any(run.status is RunStatus.ERROR for run in runs)
    if group.outcome == "pass":
        assert reached
        assert not broken
    if not reached and not broken:
        assert group.outcome == "fail"
    assert group.outcome in {"pass", "fail", "undecided", "error"}


@given(_TRIALS, _SHARES, st.randoms(use_true_random=False))
def test_the_order_of_the_trials_does_not_matter(made: list[Any], shares: dict[str, float], random: Any) -> None:
    runs = [_run(index, item) for index, item in enumerate(made, 1)]
    shuffled = list(runs)
    random.shuffle(shuffled)
    one, two = only(runs, **shares), only(shuffled, **shares)
    assert (one.outcome, rates(one)) == (two.outcome, {name: rates(two)[name] for name in rates(one)})


@given(_TRIALS, _SHARES, st.sampled_from("abc"), st.floats(min_value=0, max_value=0.99))
def test_asking_for_less_never_turns_a_pass_into_anything_else(
    made: list[Any], shares: dict[str, float], name: str, less: float
) -> None:
    runs = [_run(index, item) for index, item in enumerate(made, 1)]
    if only(runs, **shares).outcome == "pass" and less <= shares.get(name, 1.0):
        assert only(runs, **{**shares, name: less}).outcome == "pass"
