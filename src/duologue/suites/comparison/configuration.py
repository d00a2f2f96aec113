"""What two executions have configured in another way: prompt, tools, models, judge, simulated user.

Three sources say it. Every result carries digests of what decided it, so that a changed part is always found. The
execution says in words what agents, models, judges and tools were, if it was made by a suite. And the runs themselves
say what the agent's instruction was, and which models answered.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from duologue.suites.comparison.details import Matched
from duologue.suites.comparison.values import ConfigurationChange
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult

CONFIGURATION = "configuration"
"""The part of an execution's environment that says it in words."""
_PARTS = (
    *("agent", "agent prompt", "agent model", "tools", "simulated user", "judge", "checks", "scenario", "recording"),
    "settings",
)
_DIFF_LINES = 60


def configuration_changes(
    first: ExecutionResult, second: ExecutionResult, matched: Sequence[Matched]
) -> Iterator[ConfigurationChange]:
    """The changes between two executions, the agent's first."""
    changed = _changed_parts(matched)
    named = _said(first, second)
    for part in dict.fromkeys((*_PARTS, *changed, *named)):
        details = [*named.get(part, ())]
        if part == "agent prompt":
            details += _prompts(matched)
        if part in _ROLES and not details:
            details += _models(part, matched)
        if details:
            yield from (_counted(change, changed.get(part)) for change in details)
        elif part in changed:
            yield ConfigurationChange(part=part, cases=changed[part])


def _counted(change: ConfigurationChange, cases: int | None) -> ConfigurationChange:
    return ConfigurationChange(
        part=change.part, name=change.name, first=change.first, second=change.second, diff=change.diff, cases=cases
    )


def _changed_parts(matched: Sequence[Matched]) -> dict[str, int]:
    """Parts whose digests differ, and in how many cases."""
    found: dict[str, int] = {}
    for case in matched:
        before, after = case.first[0].definition, case.second[0].definition
        if before and after:
            for part in {**before, **after}:
                if before.get(part) != after.get(part):
                    found[part] = found.get(part, 0) + 1
    return found


def _said(first: ExecutionResult, second: ExecutionResult) -> dict[str, list[ConfigurationChange]]:
    """What the executions say in words, by part."""
    before, after = _words(first), _words(second)
    found: dict[str, list[ConfigurationChange]] = {}
    if not before or not after:
        return found
    for part in {**before, **after}:
        one, other = before.get(part, {}), after.get(part, {})
        changes = [
            ConfigurationChange(part=part, name=name, first=one.get(name), second=other.get(name))
            for name in {**one, **other}
            if one.get(name) != other.get(name)
        ]
        if changes:
            found[part] = changes
    return found


def _words(execution: ExecutionResult) -> Mapping[str, Mapping[str, str]]:
    found: object = execution.environment.get(CONFIGURATION)
    if not isinstance(found, Mapping):
        return {}
    parts = cast("Mapping[str, object]", found)
    return {
        part: {name: str(value) for name, value in cast("Mapping[str, Any]", named).items()}
        for part, named in parts.items()
        if isinstance(named, Mapping)
    }


def _prompts(matched: Sequence[Matched]) -> Iterator[ConfigurationChange]:
    """Instructions that the agents of matched runs were given, where they differ; each pair once."""
    seen: set[tuple[str, str]] = set()
    for case in matched:
        before, after = case.first[0].system_prompts, case.second[0].system_prompts
        for one, other in zip(before, after, strict=False):
            if one != other and (one, other) not in seen:
                seen.add((one, other))
                yield ConfigurationChange(part="agent prompt", name=case.title, diff=tuple(_diff(one, other)))


def _diff(one: str, other: str) -> Iterator[str]:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=1)
    kept = [line for line in lines if not line.startswith(("---", "+++"))]
    yield from kept[:_DIFF_LINES]
    if len(kept) > _DIFF_LINES:
        yield f"… and {len(kept) - _DIFF_LINES} more lines"


_ROLES = {"agent model": "assistant", "simulated user": "user"}


def _models(part: str, matched: Sequence[Matched]) -> Iterator[ConfigurationChange]:
    """The models that have answered, where they differ."""
    role = _ROLES[part]
    before = sorted({model for case in matched for run in case.first for model in _answered(run, role)})
    after = sorted({model for case in matched for run in case.second for model in _answered(run, role)})
    if before != after and (before or after):
        yield ConfigurationChange(
            part=part, name="model", first=", ".join(before) or None, second=", ".join(after) or None
        )


def _answered(run: RunResult, role: str) -> Iterator[str]:
    return (item.model for item in run.messages if item.model and item.message["role"] == role)
