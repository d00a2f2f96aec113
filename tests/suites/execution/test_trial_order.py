"""Which trial is started next where each test case gets as many as it takes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from made_executions import execution

from duologue.suites.execution.until_decided import TrialOrder
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult

THRESHOLD = 0.8


def made(outcomes: dict[str, str]) -> ExecutionResult:
    """All trials that there may be, with the outcome that each would have."""
    found = execution(outcomes)
    runs = tuple(replace(run, case=replace(run.case, until_decided=True)) for run in found.runs)
    plan = replace(found.plan, cases=tuple(replace(case, until_decided=True) for case in found.plan.cases))
    return replace(found, runs=runs, plan=plan, allowance=Allowance(pass_threshold=THRESHOLD))


def played(whole: ExecutionResult, jobs: int, random: Random, known: tuple[RunResult, ...] = ()) -> list[RunResult]:
    """The results, if so many trials are under way at once and end in any order."""
    held = {run.case.identity for run in known}
    outcomes = {run.case: run for run in whole.runs}
    order = TrialOrder([case for case in whole.plan.cases if case.identity not in held], known, THRESHOLD, {})
    done, under_way = list(known), list[TestCase]()
    while True:
        while len(under_way) < jobs and (case := order.take()) is not None:
            under_way.append(case)
        if not under_way:
            return done
        run = outcomes[under_way.pop(random.randrange(len(under_way)))]
        done.append(run)
        order.add(run)


OUTCOMES = st.dictionaries(st.sampled_from("abc"), st.text("ppfu", min_size=12, max_size=12), min_size=1)


@given(OUTCOMES, st.integers(1, 9), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_several_at_once_decide_as_one_after_the_other_does(outcomes, jobs, random) -> None:
    whole = made(outcomes)
    one, several = played(whole, 1, random), played(whole, jobs, random)
    results = [
        {group.case.group: (group.outcome, group.stopped) for group in replace(whole, runs=tuple(runs)).groups}
        for runs in (one, several)
    ]
    assert results[0] == results[1]
    assert replace(whole, runs=tuple(several)).totals.not_run == 0


@given(OUTCOMES, st.integers(1, 5), st.integers(0, 30), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_it_does_not_matter_where_it_was_interrupted(outcomes, jobs, done, random) -> None:
    whole = made(outcomes)
    first = tuple(played(whole, jobs, random)[:done])
    again = played(whole, jobs, random, first)
    expected = {
        group.case.group: group.outcome for group in replace(whole, runs=tuple(played(whole, 1, random))).groups
    }
    assert {group.case.group: group.outcome for group in replace(whole, runs=tuple(again)).groups} == expected


def test_several_at_once_waste_no_trial_of_a_clear_case() -> None:
    whole = made({"broken": "f" * 20})
    assert len(played(whole, 8, Random(1))) == len(played(whole, 1, Random(1))) == 3


def test_the_least_decided_case_comes_next() -> None:
    whole = made({"good": "p" * 20, "open": "ppppfpppfppppfpppppp"})
    outcomes = {run.case: run for run in whole.runs}
    order = TrialOrder(whole.plan.cases, (), THRESHOLD, {})
    taken: list[str] = []
    while len(taken) < 24 and (case := order.take()) is not None:
        taken.append(case.scenario)
        order.add(outcomes[case])
    assert taken[:1] == ["good"]
    assert taken[4:].count("open") > taken[4:].count("good")
