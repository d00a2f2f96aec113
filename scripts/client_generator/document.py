"""An OpenAPI document, as the values that the generator writes code from."""

from __future__ import annotations

import keyword
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, cast

METHODS = ("get", "put", "post", "patch", "delete", "head")
JSON = "application/json"
EVENTS = "text/event-stream"
CURSORS = ("cursor", "after")
"""Query parameters that continue a list, in the order in which they are looked for."""
BY_THE_CLIENT = {"project", "last-event-id", "idempotency-key"}
"""Parameters that the client fills in by itself."""

Kind = Literal["json", "page", "events", "text", "bytes", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter in the path, in the query or in the headers."""

    name: str
    where: str
    required: bool
    schema: Mapping[str, Any]
    description: str = ""

    @property
    def python(self) -> str:
        """Its name in Python."""
        return snake(self.name)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of the client.

    Attributes:
        answer: schema of the answer; of one item for a page; None if it is no JSON.
        page: name of the component that a page is.
        cursor: query parameter that continues a page.
        body: schema of the body; None for none.
        body_type: media type of the body.
        in_project: whether it has the query parameter ``project``.
        keyed: whether it takes the header ``Idempotency-Key``, as all requests do that make something.
    """

    id: str
    method: str
    path: str
    group: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    kind: Kind
    answer: Mapping[str, Any] | None = None
    page: str | None = None
    cursor: str | None = None
    body: Mapping[str, Any] | None = None
    body_type: str = JSON
    body_required: bool = True
    in_project: bool = False
    keyed: bool = False


@dataclass(frozen=True, kw_only=True)
class Document:
    """What the document says.

    Attributes:
        schemas: the components, by their names.
        sent, received: names of components that requests and answers have.
        group_of: which group a component belongs to, ``shared`` for one of several.
    """

    title: str
    operations: tuple[Operation, ...]
    schemas: Mapping[str, Mapping[str, Any]]
    sent: frozenset[str] = frozenset()
    received: frozenset[str] = frozenset()
    group_of: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def groups(self) -> list[str]:
        """The groups of operations."""
        return sorted({operation.group for operation in self.operations})


def read(data: Mapping[str, Any]) -> Document:
    """The document of plain data."""
    schemas = data.get("components", {}).get("schemas", {})
    operations = sorted(_operations(data, schemas), key=lambda operation: operation.id)
    doubled = {a.id for a, b in pairwise(operations) if a.id == b.id}
    if doubled:
        raise SystemExit(f"operation ids must be unique: {sorted(doubled)}")
    used: dict[str, set[str]] = defaultdict(set)
    sent, received = set[str](), set[str]()
    for operation in operations:
        asked = closure([operation.body, *(item.schema for item in operation.parameters)], schemas)
        given = closure([operation.answer, {"$ref": f"#/{operation.page}"} if operation.page else None], schemas)
        sent |= asked
        received |= given
        for name in asked | given:
            used[name].add(operation.group)
    return Document(
        title=data["info"]["title"],
        operations=tuple(operations),
        schemas=schemas,
        sent=frozenset(sent),
        received=frozenset(received),
        group_of={name: next(iter(groups)) if len(groups) == 1 else "shared" for name, groups in used.items()},
    )


def _operations(data: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Operation]:
    for path, item in data["paths"].items():
        for method in METHODS:
            if (found := item.get(method)) is not None:
                parameters = [*item.get("parameters", ()), *found.get("parameters", ())]
                yield _operation(path, method, {**found, "parameters": parameters}, schemas)


def _operation(path: str, method: str, found: Mapping[str, Any], schemas: Mapping[str, Any]) -> Operation:
    parameters = [
        Parameter(
            name=item["name"],
            where=item["in"],
            required=item.get("required", False),
            schema=item.get("schema", {}),
            description=item.get("description", ""),
        )
        for item in found.get("parameters", ())
        if item["in"] != "cookie"
    ]
    names = {item.name.casefold() for item in parameters if item.where != "path"}
    body = found.get("requestBody", {})
    content = body.get("content", {})
    body_type = JSON if JSON in content else next(iter(content), JSON)
    kind, answer = _answer(found["responses"])
    cursor = next((name for name in CURSORS if name in names), None)
    page = ref_name(answer or {})
    item = _item_of(schemas.get(page or "", {})) if cursor else None
    return Operation(
        id=found["operationId"],
        method=method.upper(),
        path=path,
        group=snake((found.get("tags") or ["service"])[0]),
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        parameters=tuple(
            item for item in parameters if item.where == "path" or not _by_the_client(item.name.casefold(), kind)
        ),
        kind="page" if item is not None else kind,
        answer=item if item is not None else answer,
        page=page if item is not None else None,
        cursor=cursor if item is not None else None,
        body=content.get(body_type, {}).get("schema") if content else None,
        body_type=body_type,
        body_required=body.get("required", False),
        in_project="project" in names,
        keyed="idempotency-key" in names or method == "post",
    )


def _by_the_client(name: str, kind: Kind) -> bool:
    return name in BY_THE_CLIENT or (kind == "events" and name in CURSORS)


def _answer(responses: Mapping[str, Any]) -> tuple[Kind, Mapping[str, Any] | None]:
    codes = [code for code in sorted(responses) if code.startswith("2")]
    contents = [responses[code]["content"] for code in codes if responses[code].get("content")]
    content: dict[str, Any] = contents[0] if contents else {}
    if EVENTS in content:
        return "events", None
    if not content:
        return "nothing", None
    if len(content) > 1:
        return "bytes", None  # which of them depends on the arguments
    if JSON in content:
        return "json", content[JSON].get("schema", {})
    return ("text" if next(iter(content)).startswith("text/") else "bytes"), None


def _item_of(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a page has many of; None for what is no page."""
    properties = schema.get("properties", {})
    return properties["data"].get("items") if {"data", "next"} <= properties.keys() else None


def refs(value: Any) -> Iterator[str]:
    """The components that a schema names."""
    if isinstance(value, dict):
        schema = cast("dict[str, Any]", value)
        if name := ref_name(schema):
            yield name
        for item in schema.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from refs(item)


def closure(roots: Sequence[Any], schemas: Mapping[str, Any]) -> set[str]:
    """The components that schemas name, and those that these name."""
    found, waiting = set[str](), list(refs(list(roots)))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += refs(schemas[name])
    return found


def ref_name(schema: Mapping[str, Any]) -> str | None:
    """The component that a schema is; None if it is none."""
    named = schema.get("$ref")
    return named.rpartition("/")[2] if isinstance(named, str) else None


def snake(name: str) -> str:
    """A name as one of Python's variables."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    found = re.sub(r"\W+", "_", parts).strip("_").lower()
    return f"{found}_" if keyword.iskeyword(found) else found


def pascal(name: str) -> str:
    """A name as one of Python's classes."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", name) if part)
