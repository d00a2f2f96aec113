"""Parameters of assertions, guardrails and evals as they are found in arenas, put in the words of the catalogue.

PromptKit passes over parameters that it does not know, and some are widespread. One whose meaning is evident is
honoured, any other is left out with a warning. What looks like a slip of the keyboard stays, and is an error when the
check is made.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from duologue.config.problems import PlacedDict, Problems, is_misspelt, listed
from duologue.errors import ConfigurationError

_COMMON = ("min_score", "max_score", "message")
_WRAPPERS = ("assertion", "guardrail")
_ANY_OF = {"content_includes": "content_includes_any", "contains": "contains_any"}
"""The types of one that looks for all of several texts, and of the same that is content with one of them."""
_MODES = {
    **dict.fromkeys(("any", "or", "one", "some"), "any"),
    **dict.fromkeys(("all", "and", "every"), "all"),
    **dict.fromkeys(("contains", "partial", "substring"), "substring"),
    **dict.fromkeys(("word", "words", "whole_word", "word_boundary"), "word_boundary"),
}
_MATCHING = ("match_mode", "mode", "match", "match_type", "operator")
_COUNTS = {("contains", "any"), ("contains", "all"), ("contains_any", "any"), ("content_excludes", "any")}
"""Types, and how many of their texts must be there; the other combinations say two things at once."""
_IGNORE_CASE = ("case_insensitive", "ignore_case", "insensitive")


def adapted(source: PlacedDict, problems: Problems) -> PlacedDict:
    """An assertion, guardrail or eval whose parameters are those of the catalogue.

    Args:
        source: with ``type`` and ``params``.
        problems: takes a warning for each parameter that has no effect.
    """
    params, kind = source.get("params"), source.get("type")
    if not isinstance(params, PlacedDict) or not params or not isinstance(kind, str) or ":" in kind:
        return source
    made = PlacedDict(source.home, source, dict(source.marks))
    if kind in _WRAPPERS:
        inner, real = params.get("eval_params"), params.get("eval_type")
        if isinstance(inner, PlacedDict) and isinstance(real, str):
            within = PlacedDict(params.home, {"type": real, "params": inner}, {"params": params.mark("eval_params")})
            found = adapted(within, problems)
            outer = PlacedDict(params.home, params, dict(params.marks))
            made["params"] = outer
            outer["eval_type"], outer["eval_params"] = found["type"], found["params"]
        return made
    known = _known(kind)
    if known is None:
        return source
    own = PlacedDict(params.home, params, dict(params.marks))
    made["params"] = own
    made["type"] = kind = _evident(kind, own, known)
    _without_unknown(kind, own, _known(kind) or known, problems)
    return made


def _known(kind: str) -> Any:
    """The parameters of a type of check; None if nothing is known of it."""
    from duologue.checks.registry import find

    try:
        return find(kind)[0].parameters
    except ConfigurationError:
        return None


def _evident(kind: str, params: PlacedDict, model: Any) -> str:
    """Put parameters whose meaning is evident in our words; the type, which may be that of another way to match."""
    fields = model.model_fields
    for key in _MATCHING:
        mode = _MODES.get(str(params.get(key)).lower())
        if mode in {"substring", "word_boundary"} and "match_mode" in fields:
            params.put("match_mode", mode, params.mark(key))
            if key != "match_mode":
                del params[key]
        elif (model.kind, mode) in _COUNTS and key not in fields.keys() - {"match_mode"}:
            kind = _ANY_OF.get(kind, kind) if mode == "any" else kind
            del params[key]
    for key in _IGNORE_CASE:
        if key in fields or not isinstance(params.get(key), bool):
            continue
        if "case_sensitive" in fields:
            params.setdefault("case_sensitive", not params.pop(key))
        elif "pattern" in fields and isinstance(params.get("pattern"), str):
            ignored = params.pop(key) and not params["pattern"].startswith("(?")
            params["pattern"] = f"(?i){params['pattern']}" if ignored else params["pattern"]
    return kind


def _without_unknown(kind: str, params: PlacedDict, model: Any, problems: Problems) -> None:
    """Leave out what the type does not know, if the rest is complete without it and nothing looks misspelt."""
    names = {name.rstrip("_") for name in model.model_fields} | {*model.renamed, *_COMMON}
    strange = [key for key in params if key not in names and key not in model.model_fields]
    if not strange or any(is_misspelt(key, names) for key in strange):
        return
    rest = {model.renamed.get(key, key): value for key, value in params.items() if key in names and key not in _COMMON}
    try:
        model.model_validate(rest)
    except (ValidationError, ConfigurationError):
        return  # the error about the whole says more
    for key in strange:
        told = f"'{kind}' has no such parameter, and PromptKit passes over it: it has no effect"
        problems.warning(params.mark(key).key(), f"{told}. Parameters: {listed(sorted(names - {*_COMMON}))}")
        del params[key]
