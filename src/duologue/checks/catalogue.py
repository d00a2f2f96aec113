"""The page of the catalogue, made from the code: ``python -m duologue.checks.catalogue`` writes it.

With ``--check`` it only says whether ``docs/reference/checks.md`` is what it would write.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from duologue.checks.base import CheckType, written
from duologue.checks.judge_checks import Judged
from duologue.checks.registry import Alias, CheckInfo, registered
from duologue.specs.checks import When

PAGE = "docs/reference/checks.md"

_HEAD = """\
# Checks

<!-- Made from the code by `python -m duologue.checks.catalogue`; do not edit. -->

Every type of check, with its parameters and other names. [The guide](../guides/checks.md) shows how to use them.
Unless stated otherwise, a type can check single turns or the whole conversation, and letter case is ignored.

Every check also takes `min_score` and `max_score`, the bounds of a passing score from 0 to 1, and `message`, which
reports show if it does not pass; next to its parameters or among them. With `when` it only applies if all of these
conditions hold, and is skipped otherwise:

"""
_HEADINGS = (
    "Text",
    "JSON",
    "Tools",
    "Agents and skills",
    "Workflow",
    "Media",
    "Classified",
    "Similarity",
    "Judged by a model",
    "Answers from documents",
    "Safety",
    "External",
    "Time and cost",
    "Behaviour",
    "Voice",
)
_JUDGE = """\
## Parameters of a judge

All types that a model decides take these.
"""


def page() -> str:
    """The whole page, as Markdown."""
    own = [info for info in registered() if info.parameters.__module__.startswith("duologue.")]
    own.sort(key=lambda info: (_HEADINGS.index(info.family), info.parameters.__module__))
    sections = [
        "\n".join([f"## {family}\n", *map(_entry, infos)])
        for family, infos in groupby(own, key=lambda info: info.family)
    ]
    judge = "\n".join([_JUDGE, *_table(Judged, Judged.model_fields)])
    conditions = "\n".join(f"- `{name}`: {text}" for name, text in docs_of(When).items())
    return _HEAD + conditions + "\n\n" + "\n".join([*sections, judge]) + "\n"


def docs_of(model: type[Any]) -> dict[str, str]:
    """What is written under each field of a model and of what it is derived from, in order."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if cls.__module__.startswith("duologue.") and "model_fields" in dir(cls):
            found |= _written_under(cls)
    return {name: found.get(name, "") for name in model.model_fields}


def main(arguments: list[str]) -> int:
    """Write the page, or compare it. Returns the exit code."""
    path = Path(PAGE)
    if arguments == ["--check"]:
        fresh = path.exists() and path.read_text("utf-8") == page()
        print(f"{PAGE} is {'up to date' if fresh else 'stale; run: python -m duologue.checks.catalogue'}")  # noqa: T201
        return 0 if fresh else 1
    path.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")  # noqa: T201
    return 0


def _entry(info: CheckInfo) -> str:
    lines = [f"### {info.kind}\n", info.summary.replace("``", "`")]
    if info.aliases:
        lines.append(f"\nAlso: {', '.join(map(_alias, info.aliases))}.")
    if info.whole:
        lines.append("\nLooks at the conversation so far, even if it is evaluated for each turn.")
    is_judged = issubclass(info.parameters, Judged)
    shared = set(Judged.model_fields) if is_judged else set[str]()
    own = [name for name in info.parameters.model_fields if name not in shared]
    lines += _table(info.parameters, own) if own else []
    if is_judged:
        lines.append(f"\n{'Also takes' if own else 'Takes'} the [parameters of a judge](#parameters-of-a-judge).")
    return "\n".join(lines) + "\n"


def _table(model: type[CheckType], names: Iterable[str]) -> list[str]:
    """The rows of some parameters, required ones first."""
    docs, fields = docs_of(model), model.model_fields
    ordered = sorted(names, key=lambda name: not fields[name].is_required())
    head = "\n| parameter | type | default | |\n|---|---|---|---|"
    return [head, *(_row(model, name, fields[name], docs[name]) for name in ordered)]


def _alias(alias: Alias) -> str:
    given = ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in alias.given.items())
    notes = [*([f"with {given}"] if given else []), *(["of the conversation so far"] if alias.whole else [])]
    return f"`{alias.name}`" + (f" ({', '.join(notes)})" if notes else "")


def _row(model: type[CheckType], name: str, field: FieldInfo, doc: str) -> str:
    public = written(name)
    others = [f"`{other}`" for other, real in model.renamed.items() if real == name and other != public]
    names = f"`{public}`" + (f", {', '.join(others)}" if others else "")
    default = "required" if field.is_required() else f"`{json.dumps(field.get_default(), ensure_ascii=False)}`"
    return f"| {names} | {_type(model, name)} | {default.replace('`null`', '')} | {doc} |"


def _type(model: type[CheckType], name: str) -> str:
    """The type of a parameter, as JSON Schema sees it."""
    schema = model.model_json_schema()
    return _told(schema["properties"][name], schema.get("$defs", {}))


def _told(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _told(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        kinds = [_told(item, defs) for item in schema["anyOf"] if item.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_told(schema.get('items', {}), defs)}"
    names = {"string": "text", "object": "object", "integer": "integer", "number": "number", "boolean": "boolean"}
    return names.get(schema.get("type", ""), "anything")


@cache
def _written_under(cls: type[Any]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # made at run time: no source
        return {}
    body: list[ast.stmt] = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)):
            continue
        if isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            found[field.target.id] = " ".join(text.value.value.split()).replace("``", "`")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
