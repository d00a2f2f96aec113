"""Logs of the command line: on standard error, without secrets, and harmless for a terminal."""

from __future__ import annotations

import logging
import sys

from duologue.errors import ConfigurationError

LEVELS = ("debug", "info", "warning", "error")


class _Harmless(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from duologue.config.redaction import hidden
        from duologue.terminal_text import continued

        return continued(hidden(super().format(record)))


def show_logs(level: str | None) -> None:
    """Show what this program and the packages that it uses log, from this level on; None shows what they would anyway.

    Raises:
        ConfigurationError: there is no such level.
    """
    if level is None:
        return
    word = level.strip().lower()
    if word not in LEVELS:
        raise ConfigurationError(f"log level: found '{level}'; expected {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Harmless("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=word.upper(), handlers=[handler], force=True)


def chosen_level(verbose: int, level: str | None) -> str | None:
    """The level that ``--log-level``, or ``-v`` or ``-vv``, asks for; None if neither is given."""
    if level is None and verbose:
        return "info" if verbose == 1 else "debug"
    return level
