"""Options of all commands about durable runs."""

from __future__ import annotations

from typing import Annotated

import typer

ProjectOption = Annotated[
    str | None, typer.Option("--project", help="Name or id of the project. Default: the only one there is.")
]
ProjectsOption = Annotated[
    list[str], typer.Option("--project", help="Only runs of these projects, by name or id. Default: all.")
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("-c", "--concurrency", "-j", "--jobs", min=1, help="Runs at once. Default: the project's, or 3."),
]
AllowEnvOption = Annotated[
    list[str],
    typer.Option(
        "--allow-env",
        metavar="NAME",
        help="Variable of the environment that saved definitions may name as ${NAME}. Default: all, but none if the "
        "API has tokens.",
    ),
]
AllowPrivateOption = Annotated[
    bool | None,
    typer.Option(
        "--allow-private-addresses/--no-allow-private-addresses",
        help="Whether saved definitions may lead to loopback and private addresses. Default: yes; no if the API has "
        "tokens.",
    ),
]
