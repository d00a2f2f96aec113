"""``duologue validate``, ``convert`` and ``schema``: the files of suites, without running anything."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, response_file
from duologue.config.files import write_atomic
from duologue.errors import ConfigurationError
from duologue.reports.lines import Line, Print, printer
from duologue.terminal_text import continued, one_line

if TYPE_CHECKING:
    from duologue.errors import Problem
    from duologue.suites.manifests.loader import Report


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="Suites, their folders, or files of single resources.", metavar="PATH...")
    ],
    mock: Annotated[
        str | None,
        typer.Option(callback=response_file, help="Also look at this response file, as 'duologue run --mock' would."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
) -> int:
    """Report everything that is wrong with suites, with file, line and field. Nothing is run.

    Exit code 0: the suites can be run. 2: they cannot, or there are warnings and --strict is set.
    """
    from duologue.suites.execution.preflight import looked_up
    from duologue.suites.manifests.loader import validate as look_at

    reports = [looked_up(look_at(path), mocking=mock is not None, lenient=True) for path in paths]
    if mock is not None:
        reports = [_with_response_file(report, mock) for report in reports]
    fine = all(report.ok and not (strict and report.warnings) for report in reports)
    if as_json:
        print_json({"ok": fine, "suites": [_as_json(report) for report in reports]})
    else:
        tell = printer()
        for report in reports:
            _print(tell, report)
    return ExitCode.PASSED if fine else ExitCode.USAGE


def _with_response_file(report: "Report", path: str) -> "Report":
    """The report with what is wrong with a response file, and with its answers that the suite never asks for."""
    from duologue.config.problems import Problems
    from duologue.models.mock.file import ResponseFile
    from duologue.suites.manifests.validate import unused_answers

    problems = Problems()
    file = ResponseFile.looked_at(path, problems)
    unused = unused_answers(file, report.suite) if file is not None and report.suite is not None else ()
    return replace(report, problems=(*report.problems, *problems.in_order(), *unused))


def _as_json(report: "Report") -> dict[str, Any]:
    return {
        "path": str(report.path),
        "ok": report.ok,
        "suite": report.suite.name if report.suite else None,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "problems": [_problem_as_json(problem) for problem in report.problems],
    }


def _problem_as_json(problem: "Problem") -> dict[str, Any]:
    place = problem.position
    return {
        "severity": problem.severity,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "field": place.field,
        "message": problem.message,
    }


def _print(tell: Print, report: "Report") -> None:
    print_problems(tell, report.problems)
    word = Line("ok", "bold green") if report.ok else Line("refused", "bold red")
    counts = [_counted(len(report.errors), "error"), _counted(len(report.warnings), "warning")]
    told = ", ".join(filter(None, counts)) or (_held(report) if report.suite else "")
    tell(Line(f"{one_line(report.path)}: ").append(word).append(f" ({told})" if told else ""))


def print_problems(tell: Print, problems: "tuple[Problem, ...]") -> None:
    """A line for each problem, errors in red and warnings in yellow."""
    for problem in problems:
        style = "red" if problem.severity == "error" else "yellow"
        place, word, field = map(one_line, (problem.position, problem.severity, problem.position.field))
        line = Line(f"{place}: ").append(f"{word}: ", style).append(f"{field}: " if field else "", "bold")
        tell(line.append(continued(problem.message)))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}" if count else ""


def _held(report: "Report") -> str:
    suite = report.suite
    assert suite is not None
    sections = ("agents", "scenarios", "replays", "personas", "judges", "models", "prompts", "tools")
    counts = {name: len(getattr(suite, name)) for name in sections}
    return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items() if count)


def convert(
    path: Annotated[Path, typer.Argument(help="A suite or its folder, in any dialect: ours, or a PromptKit arena.")],
    out: Annotated[Path, typer.Argument(help="A folder, or a file such as shop.suite.yaml for all in one.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> int:
    """Write a suite in Duologue's own dialect, and report what has no counterpart.

    A folder also gets every file that the suite reads, such as mock answers and recordings. A single file refers to
    them where they are. Exit code 2: the suite cannot be read, or files exist already.
    """
    from duologue.suites.manifests.loader import usable
    from duologue.suites.manifests.loader import validate as look_at
    from duologue.suites.manifests.writer import write_suite

    report = look_at(path)
    suite = usable(report)
    done = write_suite(suite, out, replace=force)
    tell = printer()
    for file in done.files:
        tell(Line(f"{'copied' if file in done.copied else 'wrote'} {one_line(file)}"))
    if done.left:
        tell(Line("\nThese paths still refer to the original location:", "bold"))
        for written in done.left:
            tell(Line(f"  {one_line(written)}"))
    if report.warnings:
        tell(Line("\nWarnings about the original:", "bold"))
        print_problems(tell, report.warnings)
    if suite.extensions:
        kept = ", ".join(suite.extensions)
        tell(Line(f"\nKept under 'extensions', with no effect: {one_line(kept)}", "yellow"))
    again = look_at(done.main)
    if not again.ok:
        tell(Line("\nThe converted suite still has errors:", "bold red"))
        print_problems(tell, again.errors)
        return ExitCode.USAGE
    tell(Line(f"\nRun it:  duologue run {one_line(done.main)}"))
    return ExitCode.PASSED


def schema(
    kind: Annotated[
        str, typer.Argument(help="Kind of manifest, such as Scenario. The default covers every kind.")
    ] = "manifest",
    write: Annotated[Path | None, typer.Option(help="Write the schemas of all kinds to this folder.")] = None,
) -> int:
    """Print the JSON Schema of one kind of manifest, or write all of them for an editor.

    Editors with a YAML language server find it through the first line of a file:
    # yaml-language-server: $schema=FOLDER/suite.json
    """
    from duologue.config.problems import hint, listed
    from duologue.suites.manifests.schemas import names, packaged

    known = names()
    name = kind.lower()
    if name not in known:
        raise ConfigurationError(f"no kind is called '{kind}'{hint(name, known)} Known: {listed(known)}")
    if write is None:
        sys.stdout.write(packaged(name))
        return ExitCode.PASSED
    texts = {write / f"{each}.json": packaged(each) for each in known}
    foreign = [str(path) for path, text in texts.items() if os.path.lexists(path) and not _is_schema(path, text)]
    if foreign:
        raise ConfigurationError(
            f"{', '.join(foreign)}: there already, and not a schema of Duologue; nothing was written. Choose another "
            "folder"
        )
    tell = printer()
    for path, text in texts.items():
        write_atomic(path, text)
        tell(Line(f"wrote {one_line(path)}"))
    return ExitCode.PASSED


def _is_schema(path: Path, text: str) -> bool:
    """Whether a file is a schema of the same kind, from this or another version."""
    import json

    try:
        held = json.loads(path.read_bytes())
        return not path.is_symlink() and [held[name] for name in ("$schema", "title")] == [
            json.loads(text)[name] for name in ("$schema", "title")
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return False
