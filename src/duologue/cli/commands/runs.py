"""``duologue runs``: the runs of a database."""

from __future__ import annotations

import typer

from duologue.cli.commands.runs_transfer import export, import_

runs = typer.Typer(help="The runs of a database.", no_args_is_help=True)

runs.command("import")(import_)
runs.command("export")(export)
