"""``duologue init``: a small working test suite to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import terminal
from duologue.errors import ConfigurationError


def init(
    folder: Annotated[Path, typer.Argument(help="Where to put it; made if it does not exist.")] = Path("rehearsals"),
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> int:
    """Write a small test suite for a pizza shop's agent that passes as it is: no key, no network."""
    templates = files("duologue.cli") / "templates" / "pytest"
    sources = {
        item.name.removesuffix(".txt"): item.read_text(encoding="utf-8")
        for item in templates.iterdir()
        if item.name.endswith(".txt")
    }
    there = [name for name in sources if (folder / name).exists()]
    if there and not force:
        raise ConfigurationError(
            f"{folder} already has {', '.join(sorted(there))}; nothing was written. Choose another folder, or --force."
        )
    folder.mkdir(parents=True, exist_ok=True)
    console = terminal()
    for name, text in sorted(sources.items()):
        (folder / name).write_text(text, encoding="utf-8")
        console.print(Text(f"wrote {folder / name}"), soft_wrap=True)
    one = f"{folder / 'test_pizza.py'}::test_a_whole_order"
    console.print(Text(f"\nRun it:  pytest {folder}\n   or:   duologue run {one}"), soft_wrap=True)
    return ExitCode.PASSED
