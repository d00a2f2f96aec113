"""Options of the commands that can let other processes run the cases of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HOW = "How to run them"
"""The panel of the help that these options are in."""

ExecutorOption = Annotated[
    str,
    typer.Option(
        help="Who runs the cases: local (this process), processes (more cores), or dask (a cluster).",
        metavar="[local|processes|dask]",
        rich_help_panel=HOW,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "-w", "--workers", min=1, help="Number of worker processes; one per core by default.", rich_help_panel=HOW
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT, instead of a cluster on this machine.",
        rich_help_panel=HOW,
    ),
]
TlsCaOption = Annotated[
    Path | None, typer.Option(help="Certificate of the authority for tls://, in PEM format.", rich_help_panel=HOW)
]
TlsCertOption = Annotated[
    Path | None, typer.Option(help="Certificate of this machine for tls://.", rich_help_panel=HOW)
]
TlsKeyOption = Annotated[Path | None, typer.Option(help="Key of that certificate.", rich_help_panel=HOW)]
