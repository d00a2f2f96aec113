"""The plan: its order, its filters, and seeds that do not change when other cases come or go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.specs.suite import Suite
from duologue.suites.plan import Filters, Plan, generate_plan
from duologue.suites.plan.build import MOST_CASES


def suite(**changes: Any) -> Suite:
    data: dict[str, Any] = {
        "name": "shop",
        "agents": [
            {"name": "old", "target": "a.py:old"},
            {"name": "new", "target": "a.py:new"},
            {"name": "vip", "target": "a.py:vip", "group": "vip"},
        ],
        "personas": [{"name": "calm"}, {"name": "angry"}],
        "scenarios": [
            {"name": "order", "description": "d", "personas": ["calm", "angry"], "tags": ["smoke"]},
            {"name": "refund", "description": "d", "turns": [{"content": "hi"}], "trials": 2, "labels": {"tier": "1"}},
        ],
        "replays": [{"name": "calls", "recording": "*.json", "tags": ["old"]}],
        **changes,
    }
    return Suite.model_validate(data)


def cells(plan: Plan) -> list[tuple[Any, ...]]:
    return [(case.scenario, case.agent, case.persona, case.region, case.trial) for case in plan.cases]


def recordings(_replay: object) -> list[str]:
    return ["a.json", "b.json#1"]


def test_scenarios_come_before_recordings_and_the_last_factor_varies_fastest() -> None:
    plan = generate_plan(suite(), seed=1, recordings=recordings)
    assert cells(plan) == [
        ("order", "old", "calm", "default", 1),
        ("order", "old", "angry", "default", 1),
        ("order", "new", "calm", "default", 1),
        ("order", "new", "angry", "default", 1),
        ("refund", "old", None, "default", 1),
        ("refund", "old", None, "default", 2),
        ("refund", "new", None, "default", 1),
        ("refund", "new", None, "default", 2),
        ("calls", None, None, "default", 1),
        ("calls", None, None, "default", 1),
    ]
    assert [case.index for case in plan.cases] == list(range(10))
    assert [case.recording for case in plan.cases[-2:]] == ["a.json", "b.json#1"]


def test_regions_and_perturbations_multiply() -> None:
    turns = [{"content": "I am {who} from {where}", "perturbations": {"who": ["A", "B"], "where": ["X", "Y"]}}]
    made = suite(
        regions=["uk", "us"],
        agents=[{"name": "a", "target": "a.py:a"}],
        personas=[],
        scenarios=[{"name": "s", "turns": turns}],
    )
    plan = generate_plan(made, seed=1)
    assert [(case.region, dict(case.perturbation)) for case in plan.cases[:4]] == [
        ("uk", {"who": "A", "where": "X"}),
        ("uk", {"who": "A", "where": "Y"}),
        ("uk", {"who": "B", "where": "X"}),
        ("uk", {"who": "B", "where": "Y"}),
    ]
    assert [case.region for case in plan.cases] == ["uk"] * 4 + ["us"] * 4


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(scenarios=["refund"]), 4),
        (Filters(agents=["new"]), 4),
        (Filters(personas=["angry"]), 2),
        (Filters(tags=["smoke"]), 4),
        (Filters(tags=["old"]), 2),
        (Filters(labels=["tier=1"]), 4),
        (Filters(replays=["calls"]), 2),
        (Filters(scenarios=["order"], agents=["old"], personas=["calm"]), 1),
        (Filters(scenarios=["order"], replays=["calls"]), 6),
        (Filters(), 10),
    ],
)
def test_filters_take_cases_out_and_change_nothing_about_the_others(filters: Filters, count: int) -> None:
    every = {case.identity: case.seed for case in generate_plan(suite(), seed=5, recordings=recordings).cases}
    plan = generate_plan(suite(), filters, seed=5, recordings=recordings)
    assert len(plan) == count
    assert all(every[case.identity] == case.seed for case in plan.cases)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (Filters(scenarios=["ordr"]), "no scenario 'ordr'; did you mean 'order'"),
        (Filters(agents=["news"]), "no agent 'news'; did you mean 'new'"),
        (Filters(personas=["calmer"]), "no persona 'calmer'"),
        (Filters(labels=["tier"]), "found 'tier'; expected key=value"),
        (Filters(tags=["smok"]), "no tag 'smok'; did you mean 'smoke'"),
        (Filters(replays=["call"]), "no replay 'call'"),
        (Filters(scenarios=["refund"], personas=["calm"]), "nothing to run"),
    ],
)
def test_a_filter_that_chooses_nothing_is_an_error_that_names_what_there_is(filters: Filters, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        generate_plan(suite(), filters, seed=1, recordings=recordings)


def test_a_suite_with_regions_knows_no_others() -> None:
    with pytest.raises(ConfigurationError, match=r"no region 'ukk'; did you mean 'uk'\? It has uk, us\."):
        generate_plan(suite(regions=["uk", "us"]), Filters(regions=["ukk"]), seed=1)
    with pytest.raises(ConfigurationError, match=r"no region 'fr'\. It has"):
        generate_plan(suite(regions=["uk", "us"]), Filters(regions=["fr"]), seed=1)


def test_a_suite_without_regions_is_run_in_those_that_are_asked_for() -> None:
    plan = generate_plan(suite(), Filters(regions=["uk", "us", "uk"], scenarios=["order"], agents=["old"]), seed=1)
    assert [(case.region, case.persona) for case in plan.cases] == [
        ("uk", "calm"),
        ("us", "calm"),
        ("uk", "angry"),
        ("us", "angry"),
    ]


def test_a_region_or_persona_that_stands_twice_makes_no_case_twice() -> None:
    made = suite(
        regions=["uk", "uk"], scenarios=[{"name": "s", "description": "d", "personas": ["calm", "angry", "calm"]}]
    )
    plan = generate_plan(made, seed=1)
    assert len({case.identity for case in plan.cases}) == len(plan) == 4


def test_cases_that_are_called_alike_have_ids_of_their_own() -> None:
    values = [str(number) for number in range(20_000)]
    made = suite(
        agents=[{"name": "a", "target": "a.py:a"}],
        scenarios=[{"name": "s", "turns": [{"content": "{n}", "perturbations": {"n": values}}]}],
    )
    plan = generate_plan(made, seed=1)
    ids = {case.run_id("x") for case in plan.cases}
    assert len(ids) == len(plan) == 20_000
    assert min(len(name.rpartition("-")[2]) for name in ids) == 16  # of a million, two are alike once in 37 million


def test_a_name_that_no_file_can_hold_gives_an_id_all_the_same() -> None:
    case = generate_plan(suite(), seed=1).cases[0]
    assert case.__class__(index=0, scenario="\ud801").run_id("x")


def test_trials_of_the_command_line_come_over_those_of_the_scenario() -> None:
    plan = generate_plan(suite(), Filters(scenarios=["refund"], agents=["old"]), trials=3, seed=1)
    assert [(case.trial, case.trials) for case in plan.cases] == [(1, 3), (2, 3), (3, 3)]
    assert len({case.seed for case in plan.cases}) == 3
    assert len({case.group for case in plan.cases}) == 1


def test_a_plan_of_too_many_cases_is_refused_without_making_them_all() -> None:
    values = {name: [str(index) for index in range(100)] for name in "abcd"}
    made = suite(scenarios=[{"name": "s", "turns": [{"content": "{a}{b}{c}{d}", "perturbations": values}]}])
    with pytest.raises(ConfigurationError, match=f"more than {MOST_CASES:,} test cases"):
        generate_plan(made, seed=1)


def test_run_ids_are_unique_readable_and_fit_for_files() -> None:
    plan = generate_plan(suite(), seed=1, recordings=recordings)
    ids = [case.run_id("x1") for case in plan.cases]
    assert len(set(ids)) == len(ids)
    assert ids[0].startswith("order-old-calm-")
    assert ids[0] != plan.cases[0].run_id("x2")
    strange = plan.cases[0].__class__(index=0, scenario="../é/ \n", agent="a" * 300)
    assert strange.run_id("x") == Path(strange.run_id("x")).name
    assert len(strange.run_id("x")) < 100


@given(st.integers(min_value=0, max_value=2**63 - 1), st.integers(min_value=1, max_value=4))
def test_the_same_seed_gives_the_same_plan(seed: int, trials: int) -> None:
    assert generate_plan(suite(), seed=seed, trials=trials) == generate_plan(suite(), seed=seed, trials=trials)


def test_without_a_seed_each_plan_has_one_of_its_own() -> None:
    assert generate_plan(suite()).seed != generate_plan(suite()).seed
    assert generate_plan(suite(defaults={"seed": 4})).seed == 4
