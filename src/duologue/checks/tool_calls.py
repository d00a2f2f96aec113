"""Which tools the agent called, how often and with what. Calls of the turn in a turn check, all of them otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.registry import Alias, check
from duologue.checks.subject import Call, Subject, arguments_wrong, ids_of, listed, named, same
from duologue.checks.text import Json, OneOrMore, Texts
from duologue.config.patterns import Pattern, found
from duologue.messages import JsonValue
from duologue.models.resources import Resources
from duologue.vocabulary import Scope


def session(name: str, **given: Any) -> Alias:
    """The other name of a type that looks at the conversation so far."""
    return Alias(name, given, whole=True, scope=Scope.CONVERSATION)


@check("tools_called", aliases=["tool_called", session("tools_called_session")], family="Tools")
class ToolsCalled(CheckType):
    """Every one of these tools was called successfully. The score is the share that was."""

    renamed: ClassVar = {"tool_names": "tools", "tool": "tools", "tool_name": "tools"}

    tools: OneOrMore
    """Tool names, such as ``["search_orders"]``. One name may be given without a list."""
    min_calls: int = Field(default=1, ge=1)
    """Minimum number of calls of each tool."""
    max_calls: int | None = Field(default=None, ge=1)
    """Maximum number of calls of each tool. If one is called more often, the score is 0."""
    ignore_validation: bool = False
    """Whether calls that were rejected for invalid arguments count as well."""
    require_args: bool = False
    """Whether only calls with arguments count."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        counted = [call for call in subject.calls if call.name in self.tools and self._counts(call)]
        counts = {tool: len(named(counted, tool)) for tool in self.tools}
        missing = [tool for tool, count in counts.items() if count < self.min_calls]
        over = [tool for tool, count in counts.items() if self.max_calls is not None and count > self.max_calls]
        failed = [call.shown() for call in subject.calls if call.name in self.tools and call.error]
        told = f"called: {listed([tool for tool in counts if tool not in missing])}"
        if missing:
            often = f" {self.min_calls} times" if self.min_calls > 1 else ""
            told = f"not called{often}: {listed(missing)}" + (f" (failed calls: {len(failed)})" if failed else "")
        if over:
            told = f"called more than {self.max_calls} times: {listed(over)}"
        score = 0.0 if over else 1 - len(missing) / len(counts)
        return finding(score, told, ids_of(counted), calls=counts, failed=failed)

    def _counts(self, call: Call) -> bool:
        worked = call.error is None or (self.ignore_validation and call.invalid)
        return worked and (bool(call.arguments) or not self.require_args)


@check("tools_not_called", aliases=["tool_not_called", session("tools_not_called_session")], family="Tools")
class ToolsNotCalled(CheckType):
    """None of these tools was called, not even unsuccessfully."""

    forbids_calls: ClassVar[bool] = True
    renamed: ClassVar = {"tool_names": "tools"}

    tools: Texts
    """Tool names."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = [call for call in subject.calls if call.name in self.tools]
        called = listed(dict.fromkeys(call.name for call in calls))
        told = f"called: {called}" if calls else f"not called: {listed(self.tools)}"
        violations = [{"turn_index": call.turn, **call.shown()} for call in calls]
        return finding(not calls, told, ids_of(calls), violations=violations)


@check("tool_args", aliases=[session("tool_args_session")], family="Tools")
class ToolArgs(CheckType):
    """At least one call of the tool has these arguments."""

    renamed: ClassVar = {"tool": "tool_name", "required_args": "expected_args"}

    tool_name: str = Field(min_length=1)
    """Tool name."""
    expected_args: dict[str, Json] = Field(min_length=1)
    """Argument names with expected values, such as ``{city: Bern}``. null requires only that the argument is
    present."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        return _any_or_every(self.tool_name, subject, self._wrong, every=False)

    def _wrong(self, call: Call) -> list[str]:
        return arguments_wrong(call, self.expected_args)


