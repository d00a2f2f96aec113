"""Make a check of what a suite wrote: type and parameters, thresholds and conditions. All of it is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from duologue.checks._parameter_errors import refused, shown, validated
from duologue.checks.base import CatalogueCheck, CheckType
from duologue.checks.registry import Alias, CheckInfo, find
from duologue.config.redaction import redacted, without_secrets
from duologue.errors import ConfigurationError
from duologue.http import written_url
from duologue.models.resources import Resources
from duologue.specs.checks import CheckSpec, When
from duologue.vocabulary import Scope

_WRAPPERS = ("assertion", "guardrail")
_COMMON = ("min_score", "max_score", "message")
_LONGEST_NAME = 120
_PRIVATE = ("headers", "auth_token", "env")
"""Parameters that may hold secrets: they are in no name."""
_URL = re.compile(r"https?://|\$\{")


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
    common: dict[str, Any] = {key: getattr(spec, key) for key in _COMMON}
    if type in _WRAPPERS:
        type, params = _unwrapped(type, params, common)
    info, alias = find(type)
    label = f"check '{type}'" if type == info.kind else f"check '{type}' ({info.kind})"
    _take_common(label, info.parameters, params, common)
    held = resources or Resources()
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
        if real in params:
            raise ConfigurationError(f"{label}: '{key}' and another name of '{real}' are both given; keep one")
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
    return written_url(value) if isinstance(value, str) and _URL.match(value) else value
