"""Fields from one shape to another, each with the place where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.config.problems import Mark, PlacedDict, PlacedList

Convert = Callable[[Any], Any]


class Moved:
    """A mapping that is made of the fields of another."""

    def __init__(self, source: PlacedDict) -> None:
        self.source = source
        self.made = PlacedDict(source.home)

    def same(self, *keys: str) -> Moved:
        """Take over fields that have the same name and shape."""
        for key in keys:
            if key in self.source:
                self.made.put(key, self.source[key], self.source.mark(key))
        return self

    def field(self, new: str, old: str, convert: Convert | None = None) -> Moved:
        """Take over a field under another name, or in another shape. What converts to None is left out."""
        if old in self.source:
            value = self.source[old]
            value = convert(value) if convert else value
            if value is not None:
                self.made.put(new, value, self.source.mark(old))
        return self

    def from_within(self, outer: str, **names: str) -> Moved:
        """Take over fields of a mapping within; each keyword is the new name of the field that it says."""
        inner = self.source.get(outer)
        if isinstance(inner, PlacedDict):
            for new, old in names.items():
                if old in inner:
                    self.made.put(new, inner[old], inner.mark(old))
        return self

    def put(self, key: str, value: Any, mark: Mark | None = None) -> Moved:
        """Set a field that is not written as such."""
        self.made.put(key, value, mark or self.source.home)
        return self


def each(convert: Callable[[PlacedDict], Any]) -> Convert:
    """A conversion of every item of a list; what is no list or no mapping stays, to be refused where it is checked."""

    def converted(items: Any) -> Any:
        if not isinstance(items, PlacedList):
            return items
        made = PlacedList(items.home)
        for index, item in enumerate(items):
            made.add(convert(item) if isinstance(item, PlacedDict) else item, items.mark(index))
        return made

    return converted


def given(value: Any) -> Any:
    """The value, or None for 0 and an empty text, which PromptKit takes for "not set"."""
    return None if type(value) in {int, float, str} and not value else value


def without(*keys: str) -> Callable[[PlacedDict], PlacedDict]:
    """A conversion that leaves out those of these fields that PromptKit takes for "not set"."""

    def converted(source: PlacedDict) -> PlacedDict:
        unset = [key for key in keys if given(source.get(key)) is None]
        return PlacedDict(source.home, source.without(*unset), dict(source.marks))

    return converted


def inner(convert: Callable[[PlacedDict], PlacedDict]) -> Convert:
    """A conversion of a mapping; anything else stays, to be refused where it is checked."""
    return lambda value: convert(value) if isinstance(value, PlacedDict) else value
