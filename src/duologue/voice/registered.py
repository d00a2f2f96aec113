"""What other packages add to voice, as entry points: adapters, voices, recognisers and effects.

Nothing of them is looked for before a name is asked for that is not Duologue's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import hint, listed
from duologue.errors import ConfigurationError, DuologueError, TargetError
from duologue.voice.adapter import VoiceAgentAdapter

ADAPTERS = "duologue.voice_adapters"
"""The group of classes that extend :class:`VoiceAgentAdapter`, or functions that make one."""


def voice_adapter(name: str, **params: Any) -> VoiceAgentAdapter:
    """An adapter that another package registers as an entry point of the group ``duologue.voice_adapters``.

    In suites it is the ``kind`` of a runtime of the same name.

    Args:
        name: of the entry point.
        params: what its class takes.

    Raises:
        ConfigurationError: there is none of that name, it cannot be loaded, or it takes other parameters.
    """
    try:
        make = load_registered(ADAPTERS, name)
    except TargetError as error:
        raise ConfigurationError(str(error)) from error
    if make is None:
        known = registered_names(ADAPTERS)
        raise ConfigurationError(
            f"there is no voice adapter '{name}'{hint(name, known)} Installed packages register: {listed(known)} "
            f"(entry points of the group {ADAPTERS})"
        )
    return made_adapter(name, adapter_factory(name, make), params)


def adapter_factory(name: str, loaded: object) -> Callable[..., object]:
    """What an entry point names, if it can make adapters.

    Raises:
        ConfigurationError: it is no class of adapters and no function.
    """
    is_class = inspect.isclass(loaded)
    if not callable(loaded) or (is_class and not issubclass(loaded, VoiceAgentAdapter)):
        raise ConfigurationError(
            f"the voice adapter '{name}': expected a class that extends VoiceAgentAdapter, or a function that makes "
            f"one; found {loaded!r}"
        )
    return cast("Callable[..., object]", loaded)


def made_adapter(name: str, make: Callable[..., object], params: dict[str, Any]) -> VoiceAgentAdapter:
    """An adapter with these parameters.

    Raises:
        ConfigurationError: it takes others, or refuses them.
    """
    try:
        made = make(**params)
    except DuologueError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the voice adapter '{name}': {error}") from error
    if not isinstance(made, VoiceAgentAdapter):
        raise ConfigurationError(
            f"the voice adapter '{name}' gave a {type(made).__name__}; expected a VoiceAgentAdapter"
        )
    return made
