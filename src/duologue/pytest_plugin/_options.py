"""What a session may be asked for, on pytest's command line or in its configuration file. The command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SUMMARIES = ("all", "problems", "none")


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest about the options."""
    group = parser.getgroup("duologue", "rehearsing agents with duologue")
    for name, text in _FLAGS.items():
        group.addoption(f"--duologue-{name}", action="store_true", default=None, dest=f"duologue_{name}", help=text)
        parser.addini(f"duologue_{name}", text, type="bool", default=False)
    for name, (metavar, text) in _VALUES.items():
        group.addoption(f"--duologue-{name}", metavar=metavar, default=None, dest=f"duologue_{name}", help=text)
        parser.addini(f"duologue_{name}", text, default="")


def session_defaults(config: pytest.Config) -> dict[str, Any]:
    """What the options change about the process-wide defaults of duologue; {} when none is given.

    Raises:
        pytest.UsageError: an option is invalid.
    """
    defaults: dict[str, Any] = {name: True for name in _FLAGS if _flag(config, name)}
    record, seed = _record(config), _seed(config)
    defaults |= {} if record is None else {"record": record}
    defaults |= {} if seed is None else {"seed": seed}
    if "debug" in defaults and config.getoption("numprocesses", None):
        raise pytest.UsageError("--duologue-debug asks a person at the terminal: run it without -n")
    return defaults


def summary_mode(config: pytest.Config) -> str:
    """Which runs the terminal summary shows: ``all``, ``problems`` (those that did not pass) or ``none``."""
    mode = _value(config, "summary") or "all"
    if mode not in SUMMARIES:
        raise pytest.UsageError(f"duologue summary: found '{mode}', expected one of {', '.join(SUMMARIES)}")
    return mode


def _flag(config: pytest.Config, name: str) -> bool:
    return bool(config.getoption(f"duologue_{name}") or config.getini(f"duologue_{name}"))


def _value(config: pytest.Config, name: str) -> str:
    return str(config.getoption(f"duologue_{name}") or config.getini(f"duologue_{name}"))


def _record(config: pytest.Config) -> Path | None:
    """The folder for journals: from the command line relative to where pytest was called, else to its root."""
    given = _value(config, "record")
    if not given:
        return None
    if given.endswith(".jsonl"):
        raise pytest.UsageError(
            f"duologue record: '{given}' names a file; expected a folder, which gets a file per run"
        )
    base = config.invocation_params.dir if config.getoption("duologue_record") else config.rootpath
    return base / given


def _seed(config: pytest.Config) -> int | None:
    given = _value(config, "seed")
    try:
        return int(given) if given else None
    except ValueError:
        raise pytest.UsageError(f"duologue seed: found '{given}', expected a whole number") from None


_FLAGS = {
    "debug": "stop before each line of the simulated user: type your own, or press Enter for the simulated one",
    "headless": "never ask a person anything",
}
_VALUES = {
    "record": ("DIR", "keep the journal of every run in this folder"),
    "seed": ("N", "derive every random choice of every run from this number"),
    "summary": ("WHICH", f"the runs to show at the end: {', '.join(SUMMARIES)} (default: all)"),
}
