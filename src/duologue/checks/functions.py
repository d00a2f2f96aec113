"""Functions of your own as types of checks: their keyword parameters become the parameters of the type."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar, get_args, get_type_hints

from pydantic import create_model

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.subject import Subject
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckInput, CheckOutcome
from duologue.errors import CheckError, ConfigurationError
from duologue.models.resources import Resources

FunctionResult = bool | float | None | Finding | CheckOutcome


def as_type(target: Any, kind: str) -> type[CheckType]:
    """The type of check that a class or a function defines.

    Raises:
        ConfigurationError: it defines none.
    """
    if inspect.isclass(target):
        if not issubclass(target, CheckType):
            raise ConfigurationError(f"the check '{kind}' is a {target.__name__}; expected a CheckType or a function")
        return target
    function = target if inspect.isroutine(target) else type(target).__call__
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(target).parameters
    takes_state = _takes_state(kind, next(iter(parameters.values()), None), hints)
    fields: dict[str, Any] = {}
    for name, parameter in [*parameters.items()][1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    name = f"{function.__module__}.{function.__qualname__}"
    made = create_model(name, __base__=_FunctionType, __module__=function.__module__, **fields)
    made.function = staticmethod(target)
    made.takes_state = takes_state
    made.__doc__ = inspect.getdoc(target)
    return made


def _takes_state(kind: str, first: inspect.Parameter | None, hints: dict[str, Any]) -> bool:
    """Whether a function is to be given the state; otherwise it is given a CheckInput.

    Raises:
        ConfigurationError: it takes neither.
    """
    wanted = (
        f"the check '{kind}': expected a function of the state (duologue.ScenarioState) or of a duologue.CheckInput"
    )
    if first is None or first.kind is first.KEYWORD_ONLY:
        raise ConfigurationError(f"{wanted}; found one that takes no argument")
    hint = hints.get(first.name)
    if hint is None:
        return first.name == "state"
    kinds = [item for item in _classes_in(hint) if item is not type(None)]
    if any(issubclass(ScenarioState, item) and item is not object for item in kinds):
        return True
    if kinds and not any(issubclass(CheckInput, item) for item in kinds):
        raise ConfigurationError(f"{wanted}; found one that takes a {kinds[0].__name__} ('{first.name}')")
    return False


def _classes_in(hint: Any) -> Iterable[type]:
    """The classes of an annotation: each of a union, and the one that is annotated."""
    if inspect.isclass(hint):
        return [hint]
    return [item for part in get_args(hint) for item in _classes_in(part)]


class _FunctionType(CheckType):
    """A function as a type of check."""

    function: ClassVar[Any]
    takes_state: ClassVar[bool] = False

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        seen = subject.input.state if self.takes_state else _seen_by(subject)
        value = type(self).function(seen, **{name: getattr(self, name) for name in self._given()})
        if inspect.isawaitable(value):
            value = await value
        return _as_finding(value, type(self).__name__)

    def _given(self) -> list[str]:
        return list(type(self).model_fields)


def _seen_by(subject: Subject) -> CheckInput:
    input = subject.input
    if subject.records is input.records:
        return input
    return CheckInput(state=input.state, records=subject.records, turn=input.turn, scope=input.scope)


def _as_finding(value: FunctionResult, name: str) -> Finding:
    match value:
        case Finding():
            return value
        case CheckOutcome():
            return Finding(
                status=value.status,
                score=value.score,
                explanation=value.explanation,
                message_ids=value.message_ids,
                details=value.details,
            )
        case None:
            return finding(True)
        case bool() | int() | float() if 0 <= value <= 1:
            return finding(value)
        case _:
            raise CheckError(
                f"the check '{name}' returned {value!r}; expected True, False, None, a score between 0 and 1, "
                "a Finding or a CheckOutcome",
                who=name,
            )
