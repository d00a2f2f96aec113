"""JSON Schemas in the form that OpenAI's strict mode takes."""

from __future__ import annotations

import re
from typing import Any, cast

Json = dict[str, Any]

_NOT_IN_STRICT_MODE = frozenset(
    "minLength maxLength patternProperties unevaluatedProperties propertyNames minProperties maxProperties "
    "unevaluatedItems contains minContains maxContains uniqueItems oneOf allOf not if default dependentRequired "
    "dependentSchemas".split()
)
_FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid".split())
_DECORATION = frozenset({"title", "$schema", "discriminator", "examples"})
_TYPES = frozenset({"type", "$ref", "anyOf", "enum", "const"})
_LOCAL_DEFINITION = re.compile(r"#|#/(\$defs|definitions)/[^/]+")
_LOOKAROUND = re.compile(r"\(\?(=|!|<=|<!)")


class _OpenSchemaError(ValueError):
    """A schema that strict mode cannot express."""


def strict_schema(schema: Json) -> Json | None:
    """The same schema in the form of OpenAI's strict mode, or None where it cannot be said in it.

    Strict mode wants every object closed and every property required, and knows only some keywords
    (https://platform.openai.com/docs/guides/structured-outputs). Nothing is left out or made required for its sake: a
    schema that needs more is sent as it is, and then it is up to the model to keep to it.
    """
    try:
        strict = cast("Json", _strict(schema))
    except (_OpenSchemaError, AttributeError, TypeError, RecursionError):  # or it is no JSON Schema at all
        return None
    return strict if strict.get("type") == "object" and "anyOf" not in strict else None


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        raise _OpenSchemaError
    node = {key: value for key, value in cast("Json", schema).items() if key not in _DECORATION}
    if _NOT_IN_STRICT_MODE & node.keys() or node.get("format", "date") not in _FORMATS:
        raise _OpenSchemaError
    if _LOOKAROUND.search(str(node.get("pattern", ""))):
        raise _OpenSchemaError
    if (reference := node.get("$ref")) is not None:
        if not _LOCAL_DEFINITION.fullmatch(str(reference)):
            raise _OpenSchemaError
        if len(node) > 1:  # no siblings are allowed beside a reference
            del node["$ref"]
            node["anyOf"] = [{"$ref": reference}]
    for keyword in ("$defs", "definitions"):
        if keyword in node:
            node[keyword] = {name: _strict(value) for name, value in node[keyword].items()}
    if "anyOf" in node:
        node["anyOf"] = [_strict(option) for option in node["anyOf"]]
    kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    if "object" in kinds or "properties" in node:
        _close(node)
    if "array" in kinds or "items" in node:
        if not isinstance(node.get("items"), dict) or not _TYPES & node["items"].keys():
            raise _OpenSchemaError
        node["items"] = _strict(node["items"])
    return node


def _close(node: Json) -> None:
    properties = cast("Json", node.get("properties") or {})
    if node.get("additionalProperties", False) is not False or set(properties) - set(node.get("required", ())):
        raise _OpenSchemaError
    node["properties"] = {name: _strict(value) for name, value in properties.items()}
    node["required"] = list(properties)
    node["additionalProperties"] = False
