"""Voice adapters of other packages as runtimes.

The name of the entry point is the kind, and the parameters of the adapter are the fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.errors import PydanticSchemaGenerationError

from duologue.config.templates import expand
from duologue.errors import ConfigurationError
from duologue.runtimes.voice.base import VoiceCallSetup, VoiceRuntimeBase, VoiceRuntimeConfig
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.registered import adapter_factory, made_adapter

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class RegisteredVoiceRuntime(VoiceRuntimeBase):
    """Base of the runtimes that are made of adapters; see :func:`runtime_for`."""

    FACTORY: ClassVar[Callable[..., object]]

    def supported_for_platform(self, platform: object) -> bool:
        """For agents of every platform: what it calls is in its own fields."""
        return True

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """An adapter with what the configuration has. Texts may refer to the environment."""
        written = runtime_config.model_dump(include=set(runtime_config.model_fields_set) - set(_base_fields()))
        return made_adapter(self.KIND, type(self).FACTORY, cast("dict[str, Any]", _expanded(written)))


def runtime_for(name: str, loaded: object) -> type[VoiceRuntimeBase]:
    """The runtime of an adapter.

    Args:
        name: of its entry point.
        loaded: its class, or a function that makes one.

    Raises:
        ConfigurationError: it is neither, or has a parameter whose name is a field of every runtime for voice.
    """
    make = adapter_factory(name, loaded)
    label = getattr(make, "__name__", name)
    text = inspect.getdoc(make) or f"The voice adapter {label} of another package"
    namespace = {
        "KIND": name,
        "LABEL": name,
        "DESCRIPTION": text.splitlines()[0],
        "CONFIG": _config(name, make),
        "FACTORY": staticmethod(make),
    }
    return cast("type[VoiceRuntimeBase]", type(f"{label}Runtime", (RegisteredVoiceRuntime,), namespace))


def _config(name: str, make: Callable[..., object]) -> type[BaseModel]:
    """A model with a field for each parameter of the adapter."""
    try:
        hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    except Exception:  # noqa: BLE001 - names that its module does not know at run time
        hints = {}
    found = {item.name: item for item in inspect.signature(make).parameters.values() if item.kind in _NAMED}
    if taken := sorted(set(found) & set(_base_fields())):
        raise ConfigurationError(
            f"the voice adapter '{name}' has a parameter '{taken[0]}', which is a field of every runtime for voice"
        )

    def model(of: Callable[[str], Any]) -> type[BaseModel]:
        fields: dict[str, Any] = {
            key: (of(key), ... if item.default is item.empty else item.default) for key, item in found.items()
        }
        kind: Any = Literal[name]  # pyright: ignore[reportInvalidTypeForm]
        return create_model(f"{name}Config", __base__=_AdapterConfig, kind=(kind, name), **fields)

    try:
        made = model(lambda key: hints.get(key, Any))
        made.model_rebuild()
    except PydanticSchemaGenerationError:  # objects, which no file can hold
        made = model(lambda key: Any)
    return made


class _AdapterConfig(VoiceRuntimeConfig):
    """Base of the configurations of adapters of other packages."""

    environment_fields: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _base_fields() -> tuple[str, ...]:
    return ("kind", *VoiceRuntimeConfig.model_fields)


def _expanded(value: object) -> object:
    if isinstance(value, str):
        return expand(value, secret=True)
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in cast("dict[str, object]", value).items()}
    return [_expanded(item) for item in cast("list[object]", value)] if isinstance(value, list) else value
