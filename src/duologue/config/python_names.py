"""What Python code defines, read from its source: nothing of it is imported or executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from duologue.config.problems import nearest, similar_file

_DYNAMIC = (b"globals(", b"__getattr__", b"exec(", b"setattr(", b"sys.modules", b"__path__")
"""Code that has one of these may define names that its source does not show."""


def problem_with_target(target: str, folder: Path) -> str | None:
    """Why ``module:name`` or ``file.py:name`` leads nowhere; None if it leads somewhere, or only running it would tell.

    Args:
        target: as it is written.
        folder: that a file is relative to, and that modules are looked for in before all others.
    """
    written, _, name = target.rpartition(":")
    written = written.rstrip(":")
    if written.endswith(".py"):
        path = folder / written
        return (
            _problem_in(path, written, name) if path.is_file() else f"there is no file '{written}'{similar_file(path)}"
        )
    return _problem_in_module(written, folder, name)


def _problem_in_module(written: str, folder: Path, name: str) -> str | None:
    """Looks the module up part by part, as an import would, without the import."""
    parts = written.split(".")
    if not all(part.isidentifier() for part in parts):
        return f"'{written}' is no name of a module; expected module:name"
    if written in sys.modules:
        found = vars(sys.modules[written])
        there = hasattr(sys.modules[written], name)
        return None if there else f"{written} has no '{name}'{nearest(name, found)}"
    spec = _top_level(parts[0], folder)
    if spec is None:
        found = [path.stem for path in folder.glob("*.py")]
        where = "neither in the folder of the suite nor installed"
        return f"there is no module '{parts[0]}', {where}{nearest(parts[0], found)}"
    for place in range(1, len(parts)):
        within, full = list(spec.submodule_search_locations or ()), ".".join(parts[: place + 1])
        if _is_dynamic(spec):
            return None
        spec = PathFinder.find_spec(full, within)
        if spec is None:
            found = [path.stem for where in within for path in Path(where).glob("*.py")]
            return f"there is no module '{full}'{nearest(parts[place], found)}"
    return _problem_in(Path(spec.origin), written, name) if spec.origin and spec.origin.endswith(".py") else None


def _top_level(name: str, folder: Path) -> ModuleSpec | None:
    found = PathFinder.find_spec(name, [str(folder)])
    if found is not None:
        return found
    for finder in sys.meta_path:
        found = finder.find_spec(name, None)
        if found is not None:
            return found
    return None


def _is_dynamic(spec: ModuleSpec) -> bool:
    if not spec.origin or not spec.origin.endswith(".py"):
        return False
    try:
        return any(word in Path(spec.origin).read_bytes() for word in _DYNAMIC)
    except OSError:
        return True


def _problem_in(path: Path, written: str, name: str) -> str | None:
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except SyntaxError as error:
        return f"{written} is no Python: line {error.lineno}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"{written} cannot be read: {error}"
    if any(word in source for word in _DYNAMIC):
        return None
    names = list(dict.fromkeys(_names(tree.body)))
    if name in names or "*" in names:
        return None
    shown = [item for item in names if not item.startswith("_")]
    return f"{written} has no '{name}'{nearest(name, shown)}"


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that statements bind in the module; ``*`` for all that another module has."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
            yield from (name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from (item.asname or item.name.partition(".")[0] for item in statement.names)
        else:
            yield from _bound(statement)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """What an assignment binds; what a loop, ``with``, ``if``, ``try`` or ``match`` binds, and the statements in it."""
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            yield from _names([node])
        elif isinstance(node, ast.ExceptHandler | ast.match_case):
            yield from _names(node.body)
        else:
            yield from (
                item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)
            )
