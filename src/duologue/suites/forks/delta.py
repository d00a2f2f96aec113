"""The smallest part of a list that still shows a failure: delta debugging."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Shows = Callable[[Sequence[T]], Awaitable[bool]]
"""Whether a part of the list still shows the failure."""


async def minimised(items: Sequence[T], shows: Shows[T], *, least: int = 0) -> list[T]:
    """A part of the list that shows the failure, and of which no single item can be left out.

    The algorithm ``ddmin`` of A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
    Transactions on Software Engineering 28 (2002), 183-200.

    Args:
        items: all of the list, which shows the failure.
        shows: asked about each part at most once.
        least: how many items are to stay at least.
    """
    known: dict[tuple[int, ...], bool] = {}

    async def fails(places: tuple[int, ...]) -> bool:
        if len(places) < least:
            return False
        if places not in known:
            known[places] = await shows([items[place] for place in places])
        return known[places]

    whole = tuple(range(len(items)))
    if least == 0 and items and await fails(()):
        return []
    pieces = 2
    while len(whole) >= 2:
        parts = _split(whole, pieces)
        found = await _first(parts, fails)
        if found is not None:
            whole, pieces = found, 2
            continue
        rests = [tuple(place for place in whole if place not in part) for part in parts] if pieces > 2 else []
        found = await _first(rests, fails)
        if found is not None:
            whole, pieces = found, max(pieces - 1, 2)
        elif pieces < len(whole):
            pieces = min(len(whole), 2 * pieces)
        else:
            break
    return [items[place] for place in whole]


async def _first(
    parts: Sequence[tuple[int, ...]], fails: Callable[[tuple[int, ...]], Awaitable[bool]]
) -> tuple[int, ...] | None:
    for part in parts:
        if part and await fails(part):
            return part
    return None


def _split(places: tuple[int, ...], pieces: int) -> list[tuple[int, ...]]:
    """Places in so many parts of nearly the same size."""
    size, more = divmod(len(places), pieces)
    parts: list[tuple[int, ...]] = []
    start = 0
    for number in range(pieces):
        end = start + size + (number < more)
        parts.append(places[start:end])
        start = end
    return [part for part in parts if part]
