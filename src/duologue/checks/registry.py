"""The registry of check types, by name and alias, and how a check is made of what a suite wrote.

All of that is checked here: type and parameters, thresholds and conditions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from duologue.checks.base import CatalogueCheck, CheckType, refused, shown, unknown_type, validated
from duologue.config.access import access
from duologue.config.entry_points import load_entry_point, other_entry_points, own_entry_points
from duologue.config.patterns import late
from duologue.config.python_files import load_file
from duologue.config.redaction import redacted, without_secrets
from duologue.errors import ConfigurationError, TargetError
from duologue.frozen import frozen
from duologue.models.resources import Resources
from duologue.specs.checks import CheckSpec, When
from duologue.vocabulary import Scope

BOTH = (Scope.TURN, Scope.CONVERSATION)
GROUP = "duologue.checks"
"""The entry point group of checks. An entry names a type by its name, or a module that registers types."""
_COMPOSITIONS = "it is about a composition of prompts, and Duologue does not run compositions. Remove this check"
UNSUPPORTED = dict.fromkeys(
    (
        "composition_step_output",
        "composition_output",
        "composition_branch_taken",
        "composition_parallel_complete",
    ),
    _COMPOSITIONS,
)
"""Types that other systems have and the catalogue leaves out, each with the reason: their files get a clear error."""

T = TypeVar("T", bound="type[CheckType] | Callable[..., Any]")


@dataclass(frozen=True)
class Alias:
    """An alternative name of a type, and what it implies.

    Attributes:
        name: the alias.
        given: values of parameters, unless they are given.
        whole: whether the check looks at the conversation so far.
        scope: the default scope; None for that of the type.
    """

    name: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    whole: bool = False
    scope: Scope | None = None


@frozen
class CheckInfo:
    """One entry of the catalogue.

    Attributes:
        kind: the registered type.
        family: the heading under which the catalogue lists it.
        parameters: the model of its parameters.
        aliases: alternative names.
        scopes: the scopes that it supports.
        whole: whether it looks at the conversation so far, even if it is evaluated after each turn.
        summary: one line.
    """

    kind: str
    family: str
    parameters: type[CheckType]
    aliases: tuple[Alias, ...]
    scopes: tuple[Scope, ...]
    whole: bool
    summary: str

    @property
    def default_scope(self) -> Scope:
        """Where it is evaluated if nothing is said: in the conversation, if it can be."""
        return Scope.CONVERSATION if Scope.CONVERSATION in self.scopes else self.scopes[0]


_types: dict[str, CheckInfo] = {}
_names: dict[str, tuple[CheckInfo, Alias | None]] = {}


def check(
    kind: str,
    *,
    aliases: Sequence[str | Alias] = (),
    scopes: Sequence[Scope] = BOTH,
    family: str = "own",
    whole: bool = False,
) -> Callable[[T], T]:
    """Register a type of check: a :class:`CheckType`, or a function of a ``CheckInput`` and keyword parameters.

    A function whose first parameter is annotated with ``ScenarioState``, or has no annotation and is called ``state``,
    is given the state instead. A function returns True, False, a score between 0 and 1, None for True, a Finding or a
    CheckOutcome, and may be async. Its keyword parameters and their types become the parameters of the check, just as
    strict.

    Args:
        kind: the type, as suites write it.
        aliases: alternative names.
        scopes: the scopes that it supports.
        family: the heading under which the catalogue lists it.
        whole: whether it looks at the conversation so far, even if it is evaluated after each turn.

    Raises:
        ConfigurationError: the name is taken.
    """

    def register(target: T) -> T:
        info = CheckInfo(
            kind=kind,
            family=family,
            parameters=_as_type(target, kind),
            aliases=tuple(Alias(item) if isinstance(item, str) else item for item in aliases),
            scopes=tuple(scopes),
            whole=whole,
            summary=(inspect.getdoc(target) or "").split("\n\n")[0].replace("\n", " ").strip(),
        )
        names: dict[str, Alias | None] = {kind: None, **{alias.name: alias for alias in info.aliases}}
        for name in names:
            if name in _names and _names[name][0].parameters.__qualname__ != info.parameters.__qualname__:
                raise ConfigurationError(f"two check types are called '{name}'; rename one of them")
        info.parameters.kind = kind
        info.parameters.family = family
        _types[kind] = info
        _names.update({name: (info, alias) for name, alias in names.items()})
        return target

    return register


def find(name: str, folder: Path | None = None) -> tuple[CheckInfo, Alias | None]:
    """The type with that name or alias, and the alias; None for the name itself.

    Args:
        name: a type, an alias, ``module:function`` or ``file.py:function``.
        folder: that files are relative to; None for the current one.

    Raises:
        ConfigurationError: there is none.
        TargetError: 'module:function' that cannot be loaded.
    """
    if _in_catalogue(name):
        return _names[name]
    if ":" in name:
        return _referenced(name, folder), None
    if name in UNSUPPORTED:
        raise ConfigurationError(f"check type '{name}' is not supported: {UNSUPPORTED[name]}")
    if _in_other_packages(name):
        return _names[name]
    raise unknown_type(name, known_types())


def is_known(name: str) -> bool:
    """Whether there is a type with that name or alias. Cheaper than :func:`known_types`."""
    return _in_catalogue(name) or _in_other_packages(name)


def registered_type(name: str, folder: Path | None = None) -> Any:
    """The function or :class:`CheckType` behind a type; None if there is none, or it has not been imported.

    Nothing is loaded for it but what ``module:function`` names.
    """
    if name in _names:
        info = _names[name][0]
    elif ":" in name:
        try:
            info = _referenced(name, folder)
        except (ConfigurationError, TargetError):
            return None
    else:
        return None
    return getattr(info.parameters, "function", info.parameters)


def registered() -> list[CheckInfo]:
    """Every registered type, including those of other packages. Types of one module keep the order of its source."""
    _load_everything()
    return list(_types.values())


def known_types() -> list[str]:
    """The names and aliases of all types."""
    _load_everything()
    return list(_names)


def _in_catalogue(name: str) -> bool:
    """Whether the name is registered. Our modules are imported until it is: most suites need few of them."""
    points = own_entry_points(GROUP)
    if not points:
        raise ConfigurationError(
            "no checks are registered: the installed metadata of Duologue is missing or older than its source; "
            "install it again"
        )
    for point in sorted(points.values(), key=lambda point: point.name != "text"):  # most checks look at text
        if name in _names:
            return True
        load_entry_point(point)
    return name in _names


def _in_other_packages(name: str) -> bool:
    for point in other_entry_points(GROUP):
        if point.name == name or not point.attr:
            _register(point)
    return name in _names


def _load_everything() -> None:
    for point in own_entry_points(GROUP).values():
        load_entry_point(point)
    for point in other_entry_points(GROUP):
        _register(point)


def _register(point: EntryPoint) -> None:
    target = load_entry_point(point)
    if point.attr and point.name not in _names:  # a target that registers itself has done so now
        check(point.name, family=point.module.partition(".")[0])(target)


class CodeNotLoadedError(TargetError):
    """A check is code, and this process loads none that others bring."""


def _referenced(name: str, folder: Path | None = None) -> CheckInfo:
    if not access().own_code:
        raise CodeNotLoadedError(f"the check '{name}' is code, which is not loaded in this process")
    module_name, _, attribute = name.rpartition(":")
    try:
        is_file = module_name.endswith(".py")
        module = load_file((folder or Path()) / module_name) if is_file else import_module(module_name)
        target = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError, TargetError) as error:
        raise TargetError(f"the check '{name}' cannot be loaded: {error}") from error
    except (Exception, SystemExit) as error:
        raise TargetError(f"the check '{name}' cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise TargetError(f"the check '{name}' is a {type(target).__name__}; expected a function or a CheckType")
    for info in _types.values():
        if info.parameters is target or getattr(info.parameters, "function", None) is target:
            return info
    summary = (inspect.getdoc(target) or "").split("\n")[0]
    parameters = _as_type(target, name)
    return CheckInfo(
        kind=name, family="own", parameters=parameters, aliases=(), scopes=BOTH, whole=False, summary=summary
    )


_WRAPPERS = ("assertion", "guardrail")
_COMMON = ("min_score", "max_score", "message")
_LONGEST_NAME = 120
_PRIVATE = ("headers", "auth_token", "env")
"""Parameters that may hold secrets: they are in no name."""
_URL = late(r"https?://|\$\{")


def create(
    type: str,
    params: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    scope: Scope | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    message: str | None = None,
    pass_threshold: float | None = None,
    when: Mapping[str, Any] | When | None = None,
    resources: Resources | None = None,
) -> CatalogueCheck:
    """A check, ready to be passed to a run.

    Args:
        type: a name of the catalogue, one that a package offers, or ``module:function``.
        params: its parameters. ``min_score``, ``max_score`` and ``message`` may stand among them.
        name: what reports call it; by default the message, or type and parameters.
        scope: evaluate it for each turn or for the conversation; None for the conversation, where the type allows it.
        min_score, max_score: bounds of a passing score, 0 to 1. With neither it must be 1; a judge must say pass.
        message: what reports say when it does not pass.
        pass_threshold: share of trials that must pass, 0 to 1.
        when: conditions under which it applies; see :class:`duologue.checks.When`.
        resources: judges, classifiers and embedders that it may ask.

    Raises:
        ConfigurationError: unknown type; unknown, missing or mistyped parameter; a bound outside 0 to 1.
    """
    written = {
        "type": type,
        "params": dict(params or {}),
        "scope": scope.value if scope else None,
        "min_score": min_score,
        "max_score": max_score,
        "message": message,
        "pass_threshold": pass_threshold,
        "when": when,
    }
    return from_spec(validated(CheckSpec, written, f"check '{type}'"), name=name, resources=resources)


def from_spec(
    spec: CheckSpec, *, name: str | None = None, scope: Scope | None = None, resources: Resources | None = None
) -> CatalogueCheck:
    """The check that a suite file describes; :func:`create` makes its checks here, too.

    Args:
        spec: as it is written.
        name: what reports call it; by default the message, or type and parameters.
        scope: where it is evaluated if the spec does not say; None for the conversation, where the type allows it.
        resources: judges, classifiers and embedders that it may ask.

    Raises:
        ConfigurationError: unknown type; unknown, missing or mistyped parameter; a bound outside 0 to 1.
    """
    type, params = spec.type, dict(spec.params)
    held = resources or Resources()
    common: dict[str, Any] = {key: getattr(spec, key) for key in _COMMON}
    if type in _WRAPPERS:
        type, params = _unwrapped(type, params, common)
    info, alias = find(type, held.folder)
    label = f"check '{type}'" if type == info.kind else f"check '{type}' ({info.kind})"
    _take_common(label, info.parameters, params, common)
    test = _parameters(label, info, alias, params, held)
    problems = [*test.problems(held), *_threshold_problems(common)]
    if problems:
        raise ConfigurationError(f"{label}: {'; '.join(problems)}.")
    return CatalogueCheck(
        name=name or common["message"] or _made_name(type, params),
        kind=info.kind,
        scope=_scope(label, info, alias, Scope(spec.scope) if spec.scope else scope),
        written_as=type,
        test=test,
        whole=info.whole or bool(alias and alias.whole),
        pass_threshold=spec.pass_threshold,
        when=spec.when,
        resources=held,
        **common,
    )


def _unwrapped(wrapper: str, params: dict[str, Any], common: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``type: assertion`` with the real type in ``eval_type`` and its parameters in ``eval_params``."""
    inner = params.pop("eval_type", None)
    written = params.pop("eval_params", None)
    for key in _COMMON:
        if key in params:
            common[key] = _one_of(f"check '{wrapper}'", key, common[key], params.pop(key))
    if wrapper == "guardrail":
        params.pop("direction", None)
    if params or not isinstance(inner, str) or not isinstance(written, (dict, type(None))):
        found = shown({"eval_type": inner, "eval_params": written, **params})
        raise ConfigurationError(
            f"check '{wrapper}': found {found}; expected eval_type (a type), eval_params (its parameters), "
            "min_score and max_score"
        )
    return inner, dict(cast("dict[str, Any]", written or {}))


