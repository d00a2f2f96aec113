"""``duologue runs import`` and ``duologue runs export``: results folders and files of JSON lines, in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.db import ArtifactsOption, DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, say, terminal
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.store.database.engine import Database


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder of 'duologue run', a file of 'duologue runs export', the folder of an EvalStudio project, "
            "or a JSON file of Connexity."
        ),
    ],
    project: Annotated[
        str | None,
        typer.Option(
            "--project", help="Project of the runs; created if need be. Default: the only one, or the name in the file."
        ),
    ] = None,
    queue: Annotated[
        bool,
        typer.Option(
            "--queue", help="Put runs of a file that were not over into the queue, and leave its schedules on."
        ),
    ] = False,
    on_clash: Annotated[
        str,
        typer.Option(
            "--on-clash", help="What of Connexity has a name that is taken: skip it, or overwrite what is there."
        ),
    ] = "skip",
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Import results of 'duologue run', a file with a project or executions, or what EvalStudio or Connexity has.

    The source stays as it is, and nothing in the database is overwritten, unless --on-clash says so.
    """
    from duologue.runs.connexity import is_connexity
    from duologue.runs.evalstudio import is_evalstudio
    from duologue.runs.store.database.engine import Database

    if not source.exists():
        raise ConfigurationError(f"{source} cannot be read: there is no such file or folder")

    async def work() -> dict[str, Any]:
        async with Database.open(database) as opened:
            if is_evalstudio(source):
                return await _import_evalstudio(opened, source, project)
            if is_connexity(source):
                return await _import_connexity(opened, source, project, on_clash)
            if source.is_dir():
                return await _import_results(opened, source, project, artifacts)
            return await _import_file(opened, source, project, artifacts, queue=queue)

    told = asyncio.run(work())
    if as_json:
        print_json(told)
        return ExitCode.PASSED
    _notes(told["problems"])
    console = terminal()
    numbers = ", ".join(map(str, told["executions"])) or "none"
    if "definitions" in told:
        counts = ", ".join(f"{name}: {count}" for name, count in told["definitions"].items())
        of_runs = f"executions: {numbers}, runs: {told['runs']}" if told["runs"] else "no runs"
        say(console, one_line(f"imported into project {told['project']}: {counts}, {of_runs}"))
    else:
        say(console, one_line(f"imported {told['runs']} runs into project {told['project']}; executions: {numbers}"))
    if told["unfinished"]:
        say(console, f"{told['unfinished']} of them were not over{_what_of_them(source, queue=queue)}")
    if told["schedules"] and not queue:
        say(console, f"{told['schedules']} schedules are switched off")
    return ExitCode.PASSED


