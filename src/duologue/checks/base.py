"""What every check of the catalogue consists of: parameters, conditions, a finding, thresholds, an outcome.

A type of check is a frozen model of its parameters with one method, ``look``. Everything else is common to all types
and lives here: when a check applies, which score passes, that a tool that fails is an error, not a verdict, and what
is said of parameters that are wrong.
"""

import difflib
import json
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache, cached_property
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from duologue.checks.subject import CallsUnknownError, Subject, unsupported_tool
from duologue.config.patterns import SlowPatternError, found
from duologue.config.spec import Spec
from duologue.errors import ConfigurationError, JudgeError, ModelError
from duologue.frozen import frozen
from duologue.models.resources import Resources
from duologue.own_model import OwnModel
from duologue.specs.checks import When
from duologue.specs.prompts import missing_feature
from duologue.vocabulary import CheckStatus, Scope

if TYPE_CHECKING:
    from duologue.conversation.setup import CheckInput, CheckOutcome


@frozen
class Finding:
    """What a check found, before thresholds are applied.

    Attributes:
        score: 0 to 1. A check with two outcomes gives 1 for the good one and 0 for the other.
        passed: a decision beside the score, such as a judge's; None leaves it to the score.
        status: skipped or error, if nothing could be decided; None otherwise.
        explanation: one sentence.
        message_ids: IDs of the messages that the finding is based on.
        details: for reports: what was looked for and what was found.
    """

    score: float | None = None
    passed: bool | None = None
    status: CheckStatus | None = None
    explanation: str = ""
    message_ids: list[str] = field(default_factory=list[str])
    details: dict[str, Any] = field(default_factory=dict[str, Any])


def finding(
    score: float | bool, explanation: str = "", message_ids: list[str] | None = None, **details: Any
) -> Finding:
    """A finding with a score between 0 and 1, or True for 1 and False for 0."""
    bounded = 0.0 if score <= 0 else 1.0 if score >= 1 else float(score)
    return Finding(score=bounded, explanation=explanation, message_ids=message_ids or [], details=details)


def skipped(reason: str, **details: Any) -> Finding:
    """A finding for when there is nothing to look at, which is nobody's fault."""
    return Finding(status=CheckStatus.SKIPPED, explanation=reason, details=details)


def broken(reason: str, **details: Any) -> Finding:
    """A finding for when the check could not decide. It says nothing about the agent."""
    return Finding(status=CheckStatus.ERROR, explanation=reason, details=details)


class CheckType(OwnModel):
    """A type of check: its fields are the parameters, ``look`` is what it does.

    Parameters are strict: unknown, missing and mistyped ones are rejected, never ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    kind: ClassVar[str] = ""
    """The registered type; set by the registry."""
    family: ClassVar[str] = ""
    """The heading in the catalogue; set by the registry."""
    looks_for: ClassVar[str | None] = None
    """The tool whose calls it looks for, if its parameters do not name it."""
    forbids_calls: ClassVar[bool] = False
    """Whether it fails because of calls that were made, so that a failure holds whatever else could not be called."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Alternative names of parameters, each with the name of the field."""

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        for name in type(self).model_fields:
            low, high = getattr(self, name), getattr(self, f"max{name[3:]}", None)
            if name.startswith("min") and _is_number(low) and _is_number(high) and low > high:
                raise ValueError(f"{name} of at most max{name[3:]}, which is {high:g}, so that something can pass")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding | Awaitable[Finding]:
        """Look at the conversation and return a finding, or a coroutine that does."""
        raise NotImplementedError

    def problems(self, resources: Resources) -> list[str]:
        """What is wrong with the parameters, given the resources; [] if nothing is."""
        return []

    def require(self, resources: Resources) -> None:
        """Look for what it needs here beside the conversation, such as the key of a model; nothing is asked.

        Raises:
            ConfigurationError: something is missing.
        """


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_CATALOGUE = f"{__package__}."
_ABOUT_CALLS = ("Tools", "Agents and skills")


