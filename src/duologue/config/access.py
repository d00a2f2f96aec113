"""What definitions may use of the machine that they are used on: variables as ``${NAME}``, and private addresses.

Whoever owns the machine may use all of it. A service that runs what others have defined says less for as long as that
takes (:func:`using`): what it begins meanwhile is held to it as well.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field

from duologue.errors import ConfigurationError
from duologue.frozen import frozen


@frozen
class Access:
    """What may be used.

    Attributes:
        values: variables by name; None for those of the process, whatever they are by then.
        is_limited: whether the variables of the process are not among them, or not all.
        private_addresses: whether requests may go to loopback and private addresses.
        own_code: whether Python code that definitions name may run in this process.
        kept: what was made with these values, such as models with their keys and addresses. It is for nobody who may
            use others, and is forgotten together with them.
    """

    values: Mapping[str, str] | None = field(default=None, repr=False)
    is_limited: bool = False
    private_addresses: bool = True
    own_code: bool = True
    kept: dict[object, object] = field(default_factory=dict[object, object], repr=False, compare=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """Variables by name."""
        return os.environ if self.values is None else self.values


_EVERYTHING = Access()
_ACCESS: ContextVar[Access] = ContextVar("duologue_access", default=_EVERYTHING)


def access() -> Access:
    """What may be used now."""
    return _ACCESS.get()


def variables() -> Mapping[str, str]:
    """The variables that ``${NAME}`` stands for now."""
    return _ACCESS.get().variables


@contextmanager
def using(chosen: Access) -> Generator[None]:
    """Allow no more than this, in the block and in tasks and threads that are begun in it."""
    token = _ACCESS.set(chosen)
    try:
        yield
    finally:
        _ACCESS.reset(token)


def missing_variable(name: str) -> str:
    """The error for a variable that is not set, without what can be done."""
    if access().is_limited:
        return f"the variable {name} is no secret of the project, and none of the environment's that may be used here"
    return f"the environment variable {name} is not set"


def chosen_variables(names: Iterable[str]) -> dict[str, str]:
    """Those of these variables that are set."""
    known = variables()
    return {name: known[name] for name in names if name in known}


def refuse_file(what: str) -> None:
    """Refuse a file that a name in a definition stands for, where definitions may not use all of this machine.

    Raises:
        ConfigurationError: they may not.
    """
    if access().is_limited:
        raise ConfigurationError(f"{what} is a file, and what is saved in a service has no files of its machine")
