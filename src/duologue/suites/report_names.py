"""The names of report formats, which suites and the command line write. The formats themselves are in ``reports``."""

from __future__ import annotations

from typing import Any

from duologue.config.entry_points import load_registered, own_entry_points, registered_names
from duologue.config.problems import nearest
from duologue.errors import ConfigurationError, TargetError

GROUP = "duologue.reports"
"""The entry points that formats are registered as, each under the name of its format."""


def report_formats() -> list[str]:
    """The names of all registered formats in alphabetical order, as the command line and suites write them."""
    return sorted(registered_names(GROUP))


def format_named(name: str) -> str:
    """The name of a format that may be given by an alias.

    Raises:
        ConfigurationError: there is no such format.
    """
    word = name.strip().lower()
    if word in own_entry_points(GROUP):  # without a look at other packages
        return word
    names = report_formats()
    aliases = {name: _aliases(name) for name in names}
    found = word if word in names else next((item for item in names if word in aliases[item]), None)
    if found is None:
        every = [*names, *(alias for item in names for alias in aliases[item])]
        raise ConfigurationError(
            f"no report format is called '{name}'{nearest(word, every)}; expected one of {', '.join(names)}"
        )
    return found


def _aliases(name: str) -> tuple[str, ...]:
    """Other names of a format; none for one that cannot be loaded: that is told when its own name is written."""
    try:
        found: Any = load_registered(GROUP, name)
    except TargetError:
        return ()
    return found.aliases