def _texts(value: object) -> Iterator[str]:
    """Every text in the parameters of a check."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _texts(inner)


def unmet(when: When, subject: Subject) -> str | None:
    """The first condition that does not hold, as a clause; None if all do."""
    names = [call.name for call in subject.calls]
    if when.tool_called is not None and when.tool_called not in names:
        return f"'{when.tool_called}' was not called"
    pattern = when.tool_called_pattern
    if pattern is not None and not any(found(pattern, name) is not None for name in names):
        return f"no tool was called whose name matches {pattern!r}"
    if when.any_tool_called is not None and when.any_tool_called != bool(names):
        return "no tool was called" if when.any_tool_called else f"a tool was called: '{names[0]}'"
    if when.min_tool_calls is not None and len(names) < when.min_tool_calls:
        return f"{len(names)} tool calls were made, fewer than {when.min_tool_calls}"
    return None


@frozen
class CatalogueCheck:
    """A check of the catalogue, ready to be evaluated. Created by :func:`duologue.checks.registry`.

    Attributes:
        name: its name in reports.
        kind: the registered type.
        scope: whether it is evaluated after each turn, or once for the conversation.
        written_as: the type as it was written: the kind, or an alias.
        test: the parameters.
        whole: whether it looks at the conversation so far, even if it is evaluated after each turn.
        min_score, max_score: bounds of a passing score. Without them the score must be 1, or the decision a pass.
        message: what reports say when it does not pass.
        pass_threshold: share of trials that must pass, 0 to 1; for whoever runs the trials.
        when: when it applies; None for always.
        resources: judges, classifiers and embedders that it may use.
    """

    name: str
    kind: str
    scope: Scope
    written_as: str
    test: CheckType
    whole: bool = False
    min_score: float | None = None
    max_score: float | None = None
    message: str | None = None
    pass_threshold: float | None = None
    when: When | None = None
    resources: Resources = field(default_factory=Resources)

    @cached_property
    def asks_nobody(self) -> bool:
        """Whether nothing outside is asked, so that nothing has to be kept before the check is evaluated."""
        look = type(self.test).look
        return look.__module__.startswith(_CATALOGUE) and not iscoroutinefunction(look)

    async def evaluate(self, input: "CheckInput") -> "CheckOutcome":
        """Look at the conversation, apply the thresholds and return the outcome.

        If a model, server or configuration fails, or a judge's answer cannot be read, the status is ``error``.
        """
        try:
            return self._outcome(await self._look(input))
        except (ModelError, JudgeError, ConfigurationError, SlowPatternError) as error:
            return self._outcome(broken(str(error), error=type(error).__name__))

    async def _look(self, input: "CheckInput") -> Finding:
        most = self.max_score if self.min_score is None else None
        subject = Subject(input, self.scope, whole=self.whole, least=self.min_score, most=most)
        try:
            reason = unmet(self.when, subject) if self.when else None
            if reason:
                return skipped(f"does not apply: {reason}")
            seen = self.test.look(subject, self.resources)
            seen = seen if isinstance(seen, Finding) else await seen
            unsupported = unsupported_tool(self._features, subject.shown_calls, input.state) if self._features else None
            found_calls = self.test.forbids_calls and seen.score == 0
            return skipped(unsupported) if unsupported and not found_calls else seen
        except CallsUnknownError as error:
            return skipped(str(error))

    @cached_property
    def _features(self) -> tuple[str, ...]:
        """The tools that it names and that only other systems have."""
        if self.test.family not in _ABOUT_CALLS:
            return ()
        named = [self.test.looks_for, *_texts(self.test)]
        return tuple(dict.fromkeys(name for name in named if name and missing_feature(name)))

    def _outcome(self, seen: Finding) -> "CheckOutcome":
        status = seen.status or self._judged(seen)
        explanation = seen.explanation
        if status is CheckStatus.FAILED:
            if self.max_score is not None and seen.score is not None and seen.score > self.max_score:
                explanation = f"{explanation or 'found'}: score {seen.score:.3g} is above {self.max_score:g}"
            if self.message and self.message != self.name:
                explanation = f"{self.message} ({explanation})" if explanation else self.message
        return _outcome_class()(
            status=status,
            score=seen.score,
            explanation=explanation,
            message_ids=seen.message_ids,
            details=seen.details,
        )

    def _judged(self, seen: Finding) -> CheckStatus:
        score, low, high = seen.score, self.min_score, self.max_score
        passed = seen.passed
        if low is None and high is None:
            good = passed if passed is not None else score is not None and score >= 1.0
        else:
            within = score is not None and (low is None or score >= low) and (high is None or score <= high)
            good = within and passed is not False
        return CheckStatus.PASSED if good else CheckStatus.FAILED


@cache
def _outcome_class() -> "type[CheckOutcome]":
    from duologue.conversation.setup import CheckOutcome  # the engine, which nobody needs to read a suite

    return CheckOutcome


S = TypeVar("S", bound=Spec)

_SHOWN = 80
_SHARES = ("min_score", "max_score", "pass_threshold")


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar known name, or ''."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def unknown_type(name: str, known: Iterable[str]) -> ConfigurationError:
    """The error for a type that nobody registered."""
    names = sorted(known)
    return ConfigurationError(
        f"unknown check type '{name}'{nearest(name, names)} Known types: {', '.join(names)}. "
        "To use a function of your own, write 'module:function'."
    )


def refused(label: str, model: type[CheckType], given: Mapping[str, Any], error: ValidationError) -> ConfigurationError:
    """The error for parameters that the model did not take; all of them at once."""
    items = error.errors(include_url=False)
    for item in items:
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ConfigurationError):  # such as a package that is not installed: it says what to do
            return cause
    missing = [str(item["loc"][0]) for item in items if item["type"] == "missing" and len(item["loc"]) == 1]
    told = [_told(model, given, item, missing) for item in items]
    said = "; ".join(told).rstrip(".")
    return ConfigurationError(f"{label}: {said}{'' if said.endswith('?') else '.'} Parameters: {allowed(model)}.")


def validated(model: type[S], written: Mapping[str, Any], label: str) -> S:
    """What is written, as a spec. Raises ConfigurationError with everything that is wrong with it."""
    try:
        return model.model_validate(dict(written))
    except ValidationError as error:
        wrong = [_told_of_field(model, item) for item in error.errors(include_url=False)]
        said = "; ".join(wrong)
        raise ConfigurationError(f"{label}: {said}{'' if said.endswith('?') else '.'}") from error


def allowed(model: type[CheckType]) -> str:
    """The parameters of a type, required ones first, with their other names."""
    fields = sorted(model.model_fields.items(), key=lambda item: not item[1].is_required())
    if not fields:
        return "none"
    return ", ".join(_described(model, name, field.is_required()) for name, field in fields)


def shown(value: Any) -> str:
    """A value for an error message, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def written(name: str) -> str:
    """A parameter as suites write it: one that Python or pydantic would mistake ends in ``_`` in the model."""
    return name.rstrip("_")


