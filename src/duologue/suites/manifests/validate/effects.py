"""Effects on the user's voice, as suites name them."""

from __future__ import annotations

import inspect

from duologue.config.problems import hint, listed
from duologue.conversation.voice_state import SoundEffect
from duologue.errors import ConfigurationError, DuologueError
from duologue.specs.voice import SoundEffect as EffectSpec


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
    made = known.get(spec.name)
    if made is None:
        raise ConfigurationError(
            f"there is no effect '{spec.name}'{hint(spec.name, list(known))} Expected one of {listed(sorted(known))}"
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
