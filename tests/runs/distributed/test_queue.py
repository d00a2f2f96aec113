"""Which unit is done next, and which is given up when workers die."""

from __future__ import annotations

from duologue.runs.distributed import WorkerScope, WorkResult, WorkUnit
from duologue.runs.distributed.queue import WorkQueue


async def nothing(_: WorkerScope) -> WorkResult:
    raise AssertionError


def queue_of(*names: str, attempts: int = 3) -> WorkQueue:
    queue = WorkQueue(attempts)
    for name in names:
        queue.add(WorkUnit(id=name, execute=nothing))
    return queue


def take(queue: WorkQueue) -> str | None:
    unit = queue.take()
    return unit and unit.id


def test_a_unit_that_was_lost_is_done_again_and_for_the_last_time_alone():
    queue = queue_of("guilty", "innocent", "other")
    for _ in range(2):
        assert (take(queue), take(queue)) == ("guilty", "innocent")
        assert not queue.lose("guilty")
        assert not queue.lose("innocent")
    assert take(queue) == "other"
    assert take(queue) is None  # those two wait until nothing else is left
    assert queue.ready == 2
    queue.finish("other")
    assert take(queue) == "guilty"
    assert take(queue) is None  # it is alone
    assert queue.lose("guilty")
    queue.finish("guilty")
    assert take(queue) == "innocent"
    queue.finish("innocent")
    assert (take(queue), queue.ready, dict(queue.stuck)) == (None, 0, {})


def test_with_fewer_attempts_a_unit_is_given_up_earlier():
    once = queue_of("a", attempts=1)
    assert take(once) == "a"
    assert once.lose("a")
    twice = queue_of("a", "b", attempts=2)
    assert take(twice) == "a"
    assert not twice.lose("a")
    assert take(twice) == "b"
    assert take(twice) is None
    twice.finish("b")
    assert take(twice) == "a"
    assert twice.lose("a")


def test_what_waits_for_a_unit_that_was_lost_goes_on_waiting():
    queue = queue_of("a")
    queue.add(WorkUnit(id="b", execute=nothing, dependencies=("a",)))
    assert take(queue) == "a"
    assert not queue.lose("a")
    assert take(queue) == "a"
    assert take(queue) is None
    queue.finish("a")
    assert take(queue) == "b"
    assert queue.deaths("a") == 1
