"""Effects on the user's voice, as suites name them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import cast

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import hint, listed
from duologue.conversation.voice_state import SoundEffect
from duologue.errors import ConfigurationError, DuologueError, TargetError
from duologue.specs.voice import SoundEffect as EffectSpec

GROUP = "duologue.voice_effects"
"""The group of entry points with which other packages add effects: functions that make one of their parameters."""


def effect_of(spec: EffectSpec) -> SoundEffect:
    """An effect of :mod:`duologue.voice.effects`.

    Raises:
        ConfigurationError: there is none of that name, or it has other parameters; MissingExtraError: no numpy.
    """
    from duologue.voice import effects

    known = {
        name: made
        for name, made in vars(effects).items()
        if inspect.isfunction(made) and made.__module__ == effects.__name__ and not name.startswith("_")
    }
    for not_by_name in ("chain", "custom"):
        known.pop(not_by_name, None)
    made = known.get(spec.name) or _of_package(spec.name)
    if made is None:
        names = sorted({*known, *registered_names(GROUP)})
        raise ConfigurationError(
            f"there is no effect '{spec.name}'{hint(spec.name, names)} Expected one of {listed(names)}"
        )
    try:
        inspect.signature(made).bind(**spec.params)
    except TypeError as error:
        fields = list(inspect.signature(made).parameters)
        has = f"it has {listed(fields)}" if fields else "it has none"
        raise ConfigurationError(f"the effect '{spec.name}': {error}; {has}") from error
    try:
        return made(**spec.params)
    except DuologueError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigurationError(f"the effect '{spec.name}': {error}") from error


def _of_package(name: str) -> Callable[..., SoundEffect] | None:
    try:
        found: object = load_registered(GROUP, name)
    except TargetError as error:
        raise ConfigurationError(f"the effect '{name}': {error}") from error
    if found is not None and not callable(found):
        raise ConfigurationError(f"the effect '{name}': expected a function that makes an effect; found {found!r}")
    return cast("Callable[..., SoundEffect] | None", found)
