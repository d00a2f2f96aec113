"""Every exception that Duologue raises on purpose.

::

    DuologueError
    ├── ConfigurationError            what was written down is wrong; nothing was run
    │   ├── MissingRoleError          a script step asks for a role that no agent has
    │   ├── UnknownModelError         no model answers to that name
    │   ├── MissingKeyError           the provider of that model has no key here
    │   ├── MissingExtraError         an optional package is not installed
    │   ├── TargetError               a file, function or script that cannot be loaded
    │   └── SuiteError                files of a suite are wrong; all that was found, each with its place
    ├── RunError                      a run could not reach a verdict
    │   ├── AgentError                the agent under test failed
    │   │   ├── AgentTimeoutError
    │   │   └── AgentReturnError      it returned something that is not a message
    │   ├── ToolUnavailableError      a tool of the suite cannot be reached, or is of a kind that does not exist here
    │   ├── SimulatorError            the simulated user failed
    │   ├── JudgeError                the judge failed, or could not be understood
    │   ├── CheckError                a check raised something other than an AssertionError
    │   ├── ScriptError               the script asks for something that cannot be done
    │   ├── RunTimeoutError           the whole run took too long
    │   └── RunCancelledError         it was cancelled
    ├── ModelError                    a model did not answer
    │   ├── ModelTimeoutError
    │   ├── ModelRateLimitError
    │   ├── ModelUnavailableError     unreachable, or 5xx after all retries
    │   ├── ModelRejectedError        the provider refused the request (4xx)
    │   └── ModelAnswerError          an answer that breaks the provider's own format
    ├── BudgetExceededError           the money, tokens or time that was set aside is spent
    ├── CassetteError                 a cassette that cannot be written or read
    │   └── CassetteMissError         a strict replay was asked something that is not on the tape
    ├── JournalError                  a journal that cannot be written or read
    │   ├── ResumeError               a resumed run diverged from its recording
    │   └── JournalVersionError       written by a version of Duologue that this one cannot read
    ├── ArtifactError                 bytes of a run (a picture, a recording) that cannot be kept or read
    ├── ResultsError                  results or a report that cannot be written
    ├── PlatformError                 the API of a voice platform did not answer, or refused a request
    ├── ExecutorError                 workers that cannot be started or reached, or that are all lost
    ├── ServiceError                  a Duologue service did not do what its client asked for
    │   ├── ServiceUnavailableError   it cannot be reached, or cannot answer now
    │   ├── ServiceAccessError        the token is missing, wrong, or may not do this
    │   ├── ServiceNotFoundError      something that does not exist, or belongs to another project
    │   ├── ServiceConflictError      a name that is taken, or something that others have changed or still use
    │   ├── ServiceInputError         a field or value that cannot be used
    │   └── ServiceBusyError          too many requests
    └── StoreError                    the database of runs cannot do what it was asked
        ├── StoreUnavailableError     it cannot be reached, or did not answer in time
        ├── StoreVersionError         its tables are missing, or those of another version of Duologue
        ├── StoreConflictError        a name or an id that is taken, or something that is still used
        │   ├── NotFoundError         something that does not exist
        │   └── PreconditionError     it is not any more what the caller has seen
        └── LeaseLostError            the run belongs to another worker by now, so nothing more is written for it

``ConfigurationError`` also is a ``ValueError``, ``RunError`` also is a ``RuntimeError``: code written for libraries
that raise those keeps working. An error that leaves :func:`duologue.run` carries ``result``: everything that was said
and recorded until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from duologue.secret_values import hidden
from duologue.terminal_text import one_line, printable

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioResult

Severity = Literal["error", "warning"]


class DuologueError(Exception):
    """Root of the tree. As a text, for terminals and logs, it has no known secrets and no control characters.

    Attributes:
        result: of the run that it ended, as far as that came; None for an error outside of a run.
    """

    result: ScenarioResult | None = None

    def __str__(self) -> str:
        return printable(hidden(super().__str__()))


class ConfigurationError(DuologueError, ValueError):
    """What was written down is wrong: which file and field, what was found, what is expected."""


class MissingRoleError(ConfigurationError):
    """A step needs a role that no agent of the run has."""


class UnknownModelError(ConfigurationError):
    """No model answers to that name."""


class MissingKeyError(ConfigurationError):
    """The provider of that model needs a key, and none is set."""


class MissingExtraError(ConfigurationError):
    """A feature needs an optional package that is not installed."""

    def __init__(self, feature: str, extra: str, package: str) -> None:
        super().__init__(
            f"{feature} needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'duologue[{extra}]'"
        )
        self.extra = extra


class TargetError(ConfigurationError):
    """A file, function or script that cannot be loaded."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file.

    Attributes:
        file: as it is shown to people.
        line, column: counted from 1; 0 where only the file is known.
        field: path within the file, such as ``spec.turns[0].role``; '' for the whole file.
    """

    file: str
    line: int = 0
    column: int = 0
    field: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


NOWHERE = "?"
"""The file of a position that no file has, such as that of a value made by code."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or that is not what its author may think.

    Attributes:
        position: where.
        message: what was found, what is expected, what to do.
        severity: an ``error`` keeps the suite from being used; a ``warning`` does not.
    """

    position: Position
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        word = "warning: " if self.severity == "warning" else ""
        where = f"{self.position.field}: " if self.position.field else ""
        # What a program has made is written nowhere.
        place = f"{self.position}: " if self.position.line or self.position.file != NOWHERE else ""
        return f"{place}{word}{where}{self.message}"


class SuiteError(ConfigurationError):
    """Files of a suite are wrong.

    Attributes:
        problems: everything that was found, each with file, line, column and field.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class RunError(DuologueError, RuntimeError):
    """A run could not reach a verdict.

    Attributes:
        who: the participant that failed, by name, or None.
        run_id, scenario, turn: where it happened; filled in by the engine.
        timed_out: whether a time limit of the run was reached.
    """

    def __init__(self, message: str, *, who: str | None = None) -> None:
        super().__init__(message)
        self.who = who
        self.run_id: str | None = None
        self.scenario: str | None = None
        self.turn: int | None = None
        self.timed_out = False

    def __str__(self) -> str:
        place = [
            part
            for part in (
                f"scenario '{one_line(self.scenario)}'" if self.scenario else "",
                f"turn {self.turn + 1}" if self.turn is not None else "",
                f"run {self.run_id}" if self.run_id else "",
            )
            if part
        ]
        text = super().__str__()
        return f"{text} ({', '.join(place)})" if place else text


