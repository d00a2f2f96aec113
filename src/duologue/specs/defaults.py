"""How a suite runs where nothing more specific is set: sampling, limits, tolerances, reports."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from duologue.config.spec import EMPTY, Amount, Count, Duration, Items, Spec
from duologue.models.budget import Budget

_RESERVED = {"launch.json", "index.json", "runs", "journals", "media"}
"""Names in the folder of the results that are no reports."""


def problem_with_report_name(name: str, *, own_index: bool = False) -> str | None:
    """What is expected in place of that file name of a report; None if a report can have it.

    Args:
        name: relative to the folder of the results; it may lie in folders below.
        own_index: the report is the index of the results.
    """
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", name):
        return f"the name of a file in the folder of the results, such as reports/report.html; found '{name}'"
    first = path.parts[0].lower()
    if first in _RESERVED and not (own_index and first == "index.json" and len(path.parts) == 1):
        return f"a name that is not of the results themselves, such as report.html; found '{name}'"
    return None


class Output(Spec):
    """Which reports are written, and where."""

    dir: str = "out"
    """Folder for results, relative to the suite file."""
    formats: Items[str] = ()
    """Report formats: ``json``, ``junit``, ``markdown``, ``html``."""
    files: dict[str, str] = EMPTY
    """File name for each format, in the folder of the results, such as ``html: report.html``."""
    recording: str | None = None
    """Accepted for compatibility: every run is recorded in the folder ``journals`` unless the command line says
    ``--no-journals``."""

    @field_validator("files")
    @classmethod
    def _within(cls, files: dict[str, str]) -> dict[str, str]:
        for format, name in files.items():
            if problem := problem_with_report_name(name, own_index=format.lower() == "json"):
                raise ValueError(problem)
        return files


class Spending(Spec):
    """A budget for model calls, including those of native agents. The cost is reserved before each call."""

    money: Annotated[float, Field(ge=0)] | None = None
    """Limit in US dollars. Every model that is called must have a price. Default: no limit."""
    tokens: Amount | None = None
    """Limit on input and output tokens together. Default: no limit."""

    def as_budget(self, seconds: float | None = None) -> Budget:
        """The same limits for the engine."""
        return Budget(money=self.money, tokens=self.tokens, seconds=seconds)


class Defaults(Spec):
    """Settings that apply where an agent, scenario or the command line sets nothing."""

    temperature: float | None = None
    """Sampling temperature of native agents (a model with a prompt)."""
    max_tokens: Amount | None = None
    """Maximum length of an answer of a native agent, in tokens."""
    seed: int | None = None
    """Seed of the execution; every random choice derives from it. Default: a new one each time, which is recorded."""
    concurrency: Count | None = None
    """Number of test cases that run at the same time."""
    run_timeout: Duration | None = None
    """Time limit for one test case, such as ``5m30s``. Default: none."""
    budget: Spending | None = None
    """Budget for the models of the whole execution."""
    run_budget: Spending | None = None
    """Budget for the models of one test case."""
    stop_on_failed_check: bool = False
    """End a conversation after the first answer that fails a check of its turn. All checks of that turn are
    reported."""
    allow_undecided: Amount | Literal["all"] = 0
    """How many test cases may end without a verdict before the execution fails; ``all`` for any number."""
    allow_errors: Amount | Literal["all"] = 0
    """How many test cases may end in an error before the execution fails; ``all`` for any number."""
    metrics_threshold: Annotated[float, Field(ge=0, le=100)] | None = None
    """Lowest overall metrics score, 0 to 100, with which the execution passes. Default: any score."""
    output: Output | None = None
    """Which reports are written, and where."""