def _take_common(label: str, model: type[CheckType], params: dict[str, Any], common: dict[str, Any]) -> None:
    """Move thresholds and message out of the parameters."""
    for key in _COMMON:
        if key in params and key not in model.model_fields:
            common[key] = _one_of(label, key, common[key], params.pop(key))
    if common["message"] is not None and not isinstance(common["message"], str):
        raise ConfigurationError(f"{label}: message: found {shown(common['message'])}; expected a text")


def _one_of(label: str, key: str, outside: Any, inside: Any) -> Any:
    if outside is not None and inside is not None and outside != inside:
        raise ConfigurationError(f"{label}: {key} is given twice, as {shown(outside)} and as {shown(inside)}; keep one")
    return inside if outside is None else outside


def _parameters(
    label: str, info: CheckInfo, alias: Alias | None, written: dict[str, Any], resources: Resources
) -> CheckType:
    model = info.parameters
    params: dict[str, Any] = {}
    for key, value in written.items():
        real = model.renamed.get(key, key)
        if real in params and params[real] != value:
            raise ConfigurationError(
                f"{label}: '{key}' and another name of '{real}' are both given, with different values; keep one"
            )
        params[real] = value
    implied = dict(alias.given) if alias else {}
    try:
        return model.model_validate({**implied, **params}, context={"folder": resources.folder})
    except ValidationError as error:
        raise refused(label, model, written, error) from error


