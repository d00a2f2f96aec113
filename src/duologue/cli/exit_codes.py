"""What the exit code of a command means; the same for all commands, and for continuous integration."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from duologue.errors import ConfigurationError, DuologueError, JournalError, StoreConflictError
from duologue.vocabulary import RunStatus, Verdict

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioResult


class ExitCode(IntEnum):
    """0 all passed; 1 a case failed; 2 invalid usage; 3 errors or undecided cases; 130 interrupted."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    UNCERTAIN = 3
    INTERRUPTED = 130


_WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.FAILED, ExitCode.UNCERTAIN)


def worst_of(codes: Iterable[int]) -> ExitCode:
    """The exit code of several executions together."""
    given = set(codes)
    return next((code for code in _WORST_FIRST if code in given), ExitCode.PASSED)


READER_GONE = 141
"""The reader of the output, such as ``head``, has closed the pipe: 128 and the number of SIGPIPE, as in a shell."""


def exit_code_of(results: Iterable[ScenarioResult]) -> ExitCode:
    """A failure outweighs errors and undecided cases; only passes are a pass."""
    results = list(results)
    if any(result.status is RunStatus.CANCELLED for result in results):
        return ExitCode.INTERRUPTED
    if any(result.verdict is Verdict.FAIL for result in results):
        return ExitCode.FAILED
    if all(result.verdict is Verdict.PASS for result in results):
        return ExitCode.PASSED
    return ExitCode.UNCERTAIN


def exit_code_for(error: DuologueError | BrokenPipeError) -> int:
    """Invalid usage, an error while running, or nobody to print it for."""
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    usage = isinstance(error, (ConfigurationError, JournalError, StoreConflictError))
    return ExitCode.USAGE if usage else ExitCode.UNCERTAIN
