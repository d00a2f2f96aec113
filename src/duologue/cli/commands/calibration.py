"""``duologue calibration`` and ``duologue judge-test``: how well judges agree with people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.recorded_run import JobsOption, JsonOption, MockAllOption, MockOption, SuiteOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.errors import ConfigurationError

if TYPE_CHECKING:
    from duologue.runs.store.reader import Found
    from duologue.suites.calibration.judge_test import JudgeTest
    from duologue.suites.calibration.labels import Label

LabelsOption = Annotated[
    list[Path], typer.Option("--labels", help="Files with labels (CSV or JSONL). Default: DIR.labels.jsonl.")
]


def calibration(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")],
    labels: LabelsOption = [],  # noqa: B006 - typer's way
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if a criterion has less agreement, such as 0.8.")
    ] = None,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with 1 if the judge has changed since it was labelled.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Report how well the judge agrees with people, and pass rates corrected for its errors.

    Per criterion: agreement, Cohen's kappa, Krippendorff's alpha of several raters, sensitivity and specificity, each
    with its 95 % interval.
    """
    from duologue.reports.calibration import calibration_lines
    from duologue.runs.store.calibrated import calibration_of
    from duologue.runs.store.reader import find_execution
    from duologue.suites.calibration.as_data import calibration_data

    found = find_execution(folder)
    made = calibration_of(found.folder, found.execution.runs, labels)
    if made is None:
        raise ConfigurationError(
            f"there are no labels beside {folder}; give some with 'duologue label {folder}', or name a file "
            "with --labels"
        )
    if as_json:
        print_json(calibration_data(made))
    else:
        for line in calibration_lines(made):
            echo(line)
    low = min_agreement is not None and any((item.agreement.rate or 0) < min_agreement for item in made.criteria)
    return ExitCode.FAILED if low or (fail_on_drift and made.changed) else ExitCode.PASSED


def judge_test(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder with labelled runs.")],
    judge: Annotated[
        str | None,
        typer.Option(
            help="Another judge: one of the suite, or a model such as openai/gpt-5-mini. Default: the suite's."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each run is judged.")] = 3,
    labels: LabelsOption = [],  # noqa: B006
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if a criterion has less agreement, such as 0.8.")
    ] = None,
    suite: SuiteOption = None,
    mock: MockOption = None,
    mock_all: MockAllOption = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Judge labelled runs again, and report how well the judge agrees with people and with itself.

    No agent is called. Each run is judged several times, and once with its criteria in reverse order.

    Exit code 0: done. 1: less agreement than --min-agreement. 3: no run could be judged.
    """
    from duologue.reports.calibration import judge_test_lines
    from duologue.runs.store.reader import find_execution
    from duologue.suites.calibration.as_data import judge_test_data

    found = find_execution(folder)
    given = _labels(found, labels)
    tested = asyncio.run(
        _tested(found, given, suite=suite, judge=judge, repeats=repeats, mock=mock, mock_all=mock_all, jobs=jobs)
    )
    if as_json:
        print_json(judge_test_data(tested))
    else:
        for line in judge_test_lines(tested):
            echo(line)
    if not tested.runs:
        return ExitCode.UNCERTAIN
    low = min_agreement is not None and any(
        (item.agreement.rate or 0) < min_agreement for item in tested.calibration.criteria
    )
    return ExitCode.FAILED if low else ExitCode.PASSED


def _labels(found: Found, files: list[Path]) -> list[Label]:
    from duologue.runs.store.calibrated import labels_of

    given = labels_of(found.folder, files)
    if not given:
        raise ConfigurationError(
            f"there are no labels beside {found.folder}; give some with 'duologue label', or name a file with --labels"
        )
    return given


async def _tested(found: Found, labels: list[Label], *, suite: Path | None, judge: str | None, **how: Any) -> JudgeTest:
    from duologue.cli.commands.recorded_run import suite_file
    from duologue.suites.calibration.judge_test import judge_test as put_to_the_test
    from duologue.suites.execution.engine import Engine

    path = suite or suite_file(found.execution.path)
    if path is None:
        raise ConfigurationError("these runs were recorded by code; name a suite whose judge is to be tested (--suite)")
    runs = found.execution.runs
    journals = {run.run_id: found.folder / run.journal for run in runs if run.journal}
    journals = {name: journal for name, journal in journals.items() if journal.is_file()}
    async with Engine.from_file(path) as engine:
        if how["mock"] is not None or how["mock_all"]:
            engine.enable_mock_mode(how["mock"])
        return await put_to_the_test(
            engine, runs, journals, labels, judge=judge, repeats=how["repeats"], concurrency=how["jobs"] or 8
        )
