"""``duologue schema``: the JSON Schemas of manifests, for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import terminal
from duologue.errors import ConfigurationError


def schema(
    kind: Annotated[str, typer.Argument(help="Such as Scenario; for files of all kinds if left out.")] = "manifest",
    write: Annotated[Path | None, typer.Option(help="Write the schemas of all kinds into this folder.")] = None,
) -> int:
    """Print the JSON Schema of a kind of manifest, or write all of them for an editor.

    Editors with a YAML language server find it by the first line of a file:
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
    write.mkdir(parents=True, exist_ok=True)
    console = terminal()
    for each in known:
        path = write / f"{each}.json"
        path.write_text(packaged(each), encoding="utf-8")
        console.print(Text(f"wrote {path}"), soft_wrap=True)
    return ExitCode.PASSED