class AgentError(RunError):
    """The agent under test raised, timed out or answered with something that is no message."""


class AgentTimeoutError(AgentError):
    """The agent under test did not answer within its timeout."""


class AgentReturnError(AgentError):
    """An adapter returned something that is neither a message nor a result."""


class ToolUnavailableError(RunError):
    """The agent called a tool that cannot be reached, or one of a feature that Duologue does not have.

    Nothing that the agent could have done would have helped, so this is never a verdict.
    """


class SimulatorError(RunError):
    """The simulated user failed; the agent is not to blame."""


class JudgeError(RunError):
    """The judge failed or could not be understood; this is never a verdict."""


class CheckError(RunError):
    """A check broke. A check that finds a fault raises AssertionError or returns a failure instead."""


class ScriptError(RunError):
    """The script asks for something that cannot be done now, such as two agent turns at once."""


class RunTimeoutError(RunError):
    """The whole run took longer than ``run_timeout``, or its call longer than ``voice.timeout``."""


class RunCancelledError(RunError):
    """The run was cancelled before it had come to its end."""


class ModelError(DuologueError):
    """A model did not answer.

    Attributes:
        model: the model's full name.
        retry_after: seconds that the provider asked to wait, if it did.
    """

    def __init__(self, message: str, *, model: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.model = model
        self.retry_after = retry_after


class ModelTimeoutError(ModelError):
    """No answer within the timeout."""


class ModelRateLimitError(ModelError):
    """429 after all retries."""


class ModelUnavailableError(ModelError):
    """Unreachable, or 5xx after all retries."""


class ModelRejectedError(ModelError):
    """The provider refused the request: 4xx other than 429."""


class ModelAnswerError(ModelError):
    """An answer that breaks the provider's own format."""


class BudgetExceededError(DuologueError):
    """What was set aside for a run or for the process is spent. Not a failure of the agent."""


class CassetteError(DuologueError):
    """A cassette that cannot be written or read."""


class CassetteMissError(CassetteError):
    """A strict replay was asked something that is not on the tape: what, and the nearest request that is."""


class JournalError(DuologueError):
    """A journal that cannot be written or read: which file and line, and why."""


class ResumeError(JournalError):
    """The resumed run diverged from its recording, so its journal cannot be continued."""


class JournalVersionError(JournalError):
    """The journal was written by a version of Duologue that this one cannot read."""


class ArtifactError(DuologueError):
    """Bytes that belong to a run cannot be kept or read: which, where, and why."""


class ResultsError(DuologueError):
    """Results or a report that cannot be written: which file, and why."""


class PlatformError(DuologueError):
    """The API of a platform such as Retell did not answer, or refused a request: which, and why."""


class ExecutorError(DuologueError):
    """Workers cannot be started or reached, or all of them are lost. What was recorded until then stays."""


@dataclass(frozen=True)
class RefusedField:
    """A field that a service refused.

    Attributes:
        path: such as ``criteria[0]``.
        message: what was found, what is expected.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ServiceError(DuologueError):
    """A Duologue service did not do what its client asked for.

    Attributes:
        status: of the answer; None where there was none.
        code: one word for programs, as the service says it, such as ``not_found``; '' where there was no answer.
        problems: the fields that are to blame.
        retry_after: seconds that the service asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        problems: Sequence[RefusedField] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problems = tuple(problems)
        self.retry_after = retry_after


class ServiceUnavailableError(ServiceError):
    """The service cannot be reached, did not answer in time, or cannot answer now."""


class ServiceAccessError(ServiceError):
    """The token is missing or wrong, or may not do this."""


class ServiceNotFoundError(ServiceError):
    """Something that does not exist, or that belongs to another project."""


class ServiceConflictError(ServiceError):
    """A name that is taken, or something that others have changed meanwhile or still use."""


class ServiceInputError(ServiceError):
    """A field or value that cannot be used: ``problems`` says which, and why."""


class ServiceBusyError(ServiceError):
    """Too many requests: ``retry_after`` says how long to wait."""


class StoreError(DuologueError):
    """The database of runs cannot do what it was asked: which database, what was tried, and why not."""


class StoreUnavailableError(StoreError):
    """The database cannot be reached, or did not answer in time. What was being written may be written again."""


class StoreVersionError(StoreError):
    """The tables are missing, or were made by another version of Duologue: which, and what to do."""


class StoreConflictError(StoreError):
    """A name or an id that is taken, something that does not exist, or something that is still used by others."""


class NotFoundError(StoreConflictError):
    """Something that does not exist: what it was to be, and its id or name."""


class PreconditionError(StoreConflictError):
    """Something was changed by somebody else after the caller has read it. Nothing was changed now."""


class LeaseLostError(StoreError):
    """The run is not this worker's any more: it was cancelled, or given to another worker. Nothing was written."""
