"""``${NAME}`` and ``${NAME:-default}``: environment variables in URLs, headers, keys and paths.

References stay unexpanded while a configuration is in memory, so that no secret reaches a plan, a journal or a
converted file. Expand them where the value is used. Text that participants say is never expanded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from duologue.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


def expand(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace the references in a text. As in a shell, a variable that is set but empty takes its default.

    Args:
        text: such as ``https://${HOST:-localhost}/v1``.
        environment: variables by name; None for those of the process.

    Raises:
        ConfigurationError: a variable is not set and has no default.
    """
    variables = os.environ if environment is None else environment

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if variables.get(name):
            return variables[name]
        if default is None:
            raise ConfigurationError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return default

    return _REFERENCE.sub(value, text)


def missing_variables(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that a text refers to without a default and that are not set."""
    variables = os.environ if environment is None else environment
    return [found[1] for found in _REFERENCE.finditer(text) if found[2] is None and not variables.get(found[1])]
