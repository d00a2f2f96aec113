"""Pages of lists: a cursor names the last item of the page before, so each page costs the same wherever it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Depends, Query
from pydantic import BaseModel

from duologue.config.placed_json import refused
from duologue.frozen import frozen

MOST = 200
USUAL = 50
T = TypeVar("T")


class PageOf(BaseModel, Generic[T]):
    """A page of a list."""

    data: list[T]
    """The items, in order."""
    next: str | None
    """The cursor of the next page; null at the end."""


@frozen
class PageRequest:
    """Which page is wanted.

    Attributes:
        limit: items in it.
        after: what identifies the last item of the page before, as :func:`page_of` got it; empty at the beginning.
    """

    limit: int
    after: tuple[Any, ...] = ()

    @property
    def fetched(self) -> int:
        """How many items to fetch, to know whether there is another page."""
        return self.limit + 1

    def number(self) -> int | None:
        """The last number of the page before, for lists that page by a number."""
        if not self.after:
            return None
        match self.after:
            case (int() as number,) if not isinstance(number, bool) and 0 <= number < 2**63:
                return number
            case _:
                raise _wrong_cursor()

    def place(self) -> tuple[float, str] | None:
        """When the last one of the page before was created, and its id, for lists that page by these."""
        if not self.after:
            return None
        match self.after:
            case (int() | float() as at, str() as id_) if not isinstance(at, bool):
                return float(at), id_
            case _:
                raise _wrong_cursor()

    def pair(self) -> tuple[int, int] | None:
        """The last two numbers of the page before, for lists that page by two."""
        if not self.after:
            return None
        match self.after:
            case (int() as first, int() as second) if max(first, second) < 2**63 and min(first, second) >= -1:
                return int(first), int(second)
            case _:
                raise _wrong_cursor()

    def text(self) -> str | None:
        """The last text of the page before, for lists that page by a text."""
        if not self.after:
            return None
        match self.after:
            case (str() as text,):
                return text
            case _:
                raise _wrong_cursor()


def _page_request(
    limit: Annotated[int, Query(ge=1, le=MOST, description="Items of a page.")] = USUAL,
    cursor: Annotated[
        str | None, Query(max_length=500, description="``next`` of the page before. Default: the first page.")
    ] = None,
) -> PageRequest:
    return PageRequest(limit=limit, after=_read(cursor) if cursor is not None else ())


Paging = Annotated[PageRequest, Depends(_page_request)]
"""The parameters of lists."""


def page_of(
    items: Sequence[T],
    wanted: PageRequest,
    key: Callable[[T], Sequence[Any]],
    fields: Callable[[T], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """A page as it is answered.

    Args:
        items: one more than wanted, if there is another page.
        wanted: which page.
        key: what identifies an item in the order of the list, as a tuple.
        fields: of an item, as it is answered.
    """
    shown = items[: wanted.limit]
    more = len(items) > wanted.limit
    return {"data": [fields(item) for item in shown], "next": _cursor(key(shown[-1])) if more else None}


def by_creation(item: Any) -> tuple[float, str]:
    """The key of lists in the order of creation."""
    return item.created_at, item.id


def _cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str) -> tuple[Any, ...]:
    try:
        content = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        found = json.loads(content)
    except ValueError:
        raise _wrong_cursor() from None
    if not isinstance(found, list) or not found:
        raise _wrong_cursor()
    return tuple(cast("list[Any]", found))


def _wrong_cursor() -> Exception:
    return refused("cursor", "it is no cursor of this list; ask for the first page again")
