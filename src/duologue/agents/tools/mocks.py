"""Tools that answer what the suite says: a fixed value, or a template that is filled with the arguments."""

from __future__ import annotations

import json

from duologue.agents.tools.answers import Occasion, Result, Run, written
from duologue.agents.tools.media import parts_from
from duologue.config.templates import Template, as_text, within_json_string
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue
from duologue.specs.prompts import Tool
from duologue.specs.suite import Suite


def mock(tool: Tool, suite: Suite) -> Run:
    """What runs a tool whose answer is written in the suite. Files are read now.

    Args:
        tool: without a written answer, it answers ``{}``.
        suite: what paths are relative to.

    Raises:
        ConfigurationError: a file cannot be read, or a template cannot be filled.
    """
    parts = parts_from(tool.mock_parts, suite, where=f"tool '{tool.name}': mock_parts")
    template = _template(tool, suite)
    if template is None:
        value: JsonValue = tool.mock_result
        if value is None and not parts:
            value = {}
        fixed = Result(value=value, parts=parts, text="" if value is None else written(value))

        async def say(arguments: dict[str, JsonValue], occasion: Occasion) -> Result:
            return fixed

        return say

    async def fill(arguments: dict[str, JsonValue], occasion: Occasion) -> Result:
        return Result(value=_value(template, arguments), parts=parts)

    return fill


def _template(tool: Tool, suite: Suite) -> Template | None:
    if tool.mock_template is not None:
        return Template(tool.mock_template, where=f"tool '{tool.name}': mock_template")
    if tool.mock_template_file is None:
        return None
    path = suite.path(tool.mock_template_file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"tool '{tool.name}': mock_template_file: {path} cannot be read: {error}") from error
    return Template(text, where=str(path))


def _value(template: Template, arguments: dict[str, JsonValue]) -> JsonValue:
    """The filled template as JSON if it is some, else as ``{"result": text}``.

    Values are escaped at first: a quotation mark in an argument must not end a text of the template.
    """
    for encode in (within_json_string, as_text):
        try:
            return json.loads(template.render(arguments, encode))
        except (ValueError, RecursionError):
            continue
    return {"result": template.render(arguments)}
