"""What pyproject.toml declares is what the source imports, no more and no less."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = list((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = packages_distributions()
"""Top-level modules with the distributions that bring them."""
NOT_NAMED = {"opentelemetry-exporter-otlp-proto-http"}
"""Shares its top-level module with others, so that a mention of that proves nothing."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(found[0]) for line in requirements if (found := re.match(r"[\w.-]+", line))}


CORE = names(PROJECT["dependencies"])
EXTRAS = set[str]().union(*map(names, PROJECT["optional-dependencies"].values())) - CORE - {"duologue"}


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports by a statement."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    beside = {other.stem for other in path.parent.glob("*.py")}  # the demo's agent is a script of several files
    return found - sys.stdlib_module_names - {"duologue"} - beside


def test_every_import_is_declared() -> None:
    # The plugin is loaded by pytest, so pytest is there.
    modules = set[str]().union(*(imported(path) for path in SOURCES if "pytest_plugin" not in path.parts))
    # A namespace such as google belongs to several distributions; pydantic-core is a part of pydantic.
    undeclared = {name for name in modules if not {normal(owner) for owner in MODULES.get(name, [])} & (CORE | EXTRAS)}
    assert undeclared - {"pydantic_core"} == set()


@pytest.mark.parametrize("declared", [CORE, EXTRAS], ids=["core", "extras"])
def test_everything_that_is_declared_is_used(declared: set[str]) -> None:
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    brings = {
        name: [top for top, owners in MODULES.items() if name in map(normal, owners)] or [name] for name in declared
    }
    unused = {
        name
        for name, modules in brings.items()
        if not any(re.search(rf"\b({re.escape(top)}|{re.escape(name)})\b", text) for top in modules)
    }
    assert unused - NOT_NAMED == set()