def _described(model: type[CheckType], name: str, required: bool) -> str:
    others = [other for other, real in model.renamed.items() if real == name and other != written(name)]
    words = [*(["required"] if required else []), *([f"or {', '.join(others)}"] if others else [])]
    return f"{written(name)} ({'; '.join(words)})" if words else written(name)


def _told_of_field(model: type[Spec], item: Any) -> str:
    path = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        names = {**model.model_fields, **When.model_fields}
        return f"unknown field '{path}' (found {shown(item['input'])}){nearest(str(item['loc'][-1]), names)}"
    if item["type"] == "missing":
        return f"the field '{path}' is missing"
    return f"{path}: found {shown(item['input'])}; expected {_expected(item)}"


def _expected(item: Any) -> str:
    if item["loc"] and item["loc"][-1] in _SHARES:
        return "a number between 0 and 1"
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return text[:1].lower() + text[1:]


def _told(model: type[CheckType], given: Mapping[str, Any], item: Any, missing: list[str]) -> str:
    path = ".".join([written(str(part)) for part in item["loc"]]) or "parameters"
    if item["type"] == "extra_forbidden":
        name = str(item["loc"][-1])
        hint = nearest(name, [*map(written, model.model_fields), *model.renamed]) if len(item["loc"]) == 1 else ""
        if not hint and len(missing) == 1:
            hint = f"; did you mean '{written(missing[0])}'?"
        return f"unknown parameter '{path}' (found {shown(item['input'])}){hint}"
    if item["type"] == "missing":
        return f"the parameter '{path}' is missing"
    where = f"parameter '{path}'" if item["loc"] else "parameters"
    value = item["input"] if item["loc"] else dict(given)
    return f"{where}: found {shown(value)}; expected: {_expected(item)}"
