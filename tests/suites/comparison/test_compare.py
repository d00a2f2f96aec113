"""Two executions of the same cases: better, worse, tied or undecided."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_executions import drawn, execution

from duologue.errors import ConfigurationError
from duologue.suites.comparison import compare_executions

TWENTY = {f"s{number}": "p" * 10 for number in range(20)}


def verdicts(comparison):
    return {case.title: case.verdict for case in comparison.cases}


@pytest.mark.parametrize("seeds", [(7, 7), (7, 90)])
@pytest.mark.parametrize("faulty", ["f" * 10, "fffffffpff", "pfffffffpf"])
def test_one_fault_in_twenty_scenarios_is_found_at_ten_trials_and_the_others_are_tied(faulty, seeds):
    found = compare_executions(execution(TWENTY, seed=seeds[0]), execution({**TWENTY, "s7": faulty}, seed=seeds[1]))
    assert verdicts(found) == {**dict.fromkeys(TWENTY, "tied"), "s7": "worse"}
    assert found.overall.verdict == "worse"
    assert (found.overall.worse, found.overall.tied) == (1, 19)
    assert found.found(["worse"]) == ["all test cases together", "s7"]
    assert found.overall.difference.high < 0
    back = compare_executions(execution({**TWENTY, "s7": faulty}, seed=seeds[0]), execution(TWENTY, seed=seeds[1]))
    assert verdicts(back)["s7"] == back.overall.verdict == "better"


def test_identical_executions_are_tied():
    one = execution({"a": "ppfp", "b": "ffff", "c": "p"})
    found = compare_executions(one, replace(one, id="again"))
    assert set(verdicts(found).values()) == {found.overall.verdict} == {"tied"}
    assert found.overall.difference.value == 0
    assert found.flips_in_all == 0


def test_identical_agents_are_seldom_called_worse():
    random, worse = Random(3), 0
    for _ in range(60):
        rates = [random.choice([0.99, 0.9, 0.6, 0.3]) for _ in range(8)]
        one, other = drawn(rates, 8, random), drawn(rates, 8, random)
        found = compare_executions(execution(one), execution(other), most_flips=0)
        worse += bool(found.found(["worse"]))
    assert worse <= 7  # of 60; 5 % and some


def test_a_difference_that_trials_cannot_tell_is_undecided_with_the_trials_it_would_take():
    found = compare_executions(execution({"a": "pppppppppp"}), execution({"a": "ppppppffff"}))
    [case] = found.cases
    assert case.verdict == "undecided"
    assert case.further_trials > 0
    assert case.difference.value == pytest.approx(-0.4)
    assert case.difference.low < -0.4 < case.difference.high


def test_a_sharper_test_finds_what_fishers_does_not():
    pytest.importorskip("scipy.stats")
    one, other = execution({"a": "pppppppppp"}), execution({"a": "pppppfffff"}, seed=99)
    plain, sharp = compare_executions(one, other), compare_executions(one, other, exact_test="boschloo")
    assert sharp.cases[0].p < plain.cases[0].p
    assert sharp.cases[0].verdict == "worse"


def test_one_trial_tells_nothing_unless_it_is_the_same():
    found = compare_executions(execution({"a": "p", "b": "p"}), execution({"a": "f", "b": "p"}))
    assert verdicts(found) == {"a": "undecided", "b": "tied"}


def test_undecided_and_broken_runs_are_beside_the_rates():
    found = compare_executions(execution({"a": "ppue"}), execution({"a": "eeee"}))
    [case] = found.cases
    assert (case.first.passed, case.first.decided, case.first.undecided, case.first.errors) == (2, 2, 1, 1)
    assert (case.second.value, case.second.decided, case.second.errors) == (None, 0, 4)
    assert (case.verdict, case.difference.value) == ("undecided", None)


@pytest.mark.parametrize("seed", [7, 90])
def test_cases_without_a_decided_run_change_nothing_for_the_others(seed):
    before, after = {"a": "pppppppp", "b": "ppp"}, {"a": "pfffffff", "b": "ppp"}
    dead = {f"broken {number}": "eeu" for number in range(12)}
    alone = compare_executions(execution(before), execution(after, seed=seed))
    beside = compare_executions(execution({**before, **dead}), execution({**after, **dead}, seed=seed))
    half = compare_executions(
        execution({**before, **dead}), execution({**after, **dict.fromkeys(dead, "ppp")}, seed=seed)
    )
    for found in (beside, half):
        assert [case.adjusted_p for case in found.cases[:2]] == [case.adjusted_p for case in alone.cases]
        assert (found.overall.p, found.overall.verdict) == (alone.overall.p, alone.overall.verdict)
        assert found.overall.difference == alone.overall.difference
        assert {case.verdict for case in found.cases[2:]} == {"undecided"}


@pytest.mark.parametrize("outcomes", ["eee", "uuu", "eu"])
def test_seeds_are_no_matter_where_nothing_is_decided(outcomes):
    found = compare_executions(execution({"a": outcomes}), execution({"a": outcomes}))
    assert found.overall.verdict == "undecided"
    assert not any("seed" in note for note in found.notes)


def test_cases_that_the_second_breaks_are_missing_there():
    before, after = execution({"a": "pp", "b": "pp", "c": "e"}), execution({"a": "pp", "b": "eu", "c": "e"})
    found, back = compare_executions(before, after), compare_executions(after, before)
    assert (found.missing, back.missing) == (["b"], [])
    assert any("no decided run of b" in note for note in found.notes)
    assert not any("no decided run" in note for note in back.notes)


def test_further_trials_on_one_side_are_no_tie():
    found = compare_executions(execution({"a": "ppp"}), execution({"a": "pppffff"}))
    assert verdicts(found) == {"a": "undecided"}
    assert found.overall.verdict == "undecided"


def test_trials_are_paired_by_their_seed():
    one, other = execution({"a": "pppfff"}), execution({"a": "ppffff"})
    paired, unpaired = compare_executions(one, other), compare_executions(one, execution({"a": "ppffff"}, seed=99))
    assert (paired.cases[0].paired, paired.cases[0].both, paired.cases[0].only_first) == (True, 2, 1)
    assert not unpaired.cases[0].paired
    assert any("same seed" in note for note in unpaired.notes)
    assert not any("same seed" in note for note in paired.notes)


def test_agents_of_other_names_are_compared_where_each_side_has_one():
    found = compare_executions(execution({"a": "pp"}), execution({"a": "ff"}, agent="clerk", seed=9))
    assert found.cases[0].title == "a"
    assert (found.first.agents, found.second.agents) == (("desk",), ("clerk",))


def test_two_agents_of_one_execution():
    one, other = execution({"a": "pp"}), execution({"a": "ff"}, agent="clerk")
    both = replace(one, runs=(*one.runs, *other.runs))
    found = compare_executions(both, both, agents=("desk", "clerk"))
    assert (found.cases[0].first.value, found.cases[0].second.value) == (1.0, 0.0)
    with pytest.raises(ConfigurationError, match="no runs of the agent 'nobody'; it has runs of clerk, desk"):
        compare_executions(both, both, agents=("nobody", None))


def test_cases_that_only_one_has_are_named():
    found = compare_executions(execution({"a": "p", "b": "p"}), execution({"b": "p", "c": "p"}))
    assert (found.only_first, found.only_second, len(found.cases)) == (("a",), ("c",), 1)


def test_executions_without_a_common_case_are_refused():
    with pytest.raises(ConfigurationError, match="no test case in common: the first has the scenarios a, the second b"):
        compare_executions(execution({"a": "p"}), execution({"b": "p"}))


def test_cost_and_latency_have_intervals():
    names = [f"s{number}" for number in range(12)]
    one = execution(dict.fromkeys(names, "pp"), cost=0.01, seconds=2.0)
    other = execution(dict.fromkeys(names, "pp"), cost=0.03, seconds=1.5)
    found = {item.name: item for item in compare_executions(one, other).measures}
    assert found["cost"].difference.value == pytest.approx(0.02)
    assert found["latency"].difference.value == pytest.approx(-0.5)
    assert found["latency"].difference.low <= -0.5 <= found["latency"].difference.high
    assert found["tokens"].difference.value == 0


def test_what_is_configured_in_another_way():
    before = execution(
        {"a": "p", "b": "p"}, definition={"agent prompt": "1", "judge": "1", "tools": "1"}, prompt="Be kind.\nBe quick."
    )
    after = execution(
        {"a": "p", "b": "p"}, definition={"agent prompt": "2", "judge": "1", "tools": "2"}, prompt="Be kind.\nBe slow."
    )
    found = {change.part: change for change in compare_executions(before, after).changes}
    assert set(found) == {"agent prompt", "tools"}
    assert found["agent prompt"].diff[-2:] == ("-Be quick.", "+Be slow.")
    assert found["tools"].cases == 2


def test_models_and_judges_are_named_where_the_executions_say_them():
    said = {"configuration": {"agent model": {"desk": "a/1"}, "judge": {"strict": "j/1"}}}
    now = {"configuration": {"agent model": {"desk": "a/2"}, "judge": {"strict": "j/1", "second": "j/2"}}}
    found = compare_executions(execution({"a": "p"}, environment=said), execution({"a": "p"}, environment=now))
    assert [(item.part, item.name, item.first, item.second) for item in found.changes] == [
        ("agent model", "desk", "a/1", "a/2"),
        ("judge", "second", None, "j/2"),
    ]


def test_a_model_that_only_the_runs_name():
    before = execution({"a": "p"}, definition={"agent model": "1"})
    after = execution({"a": "p"}, definition={"agent model": "2"}, model="acme/desk-2")
    [change] = compare_executions(before, after).changes
    assert (change.part, change.first, change.second) == ("agent model", "acme/desk-1", "acme/desk-2")


def test_flips_come_with_both_conversations_and_the_place_where_they_part():
    found = compare_executions(execution({"a": "fpp"}), execution({"a": "pfp"}))
    worse, better = found.flips
    assert worse.worse
    assert not better.worse
    assert (worse.trial, worse.apart_from, worse.second.reason) == ("2", 1, "It was rude.")
    assert [line.text for line in worse.second.messages] == ["May I?", "No."]
    fewer = compare_executions(execution({"a": "fpp"}), execution({"a": "pfp"}), most_flips=1)
    assert (len(fewer.flips), fewer.flips_in_all) == (1, 2)


def test_checks_are_compared_over_all_runs():
    found = compare_executions(execution(TWENTY), execution(dict.fromkeys(TWENTY, "f" * 10)))
    [check] = found.checks
    assert (check.name, check.verdict, check.first.value, check.second.value) == ("polite", "worse", 1.0, 0.0)


OUTCOMES = st.dictionaries(st.sampled_from("abcdef"), st.text("pfue", min_size=1, max_size=6), min_size=1)


@given(OUTCOMES, OUTCOMES, st.sampled_from([7, 8]))
@settings(max_examples=20, deadline=None)
def test_a_comparison_is_plain_data_and_its_mirror_says_the_opposite(first, second, seed):
    one, other = execution({"x": "pf", **first}), execution({"x": "pf", **second}, seed=seed)
    found, mirrored = compare_executions(one, other), compare_executions(other, one)
    json.dumps(found.as_data(), allow_nan=False)
    opposite = {"better": "worse", "worse": "better", "tied": "tied", "undecided": "undecided"}
    assert verdicts(mirrored) == {title: opposite[word] for title, word in verdicts(found).items()}
    assert mirrored.overall.verdict == opposite[found.overall.verdict]
    for case in found.cases:
        if case.difference.value is not None:
            assert case.difference.low <= case.difference.value + 1e-9
            assert case.difference.value <= case.difference.high + 1e-9
        assert case.p <= case.adjusted_p + 1e-12
