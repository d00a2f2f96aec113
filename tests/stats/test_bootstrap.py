"""Intervals for shares and means that come in clusters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.bootstrap import clustered_mean, clustered_share
from duologue.stats.pass_k import Task, pass_at_k, pass_hat_k, pass_k
from duologue.stats.proportion import wilson
from duologue.stats.quantiles import student_quantile

CLUSTERS = st.lists(
    st.integers(0, 8).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size))), min_size=1, max_size=30
)


@given(CLUSTERS)
@settings(max_examples=40)
def test_a_share_lies_in_its_interval_and_the_interval_on_the_scale(clusters):
    found = clustered_share(clusters)
    if found.value is None:
        assert (found.low, found.high, found.method) == (0.0, 1.0, "none")
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1


@given(CLUSTERS)
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_interval_and_nothing_of_clusters_without_trials(clusters):
    assert clustered_share(clusters, seed=3) == clustered_share([*clusters, (0, 0)], seed=3)


def test_a_fifth_of_fifty_tasks():
    found = clustered_share([(1, 1)] * 10 + [(0, 1)] * 40)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.10, 0.32), abs=0.005)


@pytest.mark.parametrize("passed", [0, 2, 3])
def test_clusters_that_are_all_alike_are_as_sure_as_so_many_trials_and_no_surer(passed):
    found, plain = clustered_share([(passed, 3)] * 20), wilson(20 * passed // 3, 20)
    assert found.method == "wilson"
    assert found.high - found.low >= plain.high - plain.low - 1e-9


def test_one_scenario_has_the_interval_of_its_trials():
    found = clustered_share([(7, 10)])
    assert (found.low, found.high) == pytest.approx((wilson(7, 10).low, wilson(7, 10).high))


def test_trials_that_agree_within_clusters_make_a_wider_interval():
    apart = clustered_share([(4, 10), (6, 10)] * 20)
    alike = clustered_share([(10, 10)] * 20 + [(0, 10)] * 20)
    assert alike.high - alike.low > 2 * (apart.high - apart.low)


def test_many_clusters_are_not_drawn():
    drawn, computed = clustered_share([(1, 4), (3, 4)] * 99), clustered_share([(1, 4), (3, 4)] * 100)
    assert (drawn.method, computed.method) == ("bootstrap", "normal")
    assert (drawn.low, drawn.high) == pytest.approx((computed.low, computed.high), abs=0.01)


def test_a_mean_of_one_cluster_has_no_interval():
    found = clustered_mean([(12.0, 4)])
    assert (found.value, found.low, found.high) == (3.0, None, None)
    wide = clustered_mean([(12.0, 4), (20.0, 4), (16.0, 4)])
    assert wide.value == 4
    assert wide.low < 4 < wide.high


@pytest.mark.parametrize("clusters", [[(2, 1)], [(-1, 1)]])
def test_what_makes_no_sense_is_refused(clusters):
    with pytest.raises(ConfigurationError):
        clustered_share(clusters)


@pytest.mark.parametrize("share", [0.6, 0.9, 0.975, 0.995])
@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 49])
def test_students_quantiles_agree_with_scipy(share, freedom):
    stats = pytest.importorskip("scipy.stats")
    assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=0.01)


def test_pass_k_of_known_tasks():
    # Four trials each: C(c,2)/C(4,2) is 1, 1/2, 1/6, 0, 0; and 1 - C(4-c,2)/C(4,2) is 1, 1, 5/6, 1/2, 0.
    tasks = [Task(passed=passed, decided=4) for passed in (4, 3, 2, 1, 0)]
    found = pass_k(tasks, 2)
    assert found.hat.value == pytest.approx((1 + 1 / 2 + 1 / 6) / 5)
    assert found.at.value == pytest.approx((1 + 1 + 5 / 6 + 1 / 2) / 5)


def test_tasks_with_too_few_trials_are_counted_and_left_out():
    found = pass_k([Task(passed=1, decided=1), Task(passed=2, decided=3)], 3)
    assert (found.tasks, found.left_out, found.hat.value, found.at.value) == (1, 1, 0.0, 1.0)


@given(st.integers(1, 30).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size))), st.data())
def test_pass_k_falls_and_pass_at_k_rises_with_k(counts, data):
    passed, decided = counts
    k = data.draw(st.integers(1, decided))
    assert pass_hat_k(passed, decided, 1) == pytest.approx(pass_at_k(passed, decided, 1)) == passed / decided
    assert 0 <= pass_hat_k(passed, decided, k) <= passed / decided + 1e-12
    assert passed / decided - 1e-12 <= pass_at_k(passed, decided, k) <= 1
    assert pass_hat_k(passed, decided, k) == pytest.approx(1 - pass_at_k(decided - passed, decided, k))


def test_more_trials_than_there_are_are_refused():
    with pytest.raises(ConfigurationError, match="k = 3"):
        pass_hat_k(1, 2, 3)
