"""pass^k and pass@k: how likely k trials of a task all pass, and how likely at least one of them does.

pass@k after M. Chen et al., Evaluating Large Language Models Trained on Code, arXiv 2107.03374 (2021), equation 1;
pass^k after S. Yao et al., tau-bench, arXiv 2406.12045 (2024), section 3.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import comb

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.bootstrap import Interval, clustered_share


@frozen(slots=True)
class Task:
    """A task and its decided trials.

    Attributes:
        passed, decided: trials that passed, and that passed or failed.
        cluster: tasks of one cluster, such as those of one scenario, are drawn together; None for a cluster of its own.
    """

    passed: int
    decided: int
    cluster: Hashable = None


def pass_hat_k(passed: int, decided: int, k: int) -> float:
    """The unbiased estimate that k trials of one task all pass: C(passed, k) / C(decided, k).

    Raises:
        ConfigurationError: the counts make no sense, or there are fewer than k trials.
    """
    _require(passed, decided, k)
    return comb(passed, k) / comb(decided, k)


def pass_at_k(passed: int, decided: int, k: int) -> float:
    """The unbiased estimate that at least one of k trials of one task passes: 1 - C(failed, k) / C(decided, k).

    Raises:
        ConfigurationError: the counts make no sense, or there are fewer than k trials.
    """
    _require(passed, decided, k)
    return 1 - comb(decided - passed, k) / comb(decided, k)


@frozen
class PassK:
    """Both over all tasks, for one k.

    Attributes:
        k: how many trials.
        hat: pass^k, the mean over tasks, with an interval for tasks like these.
        at: pass@k, the same.
        tasks: how many have k decided trials.
        left_out: how many have fewer, and do not count.
    """

    k: int
    hat: Interval
    at: Interval
    tasks: int
    left_out: int


def pass_k(tasks: Sequence[Task], k: int, *, confidence: float = 0.95, seed: int = 0) -> PassK:
    """pass^k and pass@k: means over tasks, with intervals that draw whole clusters of tasks.

    Args:
        tasks: with their trials; those with fewer than k decided ones are left out.
        k: at least 1.
        confidence: between 0 and 1, both excluded.
        seed: of the draws.
    """
    counted = [task for task in tasks if task.decided >= k]
    hat: dict[Hashable, list[float]] = {}
    at: dict[Hashable, list[float]] = {}
    for place, task in enumerate(counted):
        cluster: Hashable = ("task", place) if task.cluster is None else task.cluster
        hat.setdefault(cluster, []).append(pass_hat_k(task.passed, task.decided, k))
        at.setdefault(cluster, []).append(pass_at_k(task.passed, task.decided, k))
    return PassK(
        k=k,
        hat=clustered_share([(sum(item), len(item)) for item in hat.values()], confidence=confidence, seed=seed),
        at=clustered_share([(sum(item), len(item)) for item in at.values()], confidence=confidence, seed=seed),
        tasks=len(counted),
        left_out=len(tasks) - len(counted),
    )


def _require(passed: int, decided: int, k: int) -> None:
    if not (0 <= passed <= decided and 1 <= k <= decided):
        raise ConfigurationError(
            f"pass^k: expected 0 <= passed <= decided and 1 <= k <= decided; found {passed} of {decided}, k = {k}"
        )
