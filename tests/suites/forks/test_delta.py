"""Delta debugging."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from duologue.suites.forks.delta import minimised


@given(st.data())
async def test_exactly_what_the_failure_needs_is_left(data: st.DataObject) -> None:
    items = list(range(data.draw(st.integers(1, 40))))
    needed = data.draw(st.sets(st.sampled_from(items), max_size=5))
    asked: list[tuple[int, ...]] = []

    async def shows(part: Sequence[int]) -> bool:
        asked.append(tuple(part))
        return needed <= set(part)

    assert await minimised(items, shows) == sorted(needed)
    assert len(asked) == len(set(asked))


async def test_of_failures_that_need_no_item_in_particular_one_is_left_where_one_must() -> None:
    async def shows(part: Sequence[str]) -> bool:
        return True

    assert len(await minimised(list("abcdef"), shows, least=1)) == 1
    assert await minimised(list("abcdef"), shows) == []
    assert await minimised([], shows) == []


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
async def test_no_single_item_of_what_is_left_can_be_left_out(items: list[int], count: int) -> None:
    async def shows(part: Sequence[int]) -> bool:  # not monotonic
        return len(part) >= count and len(part) % 2 == len(items) % 2

    if not await shows(items):
        return
    left = await minimised(items, shows)
    assert await shows(left)
    for place in range(len(left)):
        assert not await shows(left[:place] + left[place + 1 :])
