"""Tools that answer what the suite says: a fixed value, or a template that is filled with the arguments.

Tools that run where the user is are mocked as well; they may ask the user for consent, and the turn of the scenario
says what the user answers.
"""

from __future__ import annotations

import json

from duologue.agents.tools.call import CallContext, Result, Run, ToolFault, written
from duologue.agents.tools.media import parts_from
from duologue.config.go_functions import TemplateValueError
from duologue.config.go_templates import GoTemplate
from duologue.config.templates import as_text, within_json_string
from duologue.errors import ConfigurationError
from duologue.journal.notes import ConsentGiven
from duologue.messages import JsonValue
from duologue.specs.agent_definition import ToolSource
from duologue.specs.prompts import Tool

_AN_ERROR = {None, "", "error"}
_A_RESULT = {"fallback", "skip", "ignore", "continue", "message", "inform"}
"""Words of a decline strategy that tell the model in our own words, but not as an error."""


def mock(tool: Tool, suite: ToolSource) -> Run:
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

        async def say(arguments: dict[str, JsonValue], context: CallContext) -> Result:
            return fixed

        return say

    async def fill(arguments: dict[str, JsonValue], context: CallContext) -> Result:
        try:
            return Result(value=_value(template, arguments), parts=parts)
        except TemplateValueError as error:
            raise ToolFault(f"tool {tool.name}: its mock_template cannot be filled in: {error}") from error

    return fill


def _template(tool: Tool, suite: ToolSource) -> GoTemplate | None:
    if tool.mock_template is not None:
        return GoTemplate(tool.mock_template, where=f"tool '{tool.name}': mock_template")
    if tool.mock_template_file is None:
        return None
    path = suite.path(tool.mock_template_file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"tool '{tool.name}': mock_template_file: {path} cannot be read: {error}") from error
    return GoTemplate(text, where=str(path))


def _value(template: GoTemplate, arguments: dict[str, JsonValue]) -> JsonValue:
    """The filled template as JSON if it is some, else as ``{"result": text}``.

    Values are escaped at first: a quotation mark in an argument must not end a text of the template.
    """
    for encode in (within_json_string, as_text):
        try:
            return json.loads(template.render(arguments, encode))
        except (ValueError, RecursionError):
            continue
    return {"result": template.render(arguments)}


def with_consent(tool: Tool, answer: Run) -> Run:
    """What runs a tool of the user's: asks where consent is required, then gives the answer that the suite says."""
    rule = tool.client.consent if tool.client else None
    if rule is None or not rule.required:
        return answer

    async def ask(arguments: dict[str, JsonValue], context: CallContext) -> Result:
        said = context.turn.consent.get(tool.name) if context.turn else None
        _note(tool, said, rule.message, context)
        if said == "deny":
            raise _declined(tool.name, rule.decline_strategy)
        if said == "timeout":
            raise ToolFault(f"tool {tool.name}: timed out: the user did not answer the question for consent")
        return await answer(arguments, context)

    return ask


def _note(tool: Tool, said: str | None, question: str | None, context: CallContext) -> None:
    """Keep what was answered; ``assumed`` if the scenario does not say and consent was taken for granted."""
    context.scope.note(
        ConsentGiven(
            tool=tool.name,
            call_id=context.call_id,
            answer=said or "grant",
            assumed=said is None,
            question=question or None,
        )
    )


def _declined(name: str, strategy: str | None) -> ToolFault:
    """A tool that was not allowed to run has failed, in whatever words the model learns of it."""
    error = f"the user declined to let the tool {name} run"
    if strategy in _AN_ERROR:
        return ToolFault(error)
    return ToolFault(
        error, message_for_model=f"The user declined to let the tool {name} run." if strategy in _A_RESULT else strategy
    )