def export(
    execution: Annotated[
        str | None, typer.Argument(help="Number or name of an execution. Default, with --jsonl: the whole project.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder, as 'duologue run' writes one.")] = None,
    jsonl: Annotated[Path | None, typer.Option("--jsonl", help="New file of JSON lines, for another database.")] = None,
    connexity: Annotated[
        Path | None, typer.Option("--connexity", help="New JSON file with agents, test cases and evals for Connexity.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Name of the project. Default: the only one.")
    ] = None,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="With --jsonl: also write the credentials of connectors and personas.")
    ] = False,
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Export an execution as a results folder, or a project or execution as one file."""
    from duologue.runs.store.database.engine import Database

    if sum(item is not None for item in (out, jsonl, connexity)) != 1:
        raise ConfigurationError(
            "choose one of --out DIR (a results folder), --jsonl FILE (for another database) and --connexity FILE"
        )
    if connexity is not None:
        return _export_connexity(connexity, project, database, as_json=as_json)
    if out is not None and execution is None:
        raise ConfigurationError("--out needs an execution: a results folder holds one")

    async def work() -> dict[str, Any]:
        async with Database.open(database, create=False) as opened:
            return await _export(opened, execution, project, artifacts, out=out, jsonl=jsonl, credentials=credentials)

    told = asyncio.run(work())
    if as_json:
        print_json(told)
        return ExitCode.PASSED
    _notes(told["problems"])
    console = terminal()
    say(console, one_line(f"exported {told['runs']} runs to {told['path']}"))
    if told["credentials"]:
        say(console, f"the credentials of {told['credentials']} definitions were left out; --credentials writes them")
    return ExitCode.PASSED


def _export_connexity(path: Path, project: str | None, database: str | None, *, as_json: bool) -> int:
    from duologue.cli.services import with_service
    from duologue.runs.connexity_export import export_connexity

    done = with_service(database, project, lambda service: export_connexity(service, path))
    if as_json:
        print_json({"path": done.path, "counts": dict(done.counts), "problems": list(done.notes)})
        return ExitCode.PASSED
    _notes(done.notes)
    counts = ", ".join(f"{name}: {count}" for name, count in done.counts.items())
    say(terminal(), one_line(f"exported {counts} to {done.path}"))
    return ExitCode.PASSED


_DEFINITIONS = ("personas", "scenarios", "connectors", "evals")


async def _import_evalstudio(opened: Database, source: Path, project: str | None) -> dict[str, Any]:
    from duologue.runs.evalstudio import import_evalstudio

    found = await import_evalstudio(opened, source, project=project)
    return {
        "project": ", ".join(item.project.name for item in found),
        "executions": [number for item in found for number in item.execution_ids],
        "definitions": {name: sum(getattr(item, name) for item in found) for name in _DEFINITIONS},
        "runs": sum(item.runs for item in found),
        "unfinished": 0,
        "schedules": 0,
        "problems": [note for item in found for note in item.notes],
    }


async def _import_connexity(opened: Database, source: Path, project: str | None, on_clash: str) -> dict[str, Any]:
    from duologue.runs.connexity import import_connexity
    from duologue.runs.projects import open_project

    if on_clash not in {"skip", "overwrite"}:
        raise ConfigurationError(f"--on-clash is {on_clash!r}; expected skip or overwrite")
    found = await open_project(opened, project, create=True)
    done = await import_connexity(opened, source, found, on_clash="overwrite" if on_clash == "overwrite" else "skip")
    names = ("agents", "scenarios", "personas", "evals", "metrics", "environments", "skipped")
    return {
        "project": found.name,
        "executions": list(done.execution_ids),
        "definitions": {name: getattr(done, name) for name in names},
        "runs": done.runs,
        "unfinished": 0,
        "schedules": 0,
        "problems": list(done.notes),
    }


async def _import_results(opened: Database, source: Path, project: str | None, artifacts: str | None) -> dict[str, Any]:
    from duologue.runs.projects import open_project
    from duologue.runs.store.database.artifacts import artifacts_of
    from duologue.runs.store.database.results_import import import_results

    found = await open_project(opened, project, create=True)
    imported = await import_results(opened, artifacts_of(opened.address, artifacts), source, found.id)
    return {
        "project": found.name,
        "executions": [imported.execution.id],
        "runs": imported.runs,
        "unfinished": imported.unfinished,
        "schedules": 0,
        "problems": list(imported.problems),
    }


async def _import_file(
    opened: Database, source: Path, project: str | None, artifacts: str | None, *, queue: bool
) -> dict[str, Any]:
    from duologue.runs.projects import open_project
    from duologue.runs.store.database.artifacts import artifacts_of
    from duologue.runs.store.database.project_import import holds_project, import_project

    name = project if holds_project(source) else None
    target = None if project is None or name is not None else (await open_project(opened, project, create=True)).id
    store = artifacts_of(opened.address, artifacts)
    imported = await import_project(opened, store, source, project_id=target, name=name, going_on=queue)
    return {
        "project": project or imported.project_id,
        "executions": list(imported.executions),
        "runs": imported.runs,
        "unfinished": imported.unfinished,
        "schedules": imported.schedules,
        "problems": [],
    }


async def _export(
    opened: Database,
    execution: str | None,
    project: str | None,
    artifacts: str | None,
    *,
    out: Path | None,
    jsonl: Path | None,
    credentials: bool,
) -> dict[str, Any]:
    from duologue.runs.projects import open_project
    from duologue.runs.store.database.artifacts import artifacts_of
    from duologue.runs.store.database.project_export import export_project
    from duologue.runs.store.database.results_export import execution_named, export_results

    found = await open_project(opened, project)
    store = artifacts_of(opened.address, artifacts)
    number = None if execution is None else await execution_named(opened, found.id, execution)
    if out is not None and number is not None:
        exported = await export_results(opened, store, number, out)
        return {"path": out, "runs": exported.runs, "credentials": 0, "problems": list(exported.problems)}
    assert jsonl is not None
    wanted = None if number is None else [number]
    written = await export_project(opened, store, found.id, jsonl, executions=wanted, credentials=credentials)
    return {
        "path": jsonl,
        "runs": written.runs,
        "credentials": written.credentials,
        "problems": list(written.problems),
    }


def _notes(problems: Iterable[str]) -> None:
    for problem in problems:
        echo(f"Note: {one_line(problem)}", err=True)


def _what_of_them(source: Path, *, queue: bool) -> str:
    if source.is_dir():
        return ": export the execution and resume it where its suite is, with 'duologue run --resume'"
    return " and are in the queue" if queue else ": they are errors now, and can be retried"