def _threshold_problems(given: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    for key in ("min_score", "max_score"):
        value = given[key]
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            problems.append(f"{key}: found {shown(value)}; expected a number between 0 and 1")
    low, high = given["min_score"], given["max_score"]
    if not problems and low is not None and high is not None and low > high:
        problems.append(f"min_score {low:g} is above max_score {high:g}, so that nothing could pass")
    return problems


def _scope(label: str, info: CheckInfo, alias: Alias | None, scope: Scope | None) -> Scope:
    if scope is None:
        return (alias.scope if alias else None) or info.default_scope
    if scope not in info.scopes:
        allowed = " or ".join(item.value for item in info.scopes)
        raise ConfigurationError(f"{label}: cannot be used for a {scope.value}; expected: {allowed}")
    return scope


def _made_name(type: str, params: Mapping[str, Any]) -> str:
    public = {key: _without_query(value) for key, value in params.items() if key not in _PRIVATE}
    known = without_secrets(public, in_texts=True, keep_references=True)
    values = ", ".join(f"{key}={redacted(shown(value))}" for key, value in known.items())
    name = f"{type}: {values}" if values else type
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _without_query(value: Any) -> Any:
    """A URL without its query, which may hold a key; any other value as it is."""
    if not isinstance(value, str) or not _URL.match(value):
        return value
    from duologue.http import written_url

    return written_url(value)


def _as_type(target: Any, kind: str) -> type[CheckType]:
    """The type of check that a class or a function stands for; functions know what the engine hands to them."""
    if inspect.isclass(target) and issubclass(target, CheckType):
        return target
    from duologue.checks.functions import as_type

    return as_type(target, kind)
