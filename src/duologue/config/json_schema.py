"""JSON Schema: objects for structured output, and validators, compiled once and kept (extra ``checks``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from duologue.errors import MissingExtraError


def closed_object(**properties: Any) -> dict[str, Any]:
    """The schema of an object with exactly these properties, as strict structured output asks for it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_validator(schema: Mapping[str, Any], feature: str) -> Any:
    """A validator of the package ``jsonschema`` that follows no references to other files.

    Args:
        schema: draft 2020-12, unless its ``$schema`` says otherwise.
        feature: what needs it, for the error where the package is missing.

    Raises:
        ValueError: it is no JSON Schema; the message says what is expected.
        MissingExtraError: the extra ``checks`` is not installed.
    """
    return _validator(json.dumps(schema, sort_keys=True), feature)


@lru_cache(maxsize=256)
def _validator(schema_text: str, feature: str) -> Any:
    schema = json.loads(schema_text)
    try:
        jsonschema = import_module("jsonschema")
        registry = import_module("referencing").Registry()
    except ImportError as error:
        raise MissingExtraError(feature, "checks", "jsonschema") from error
    cls = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        cls.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"a JSON Schema: {error.json_path}: {error.message}") from error
    return cls(schema, registry=registry)
