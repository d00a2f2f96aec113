"""One script out of ES modules, for a page that has to be a single file.

A browser loads modules only from addresses, so a page that is one file cannot have any. Each module becomes a function
that is called once and returns what the module exports; imports become constants. That is all: names, comments and
lines stay as they are. Modules keep to what can be translated so: ``import { names } from "./module.js"`` at the top,
``export`` before a function, class or constant, and no circles.
"""

from __future__ import annotations

import re
from functools import cache

from duologue.web.assets import module_text

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*?|class|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import\b|export\b).*|\bimport\(", re.MULTILINE)


@cache
def script(entry: str) -> str:
    """A script that does what a module does, with all modules that it imports.

    Args:
        entry: the name of a file in ``static/``.

    Raises:
        ValueError: a module has something that cannot be translated.
    """
    parts = [_translated(name) for name in _in_order(entry)]
    return '"use strict";\n(() => {\nconst modules = {};\n' + "\n".join(parts) + "\n})();\n"


def _in_order(entry: str) -> list[str]:
    """The modules, each behind those that it imports."""
    found: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in found:
            return
        if name in open_:
            raise ValueError(f"modules import each other in a circle: {' -> '.join([*open_, name])}")
        open_.append(name)
        for match in _IMPORT.finditer(module_text(name)):
            visit(match[2])
        open_.pop()
        found.append(name)

    visit(entry)
    return found


def _translated(name: str) -> str:
    source = module_text(name)
    exported = _EXPORT.findall(source)
    body = _EXPORT.sub("", _IMPORT.sub(_constants, source))
    if left := _LEFT.search(body):
        raise ValueError(f"{name}: {left[0]!r} cannot be part of a single file; see duologue.web.bundle")
    return f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {", ".join(exported)} }};\n}})();'


def _constants(match: re.Match[str]) -> str:
    names = [name.strip().replace(" as ", ": ") for name in match[1].split(",") if name.strip()]
    return f'const {{ {", ".join(names)} }} = modules["{match[2]}"];\n'
