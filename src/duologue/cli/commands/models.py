"""``duologue models``: the embedded models of this machine: list, pull, stop."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import columns, print_json, say, terminal
from duologue.terminal_text import continued, one_line

models = typer.Typer(help="The embedded models of this machine.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MEGABYTE = 1_000_000


@models.command("list")
def list_models(as_json: JsonOption = False) -> int:
    """List the models whose weights are installed, and the servers that are running."""
    from duologue.models import local

    status = local.status()
    if as_json:
        print_json(asdict(status))
        return ExitCode.PASSED
    console = terminal()
    rows = [[Text(word, style="bold") for word in ("model", "from", "size", "file")]]
    for model in status.models:
        size = f"{model.size / _MEGABYTE:.0f} MB"
        rows.append([Text(f"local:{model.name}"), Text(model.source.value), Text(size), Text(str(model.path))])
    columns(console, rows)
    for server in status.servers:
        told = f"running: {server.name}, pid {server.pid}, port {server.port}, log {server.log}"
        say(console, one_line(told))
    if status.problem:
        say(console, continued(status.problem), "yellow")
    return ExitCode.PASSED


@models.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(help="OWNER/REPOSITORY or OWNER/REPOSITORY/FILE.gguf on the hub, or a name from the catalogue."),
    ],
) -> int:
    """Download a model's weights from the Hugging Face hub. The file and its size are shown first."""
    from duologue.models import local

    console = terminal()
    file = local.look_up(name)
    size = f"{file.size / _MEGABYTE:.0f} MB" if file.size else "of unknown size"
    say(console, one_line(f"downloading {file.file} ({size}) from {file.repository}, revision {file.revision}"))
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(one_line(file.file.rpartition("/")[2]), total=file.size)
        weights = local.pull(name, progress=lambda done, total: progress.update(bar, completed=done, total=total))
    say(console, one_line(f"ready: use it as local:{weights.name}"))
    say(console, one_line(f"file: {weights.path}"))
    return ExitCode.PASSED


@models.command()
def stop(name: Annotated[str | None, typer.Argument(help="Only the servers of this model.")] = None) -> int:
    """Stop the servers of embedded models. Idle servers also stop by themselves."""
    from duologue.models import local

    console = terminal()
    stopped = local.stop(name)
    for server in stopped:
        say(console, one_line(f"stopped {server.name} (pid {server.pid})"))
    if not stopped:
        say(console, "no server was running")
    return ExitCode.PASSED
