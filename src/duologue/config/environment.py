"""``${NAME}`` and ``${NAME:-default}``: environment variables in URLs, headers, keys and paths.

References stay unexpanded while a configuration is in memory, so that no secret reaches a plan, a journal or a
converted file. Expand them where the value is used. Text that participants say is never expanded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from duologue.config.redaction import names_secret, remember_url
from duologue.errors import ConfigurationError
from duologue.secret_values import remember

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")

_HOST = re.compile(r"[A-Za-z][\w+.-]*://(?:\$\{[^}]*\}|[^/?#])*|(?:\$\{[^}]*\})")
"""The beginning of a URL, references included."""


def expand(text: str, environment: Mapping[str, str] | None = None, *, secret: bool = False) -> str:
    """Replace the references in a text. As in a shell, a variable that is set but empty takes its default.

    Args:
        text: such as ``https://${HOST:-localhost}/v1``.
        environment: variables by name; None for those of the process.
        secret: the values are secret where the text is used, whatever the variables are called. From now on they are
            in no error.

    Raises:
        ConfigurationError: a variable is not set and has no default.
    """
    variables = os.environ if environment is None else environment

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if filled := variables.get(name):
            if secret or names_secret(name):
                remember(filled)
            return filled
        if default is None:
            raise ConfigurationError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return default

    return _REFERENCE.sub(value, text)


def expand_url(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace the references in a URL. What they stand for behind the host is secret. Raises as :func:`expand`."""
    host = _HOST.match(url)
    end = host.end() if host else 0
    expanded = expand(url[:end], environment) + expand(url[end:], environment, secret=True)
    remember_url(expanded)
    return expanded


def missing_variables(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that a text refers to without a default and that are not set."""
    variables = os.environ if environment is None else environment
    return [found[1] for found in _REFERENCE.finditer(text) if found[2] is None and not variables.get(found[1])]
