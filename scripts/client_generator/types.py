"""Schemas as Python's types: frozen models for what is received, typed dictionaries for what is sent."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from client_generator.document import Document, pascal, ref_name

Side = Literal["sent", "received"]
TAKEN = {"copy", "dict", "json", "schema", "validate", "construct", "etag", "tagged", "fields"}
"""Names of attributes that a model has already."""
WIDTH = 112
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


@dataclass(frozen=True, kw_only=True)
class Types:
    """Names and types of everything that a document defines."""

    document: Document

    def name(self, component: str, side: Side) -> str:
        """The class of a component. One that is sent and received has two; that of what is sent ends with ``Input``."""
        base = component.removesuffix("-Input").removesuffix("-Output")
        if side == "received":
            return pascal(base)
        both = component in self.document.received or f"{base}-Output" in self.document.schemas
        return pascal(base) + ("Input" if both and not base.endswith("Input") else "")

    def type(self, schema: Mapping[str, Any], side: Side) -> str:
        """The type of a schema, as it is written."""
        if (component := ref_name(schema)) is not None:
            return self.name(component, side)
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if options:
            return self._union(options, side, told_apart="discriminator" in schema)
        if (words := schema.get("enum", [schema["const"]] if "const" in schema else None)) is not None:
            told = f"Literal[{', '.join(map(repr, words))}]"
            # A newer service may know more words.
            return f"{told} | str" if side == "received" and isinstance(words[0], str) and len(words) > 1 else told
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([{**schema, "type": one} for one in cast("list[str]", kind)], side)
        return self._of_type(str(kind), schema, side)

    def _of_type(self, kind: str, schema: Mapping[str, Any], side: Side) -> str:
        if kind == "array":
            return self._array(schema, side)
        if kind == "object":
            return self._object(schema, side)
        if kind == "string" and schema.get("format") == "date-time":
            return "datetime" if side == "received" else "str"
        if kind == "string" and (schema.get("format") == "binary" or "contentMediaType" in schema):
            return "bytes"
        return _PLAIN.get(kind, "Any")

    def _union(self, options: Sequence[Mapping[str, Any]], side: Side, *, told_apart: bool = False) -> str:
        written = list(dict.fromkeys(self.type(option, side) for option in options))
        if "Any" in written:
            return "Any"
        if side == "received" and told_apart:  # a newer service may know more
            written.append("dict[str, Any]")
        union = " | ".join(sorted(written, key=lambda one: one == "None"))
        return f'Annotated[{union}, Field(union_mode="left_to_right")]' if "dict[str, Any]" in written[1:] else union

    def _array(self, schema: Mapping[str, Any], side: Side) -> str:
        if parts := schema.get("prefixItems"):
            return f"tuple[{', '.join(self.type(part, side) for part in parts)}]"
        item = self.type(schema.get("items", {}), side)
        return f"tuple[{item}, ...]" if side == "received" else f"Sequence[{item}]"

    def _object(self, schema: Mapping[str, Any], side: Side) -> str:
        more = schema.get("additionalProperties")
        item = self.type(cast("dict[str, Any]", more), side) if isinstance(more, dict) and more else "Any"
        return f"dict[str, {item}]" if side == "received" else f"Mapping[str, {item}]"

    # Classes

    def definition(self, component: str, side: Side) -> str:
        """The class, or the alias, of a component."""
        schema, name = self.document.schemas[component], self.name(component, side)
        if "properties" not in schema:
            return f"{name}: TypeAlias = {self._quoted(self.type(schema, side))}\n{_docstring(schema, '')}"
        return self._model(name, schema) if side == "received" else self._typed_dict(name, schema)

    def _quoted(self, written: str) -> str:
        return (
            repr(written)
            if any(char.isupper() for char in written.replace("Any", "").replace("Mapping", ""))
            else written
        )

    def _model(self, name: str, schema: Mapping[str, Any]) -> str:
        base = 'Answer, extra="allow"' if schema.get("additionalProperties") else "Answer"
        lines = [f"class {name}({base}):", _docstring(schema, "    ", f"``{name}``, as the service gives it.")]
        required = set(schema.get("required", ()))
        for field, inner in schema["properties"].items():
            lines.append(self._field(field, inner, required=field in required))
        return "\n".join(line for line in lines if line) + "\n"

    def _field(self, field: str, schema: Mapping[str, Any], *, required: bool) -> str:
        written, python = self.type(schema, "received"), attribute(field)
        options: list[str] = []
        if not required:
            options.append(_default(schema.get("default"), written))
            if options == ["default=None"] and "None" not in written.split(" | ") and written != "Any":
                written = f"{written} | None"
        if python != field:
            options += [f"validation_alias={field!r}", f"serialization_alias={field!r}"]
        value = f" = Field({', '.join(options)})" if options else ""
        if len(options) == 1 and options[0].startswith("default="):
            value = f" = {options[0].removeprefix('default=')}"
        return "\n".join(part for part in (f"    {python}: {written}{value}", _docstring(schema, "    ")) if part)

    def _typed_dict(self, name: str, schema: Mapping[str, Any]) -> str:
        required, fields = set(schema.get("required", ())), schema["properties"]
        types = {
            field: self.type(inner, "sent") if field in required else f"NotRequired[{self.type(inner, 'sent')}]"
            for field, inner in fields.items()
        }
        if all(field.isidentifier() and not keyword.iskeyword(field) for field in fields):
            lines = [f"class {name}(TypedDict):", _docstring(schema, "    ", f"``{name}``, as it is sent.")]
            for field, inner in fields.items():
                lines += [f"    {field}: {types[field]}", _docstring(inner, "    ")]
            return "\n".join(line for line in lines if line) + "\n"
        entries = ", ".join(f"{field!r}: {written!r}" for field, written in types.items())
        return f"{name} = TypedDict({name!r}, {{{entries}}})\n{_docstring(schema, '')}\n"


def attribute(field: str) -> str:
    """The attribute of a model that holds a field."""
    python = "".join(char if char.isidentifier() or char.isdigit() else "_" for char in field)
    if python.startswith("_") or python[:1].isdigit():
        python = f"field{python if python.startswith('_') else '_' + python}"
    if keyword.iskeyword(python) or python in TAKEN or python.startswith("model_"):
        return f"{python}_"
    return python


def _default(value: Any, written: str) -> str:
    """A default as an argument of ``Field``.

    Args:
        value: as the schema says it.
        written: the type.
    """
    if not isinstance(value, dict):
        return f"default={_literal(value)}"
    if written.startswith("dict["):
        return f"default_factory=lambda: {value!r}" if value else "default=EMPTY"
    return f"default_factory=lambda: {written}.model_validate({value!r})" if value else f"default_factory={written}"


def _literal(value: Any) -> str:
    """A default as Python."""
    if isinstance(value, list):
        items = [_literal(item) for item in cast("list[Any]", value)]
        return f"({', '.join(items)},)" if items else "()"
    return repr(value)


def _docstring(schema: Mapping[str, Any], indent: str, default: str = "") -> str:
    return docstring(schema.get("description") or default, indent)


def docstring(text: str, indent: str, more: Iterable[str] = ()) -> str:
    """A docstring, wrapped; '' for no text."""
    if not text:
        return ""
    first, *others = _paragraphs(text.replace("\\", "\\\\").replace('"""', "'''"), WIDTH - len(indent))
    wrapped = (
        textwrap.fill(part, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False) for part in others
    )
    paragraphs = [first, *wrapped]
    parts = [*paragraphs, *more]
    inner = textwrap.indent("\n\n".join(parts), indent).lstrip()
    if inner.endswith('"'):
        inner += " "
    end = f"\n{indent}" if "\n" in inner else ""
    return f'{indent}"""{inner}{end}"""'


def _paragraphs(text: str, width: int) -> list[str]:
    """The paragraphs of a text; the first is one sentence that fits in a line."""
    first, *rest = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    summary, stop, more = first.partition(". ")
    if stop:
        rest.insert(0, more)
    if len(summary) > width:
        at = max(summary.rfind(mark, 0, width) for mark in (": ", "; ", ", ", " ("))
        at = at if at > 0 else summary.rfind(" ", 0, width)
        rest.insert(0, summary[at:].lstrip(":;, ") + ("." if stop else ""))
        summary = summary[:at]
    summary = summary.rstrip(".:")
    return [f"{summary}{'' if summary.endswith(('!', '?')) else '.'}", *rest]
