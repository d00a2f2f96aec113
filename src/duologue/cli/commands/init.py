"""``duologue init``: a small working test suite to start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import say, terminal
from duologue.config.files import write_atomic
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line


class Template(StrEnum):
    """What a test suite is written as."""

    PYTEST = "pytest"
    SUITE = "suite"


_ALSO = {Template.PYTEST: (), Template.SUITE: ("pytest/pizza_agent.py.txt",)}
"""Files of other templates: the agent is the same."""


def init(
    folder: Annotated[Path, typer.Argument(help="Target folder; created if it does not exist.")] = Path("rehearsals"),
    template: Annotated[
        Template, typer.Option(help="Tests in Python for pytest, or a suite as YAML files.")
    ] = Template.PYTEST,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> int:
    """Write a small test suite for a pizza shop's agent. It passes as it is, without a key or a network."""
    sources = _sources(template)
    there = [name for name in sources if os.path.lexists(folder / name)]
    if there and not force:
        raise ConfigurationError(
            f"nothing written: {folder} already has {', '.join(sorted(there))}; choose another folder or use --force"
        )
    console = terminal()
    for name, text in sorted(sources.items()):
        path = folder / name
        write_atomic(path, text)  # a link is replaced, and what it leads to stays as it is
        say(console, f"wrote {one_line(path)}")
    say(console, f"\n{_next(template, folder)}")
    return ExitCode.PASSED


def _sources(template: Template) -> dict[str, str]:
    """The texts of a template's files, by their paths."""
    root = files("duologue.cli") / "templates"
    found = {name: item.read_text(encoding="utf-8") for name, item in _within(root / template.value)}
    for path in _ALSO[template]:
        item = root / path
        found[item.name.removesuffix(".txt")] = item.read_text(encoding="utf-8")
    return found


def _within(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _within(item, f"{path}{item.name}/")
        elif item.name.endswith(".txt"):
            yield f"{path}{item.name.removesuffix('.txt')}", item


def _next(template: Template, folder: Path) -> str:
    if template is Template.SUITE:
        return f"Run it:  duologue run {folder}   (no model and no key: a moment)"
    return (
        f"Run it:  pytest {folder}   (with the package pytest-asyncio)\n"
        f"   or:   duologue run {folder / 'test_pizza.py'}::test_a_whole_order"
    )
