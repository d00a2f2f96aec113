"""Tools that answer what a test case says, and synthetic answers where nobody says any.

Each call takes the first answer of the test case whose arguments it has; an answer that is used up is given again only
if no other fits. Where none fits, the tool's own mock answers, or one that is made from its output schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from duologue.agents.http.completions import fields_of, list_of
from duologue.agents.tools.bound_tool import BoundTool, schema_of
from duologue.agents.tools.call import CallContext, Result, ToolFault, written
from duologue.agents.tools.mocks import mock
from duologue.messages import JsonValue
from duologue.runtimes.base import ExpectedCall
from duologue.specs.agent_definition import ToolSource
from duologue.specs.prompts import Tool

_DEPTH = 8
"""Levels of a schema that a synthetic answer has."""


class MockedTools:
    """The tools of one test case.

    Attributes:
        synthetic: names of tools whose answer was made from a schema, one for each call.
        unmatched: names of tools that were called with arguments that no answer fits, one for each call.
    """

    def __init__(self, tools: Sequence[Tool], source: ToolSource, expected: Sequence[ExpectedCall]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._source = source
        self._answers = {name: _Answers([call for call in expected if call.tool == name]) for name in self._tools}
        self._bound: dict[str, BoundTool] = {}
        self.synthetic: list[str] = []
        self.unmatched: list[str] = []

    def find(self, name: str, elsewhere: Callable[[str], BoundTool | None]) -> BoundTool | None:
        """The tool of that name; tools that are not mocked are found elsewhere."""
        if name not in self._tools:
            return elsewhere(name)
        if name not in self._bound:
            self._bound[name] = self._bind(self._tools[name])
        return self._bound[name]

    def _bind(self, tool: Tool) -> BoundTool:
        arguments = schema_of(tool.input_schema, tool=tool.name, field="input_schema")
        own = mock(tool, self._source) if _has_mock(tool) else None

        async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
            answers = self._answers[tool.name]
            call = answers.take(arguments)
            if call is not None and call.mock_response is not None:
                return _result(call.mock_response)
            if own is not None:
                return await own(arguments, context)
            if call is None and answers.has_some:
                self.unmatched.append(tool.name)
                raise ToolFault(f"tool {tool.name}: nothing was found for these arguments")
            self.synthetic.append(tool.name)
            return _result(synthetic(tool.output_schema) if tool.output_schema else {"status": "ok"})

        return BoundTool(names=(tool.name,), arguments=arguments, results=None, run=run, outside=False)


class _Answers:
    """What a tool answers in one test case, in order."""

    def __init__(self, calls: Sequence[ExpectedCall]) -> None:
        self._calls = calls
        self._used: set[int] = set()

    @property
    def has_some(self) -> bool:
        """Whether the test case says what the tool answers to anything."""
        return any(call.mock_response is not None for call in self._calls)

    def take(self, arguments: Mapping[str, JsonValue]) -> ExpectedCall | None:
        """The answer to a call with these arguments; one for certain arguments comes before one for any."""
        fitting = [place for place, call in enumerate(self._calls) if matches(call.expected_params or {}, arguments)]
        particular = [place for place in fitting if self._calls[place].expected_params]
        fitting = particular or fitting
        if not fitting:
            return None
        place = next((place for place in fitting if place not in self._used), fitting[-1])
        self._used.add(place)
        return self._calls[place]


def matches(expected: object, found: object) -> bool:
    """Whether a value is what is expected: of objects, every expected field; of everything else, the same value."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return False
        fields = cast("Mapping[str, object]", found)
        wanted = cast("Mapping[str, object]", expected)
        return all(name in fields and matches(value, fields[name]) for name, value in wanted.items())
    if isinstance(expected, list | tuple):
        items = cast("Sequence[object]", expected)
        others = cast("Sequence[object]", found) if isinstance(found, list | tuple) else ()
        return isinstance(found, list | tuple) and len(items) == len(others) and all(map(matches, items, others))
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return expected == found


def synthetic(schema: object, depth: int = _DEPTH) -> JsonValue:
    """A value that a JSON Schema describes: an example or default where it has one, else the simplest of its type."""
    rules = fields_of(schema)
    for name in ("examples", "enum"):
        if values := list_of(rules.get(name)):
            return values[0]
    for name in ("const", "default", "example"):
        if name in rules:
            return rules[name]
    for name in ("oneOf", "anyOf", "allOf"):
        if depth and (options := list_of(rules.get(name))):
            return synthetic(options[0], depth - 1)
    return _simplest(rules, depth)


def _simplest(rules: dict[str, Any], depth: int) -> JsonValue:
    kind: Any = rules.get("type", "object" if "properties" in rules else None)
    kind = next((item for item in list_of(kind) if item != "null"), kind)
    if kind == "object":
        fields = fields_of(rules.get("properties")) if depth else {}
        return {name: synthetic(item, depth - 1) for name, item in fields.items()}
    if kind == "array":
        return [synthetic(rules["items"], depth - 1)] if "items" in rules and depth else []
    simple: dict[Any, JsonValue] = {
        "string": "example",
        "integer": rules.get("minimum", 1),
        "number": rules.get("minimum", 1.0),
        "boolean": True,
    }
    return simple.get(kind) if isinstance(kind, str) else None


def _has_mock(tool: Tool) -> bool:
    given = (tool.mock_result, tool.mock_template, tool.mock_template_file)
    return any(item is not None for item in given) or bool(tool.mock_parts)


def _result(value: Any) -> Result:
    return Result(value=value, text=written(value))
