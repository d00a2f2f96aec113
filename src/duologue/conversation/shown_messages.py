"""The conversation as a state shows it: a list to read, which says how to change the conversation instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from duologue.errors import ConfigurationError
from duologue.messages import Message

_CHANGES = (
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "clear",
    "sort",
    "reverse",
    "__setitem__",
    "__delitem__",
    "__iadd__",
    "__imul__",
)


class ShownMessages(list[Message]):
    """A copy of the conversation. What would change the list is an error, because it would not change the run."""

    def copy(self) -> list[Message]:
        """A list of one's own, to change as one likes."""
        return list(self)

    __copy__ = copy

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[list[Message]]]:
        return list, (list(self),)


def _refusing(name: str) -> Callable[..., NoReturn]:
    written = {"__setitem__": "[…] = …", "__delitem__": "del […]", "__iadd__": "+= …", "__imul__": "*= …"}
    what = written.get(name, f".{name}(…)")

    def refuse(self: ShownMessages, *args: object, **kwargs: object) -> NoReturn:
        raise ConfigurationError(
            f"state.messages is a copy, so '{what}' on it would not change the conversation. Use "
            "state.add_message(message), or the step duologue.message(message) in a script; "
            "state.rollback_messages_to(index) takes messages out. For a list of your own: list(state.messages)"
        )

    refuse.__name__ = name
    return refuse


for _name in _CHANGES:
    setattr(ShownMessages, _name, _refusing(_name))
