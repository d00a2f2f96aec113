"""The page of the suite format, made from the schemas: ``python -m duologue.suites.manifests.format_page`` writes it.

With ``--check`` it only says whether ``docs/reference/suite-format.md`` is what it would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from duologue.suites.manifests import schemas
from duologue.suites.manifests.loader import KINDS, SECTIONS

PAGE = "docs/reference/suite-format.md"

_HEAD = """\
# The format of suites

<!-- Made from the code by `python -m duologue.suites.manifests.format_page`; do not edit. -->

Every field of every kind of manifest. [The guide](../guides/suites.md) says how to use them. `name`, `labels` and
`annotations` stand in the `metadata` of a file, and everything else in its `spec`; a resource that stands in the suite
file itself has all of them together. Unknown fields are errors. An empty default means that the field may be left out.

"""
_PARTS = "## Parts of resources\n\nWhat the fields above hold.\n\n"
_NAMES = {"string": "text", "object": "mapping", "integer": "whole number", "number": "number", "boolean": "boolean"}


def page() -> str:
    """The whole page, as Markdown."""
    definitions = schemas.definitions(marked=True)
    parts = [name for name in sorted(definitions) if name not in KINDS]
    kinds = "\n".join(_section(kind, definitions[kind], "##") for kind in KINDS)
    rest = "\n".join(_section(name, definitions[name], "###") for name in parts)
    return f"{_HEAD}{kinds}\n{_PARTS}{rest}"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it. Returns the exit code."""
    path = Path(PAGE)
    if arguments == ["--check"]:
        fresh = path.exists() and path.read_text("utf-8") == page()
        told = "up to date" if fresh else "stale; run: python -m duologue.suites.manifests.format_page"
        print(f"{PAGE} is {told}")  # noqa: T201
        return 0 if fresh else 1
    path.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")  # noqa: T201
    return 0


def _section(name: str, schema: dict[str, Any], level: str) -> str:
    required = set(schema.get("required", ()))
    properties: dict[str, Any] = schema["properties"]
    ordered = sorted(properties, key=lambda field: field not in required)
    rows = [_row(field, properties[field], field in required) for field in ordered]
    lines = [
        f"{level} {name}\n",
        f"{schema['description']}\n",
        "| field | type | default | |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _row(field: str, schema: dict[str, Any], is_required: bool) -> str:
    default = "required" if is_required else ""
    if "default" in schema:
        default = f"`{json.dumps(schema['default'], ensure_ascii=False)}`"
    kind = _files_or(field, schema) if field in SECTIONS else _told(schema)
    return f"| `{field}` | {_escaped(kind)} | {_escaped(default)} | {_escaped(schema.get('description', ''))} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _files_or(section: str, schema: dict[str, Any]) -> str:
    return f"list of {_link(SECTIONS[section].__name__)}, or paths of files"


def _told(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return _or(
            _told(item) for item in schema["anyOf"] if item.get("type") != "null" and len(item.get("enum", ())) < 20
        )
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    return _simple(schema)


def _simple(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_told(schema.get('items', {}))}"
    values: Any = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"mapping of {_told(cast('dict[str, Any]', values))}"
    if "pattern" in schema and "examples" in schema:
        return f"text such as {_or(f'`{item}`' for item in schema['examples'])}"
    return _NAMES.get(kind, "anything") + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if high is not None and high >= 10**6:
        high = None
    if low is None and high is None:
        return ""
    above = "above" if "exclusiveMinimum" in schema else "from"
    return f" {above} {low}" + (f" to {high}" if high is not None else "") if low is not None else f" to {high}"


def _or(items: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(items))


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
