"""What of a definition is code or a program, which whoever writes the definition brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from duologue.config.access import access
from duologue.config.spec import Spec
from duologue.errors import RunError
from duologue.runtimes.registry import starts_program
from duologue.specs.suite import Suite
from duologue.suites.runner.code_files import check_types_in

PROGRAM_CHECKS = frozenset({"exec", "exec_eval"})
"""Types of checks that start a program."""


def code_in(spec: Spec) -> Iterator[str]:
    """What of a spec, or of those within it, is code or starts a program, in words."""
    yield from code_in_data(spec.written())


def code_in_data(written: Mapping[str, Any]) -> Iterator[str]:
    """The same in what a spec is read from."""
    for where, value in _named(written, ""):
        name = where.rpartition(".")[2]
        if name == "target" and isinstance(value, str):
            yield f"an agent that is Python code ({where})"
        elif name == "exec" and isinstance(value, Mapping):
            yield f"a tool that is a program ({where})"
        elif name == "command" and value and "mcp_servers" in where:
            yield f"an MCP server that is a program ({where})"
        elif name == "runtime" and isinstance(value, Mapping) and starts_program(cast("Mapping[str, Any]", value)):
            yield f"an agent that is a program ({where}.kind)"
    for kind in sorted(set(check_types_in(written))):
        if ":" in kind or kind in PROGRAM_CHECKS:
            yield f"the check '{kind}', which is code"


def held_apart(suite: Suite) -> Suite:
    """The suite, in which code that its author brings runs in processes of its own, where this one is not for it.

    Raises:
        RunError: there is code that can only run in this process.
    """
    now = access()
    if now.is_limited or not now.own_code:
        agents = tuple(agent.changed(isolation="processes") if agent.target else agent for agent in suite.agents)
        suite = suite.changed(agents=agents).within(suite.folder)
    if not now.own_code and (own := [kind for kind in check_types_in(suite.written()) if ":" in kind]):
        raise RunError(
            f"the check '{own[0]}' is code, and runs in no process that serves others: start the service with "
            "--workers 1 or more, so that workers have processes of their own"
        )
    return suite


def _named(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Every field in written data, with its path."""
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            inner = f"{path}.{name}".lstrip(".")
            yield inner, item
            yield from _named(item, inner)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _named(item, f"{path}[{index}]")