@check("tool_calls_with_args", family="Tools")
class ToolCallsWithArgs(CheckType):
    """The tool was called, and every call meets all of these conditions."""

    renamed: ClassVar = {"tool": "tool_name", "required_args": "expected_args"}

    tool_name: str | None = None
    """Tool name. Default: all tools."""
    expected_args: dict[str, Json] = Field(default={})
    """Argument names with expected values, such as ``{city: Bern}``. null requires only that the argument is
    present."""
    args_match: dict[str, Pattern] = Field(default={})
    """Argument names with regular expressions that their values must match."""
    result_includes: list[str] = Field(default=[])
    """Texts that every result must contain. Case is ignored."""
    result_matches: Pattern | None = None
    """Regular expression that every result must match."""
    no_error: bool = False
    """Whether calls must succeed."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        asked = self.expected_args or self.args_match or self.result_includes or self.result_matches or self.no_error
        if not asked and not self.tool_name:
            raise ValueError("tool_name, expected_args, args_match, result_includes, result_matches or no_error")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        return _any_or_every(self.tool_name, subject, self._wrong, every=True)

    def _wrong(self, call: Call) -> list[str]:
        return call_wrong(call, self)


@check(
    "tool_args_excluded",
    aliases=[session("tool_args_excluded_session"), session("tools_not_called_with_args")],
    family="Tools",
)
class ToolArgsExcluded(CheckType):
    """No call of the tool passes a forbidden value in one of these arguments."""

    forbids_calls: ClassVar[bool] = True
    renamed: ClassVar = {"tool": "tool_name", "excluded_args": "forbidden_args"}

    tool_name: str | None = None
    """Tool name. Default: all tools."""
    forbidden_args: dict[str, Json] = Field(min_length=1)
    """Argument names, each with a forbidden value or a list of them. null forbids the argument altogether."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = named(subject.calls, self.tool_name)
        hits = [(call, name) for call in calls for name in self.forbidden_args if self._forbidden(call, name)]
        told = "; ".join(f"{call.name} was called with {name}={call.arguments[name]!r}" for call, name in hits)
        violations = [{"turn_index": call.turn, "argument": name, **call.shown()} for call, name in hits]
        return finding(
            not hits,
            told or f"none of {len(calls)} calls has such an argument",
            ids_of(call for call, _ in hits),
            violations=violations,
        )

    def _forbidden(self, call: Call, name: str) -> bool:
        if name not in call.arguments:
            return False
        forbidden = self.forbidden_args[name]
        values = cast("list[JsonValue]", forbidden) if isinstance(forbidden, list) else [forbidden]
        return any(value is None or same(call.arguments[name], value) for value in values)


@check("tool_call_count", family="Tools")
class ToolCallCount(CheckType):
    """The number of tool calls is within limits."""

    renamed: ClassVar = {"tool_name": "tool", "min_calls": "min", "max_calls": "max"}

    tool: str | None = None
    """Tool name. Default: calls of all tools are counted."""
    min: int | None = Field(default=None, ge=0)
    """Minimum number of calls."""
    max: int | None = Field(default=None, ge=0)
    """Maximum number of calls."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max is None and not self.min:
            raise ValueError("min or max: a count without a limit cannot fail")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = named(subject.calls, self.tool)
        count = len(calls)
        good = (self.min is None or count >= self.min) and (self.max is None or count <= self.max)
        limits = f"at least {self.min or 0}" + (f" and at most {self.max}" if self.max is not None else "")
        of = f" of '{self.tool}'" if self.tool else ""
        return finding(good, f"{count} calls{of}, {limits} expected", ids_of(calls), count=count)


def call_wrong(call: Call, wanted: Any) -> list[str]:
    """What is wrong with a call. ``wanted`` is a ToolCallsWithArgs, or a step of a chain."""
    wrong = arguments_wrong(call, getattr(wanted, "expected_args", {}), wanted.args_match)
    result = call.result or ""
    lacking = [text for text in wanted.result_includes if text.casefold() not in result.casefold()]
    if lacking:
        wrong.append(f"{call.name}'s answer lacks {listed(lacking)}")
    if wanted.result_matches is not None and found(wanted.result_matches, result) is None:
        wrong.append(f"{call.name}'s answer does not match {wanted.result_matches!r}")
    if wanted.no_error and call.error:
        wrong.append(f"{call.name} failed: {call.error[:200]}")
    return wrong


def _any_or_every(
    tool: str | None, subject: Subject, wrong_with: Callable[[Call], list[str]], *, every: bool
) -> Finding:
    calls = named(subject.calls, tool)
    if not calls:
        return finding(False, f"'{tool}' was not called" if tool else "no tool was called", calls=[])
    faults = [wrong_with(call) for call in calls]
    right = [call for call, wrong in zip(calls, faults, strict=True) if not wrong]
    good = len(right) == len(calls) if every else bool(right)
    told = f"{len(right)} of {len(calls)} calls are as expected"
    if not good:
        told = "; ".join(dict.fromkeys(fault for wrong in faults for fault in wrong))
    return finding(good, told, ids_of(calls if not good else right), calls=[call.shown() for call in calls])
