"""JSON Schemas of manifests, for editors: made from the models, kept in ``duologue/suites/schemas``.

``python -m duologue.suites.manifests.schemas`` writes them; with ``--check`` it only says whether they are what it
would write. What a schema cannot say (names that lead nowhere, parameters of checks), ``duologue validate`` says.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from duologue.config.spec import Spec
from duologue.suites.manifests.loader import API_VERSION, KINDS, SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ANY = "manifest"
"""The name of the schema for files of all kinds."""

_OF_METADATA = ("name", "labels", "annotations")
_WORDS = {
    r"\bNone for ": "if left out, ",
    r"\bNone to find out\b": "if left out, it is found out",
    r"\bif None\b": "if left out",
    r"\bNone, ": "nothing, ",
    r"\bTrue\b": "true",
    r"\bFalse\b": "false",
}
_REFERENCES: list[dict[str, Any]] = [
    {"type": "string", "description": "The path of a file, or a pattern such as parts/*.yaml."},
    {
        "type": "object",
        "description": "The path of a file.",
        "properties": {"file": {"type": "string"}},
        "required": ["file"],
        "additionalProperties": False,
    },
]


def names() -> list[str]:
    """The names of all schemas: ``manifest`` for all kinds, and each kind in lower case."""
    return [ANY, *(kind.lower() for kind in KINDS)]


def packaged(name: str) -> str:
    """The text of a schema.

    Args:
        name: one of :func:`names`.
    """
    return (files("duologue.suites") / "schemas" / f"{name}.json").read_text(encoding="utf-8")


def made() -> dict[str, str]:
    """The texts of all schemas, made from the models."""
    every = definitions()
    found = {ANY: _of_all(every), **{kind.lower(): _of_one(kind, every) for kind in KINDS}}
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in found.items()}


def main(arguments: list[str]) -> int:
    """Write the schemas, or compare them. Returns the exit code."""
    folder = Path(str(files("duologue.suites") / "schemas"))
    every = made()
    if arguments == ["--check"]:
        stale = [
            name for name, text in every.items() if not (folder / f"{name}.json").is_file() or packaged(name) != text
        ]
        told = f"stale: {', '.join(stale)}; run: python -m duologue.suites.manifests.schemas" if stale else "up to date"
        print(f"the schemas are {told}")  # noqa: T201
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in every.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"wrote {len(every)} schemas into {folder}")  # noqa: T201
    return 0


def _of_one(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    frame = _frame(kind, definitions)
    needed = _needed(frame, definitions)
    return {"$schema": DIALECT, **frame, "$defs": {name: definitions[name] for name in sorted(needed)}}


def _of_all(definitions: dict[str, Any]) -> dict[str, Any]:
    frames = {f"{kind}Manifest": _frame(kind, definitions) for kind in KINDS}
    rules = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": f"#/$defs/{kind}Manifest"},
        }
        for kind in KINDS
    ]
    return {
        "$schema": DIALECT,
        "title": "A manifest of a Duologue suite",
        "type": "object",
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": list(KINDS)}},
        "required": ["apiVersion", "kind", "spec"],
        "allOf": rules,
        "$defs": dict(sorted({**definitions, **frames}.items())),
    }


def _frame(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What a file of a kind is; its ``spec`` has everything but what ``metadata`` says."""
    model = definitions[kind]
    metadata = {name: model["properties"][name] for name in _OF_METADATA}
    spec = {
        **model,
        "properties": {name: item for name, item in model["properties"].items() if name not in _OF_METADATA},
        "required": [name for name in model.get("required", ()) if name not in _OF_METADATA],
    }
    return {
        "title": kind,
        "description": model["description"],
        "type": "object",
        "properties": {
            "$schema": {"type": "string", "description": "The schema that the file follows, for editors."},
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "properties": {**metadata, "namespace": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }


def definitions(*, marked: bool = False) -> dict[str, Any]:
    """The schema of every model that a suite is made of, by the model's name.

    Args:
        marked: whether descriptions keep the marks of code, as Markdown has them.
    """
    kinds = list(KINDS.values())
    _, whole = models_json_schema([(model, "validation") for model in kinds], ref_template="#/$defs/{model}")
    made: dict[str, Any] = whole["$defs"]
    models = {model.__name__: model for model in _subclasses(Spec)}
    for name, schema in made.items():
        _polish(models[name], schema, marked)
    for section, model in SECTIONS.items():
        listed = made["Suite"]["properties"][section]
        listed["items"] = {"anyOf": [*_REFERENCES, {"$ref": f"#/$defs/{model.__name__}"}]}
    made["CheckSpec"]["properties"]["type"] = _check_type(made["CheckSpec"]["properties"]["type"])
    return made


def _polish(model: type[BaseModel], schema: dict[str, Any], marked: bool) -> None:
    """Say what each field means; leave out what says nothing."""
    from duologue.checks.catalogue import docs_of

    schema.pop("title", None)
    documentation = docs_of(model)
    for name, field in model.model_fields.items():
        item = schema["properties"][field.alias or name]
        item.pop("title", None)
        if item.get("default") in (None, "", []) or isinstance(item["default"], dict):
            item.pop("default", None)
        if documentation[name]:
            text = _as_in_files(documentation[name])
            item["description"] = text if marked else text.replace("`", "")


def _as_in_files(text: str) -> str:
    """What is said of a field, with the words of YAML in the place of Python's."""
    for python, words in _WORDS.items():
        text = re.sub(python, words, text)
    return text


def _check_type(schema: dict[str, Any]) -> dict[str, Any]:
    """A text, for which an editor suggests the types of the catalogue."""
    from duologue.checks.registry import registered

    own = [info for info in registered() if info.parameters.__module__.startswith("duologue.")]
    known = sorted({name for info in own for name in (info.kind, *(alias.name for alias in info.aliases))})
    return {"description": schema["description"], "anyOf": [{"enum": known}, {"type": "string", "minLength": 1}]}


def _subclasses(model: type[Spec]) -> list[type[Spec]]:
    found = [model]
    for child in model.__subclasses__():
        if child.__module__.startswith(("duologue.specs.", "duologue.config.")):
            found += _subclasses(child)
    return found


def _needed(schema: object, definitions: dict[str, Any]) -> set[str]:
    """The names of all definitions that a schema leads to."""
    found: set[str] = set()
    left: list[Any] = [schema]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += cast("list[Any]", item)
        elif isinstance(item, dict):
            values = cast("dict[str, Any]", item)
            name = str(values.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                left.append(definitions[name])
            left += values.values()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
