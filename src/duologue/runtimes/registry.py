"""Which runtimes there are: our own in a stable order, then those that other packages register.

A package registers a runtime as an entry point of the group ``duologue.runtimes``, whose value is the class. One that
cannot be loaded is left out and logged, so that it does not keep the others from being used.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticUndefined

from duologue.config.entry_points import load_entry_point, other_entry_points
from duologue.config.problems import expected_by, nearest
from duologue.config.tracebacks import message_of
from duologue.errors import ConfigurationError, DuologueError
from duologue.frozen import frozen
from duologue.own_model import adapter
from duologue.runtimes.base import AgentPlatform, AgentSnapshot, EvalRuntime, RunMode, RuntimeSession, TextRuntimeKind
from duologue.runtimes.config import RuntimeConfig

logger = logging.getLogger("duologue.runtimes")
GROUP = "duologue.runtimes"
VOICE_ADAPTERS = "duologue.voice_adapters"
"""The group of voice adapters of other packages, each of which is a runtime of its name."""
DEFAULT_KIND = TextRuntimeKind.NATIVE
"""The runtime of text test cases that name none."""
_NEEDED = ("MODE", "KIND", "LABEL", "DESCRIPTION")


class RuntimeProblem(NamedTuple):
    """One thing that is wrong with a configuration: the field, as names and numbers of items, and what is expected."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        """For example ``runtime.url: expected a URL``."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"runtime{''.join(parts)}: {self.message}"


class RuntimeConfigError(ConfigurationError):
    """The configuration of a runtime cannot be used.

    Args:
        problems: everything that is wrong with it.
    """

    def __init__(self, problems: Sequence[RuntimeProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


@frozen
class _Registry:
    """All runtimes.

    Attributes:
        runtimes: by mode and kind, in order.
        broken: why an entry point is left out, by its name.
    """

    runtimes: Mapping[tuple[RunMode, str], EvalRuntime]
    broken: Mapping[str, str]


def get_runtime(mode: RunMode | str, kind: str) -> EvalRuntime:
    """The one runtime of that mode and kind.

    Raises:
        KeyError: there is none; says which there are.
    """
    registry = _registry()
    found = registry.runtimes.get((RunMode(mode), str(kind))) if mode in set(RunMode) else None
    if found is None:
        raise KeyError(_unknown(registry, mode, str(kind)))
    return found


def runtimes_for_platform(platform: AgentPlatform | str | None, mode: RunMode | str | None = None) -> list[EvalRuntime]:
    """The runtimes that can run agents of a platform, always in the same order.

    Args:
        platform: None for agents that no platform hosts.
        mode: only those of this mode; None for all.
    """
    return [
        runtime
        for runtime in _registry().runtimes.values()
        if (mode is None or mode == runtime.MODE) and runtime.supported_for_platform(platform)
    ]


def all_runtimes() -> list[EvalRuntime]:
    """All runtimes, always in the same order."""
    return list(_registry().runtimes.values())


def default_runtime_for_platform(
    platform: AgentPlatform | str | None, mode: RunMode | str = RunMode.TEXT
) -> EvalRuntime:
    """The runtime of test cases that name none: for text ``native``, else the first that supports the platform.

    Raises:
        KeyError: none does.
    """
    found = runtimes_for_platform(platform, mode)
    for runtime in found:
        if runtime.KIND == DEFAULT_KIND:
            return runtime
    if not found:
        raise KeyError(f"no {mode} runtime runs agents of the platform {platform or 'none'}; install one that does")
    return found[0]


def starts_program(data: Mapping[str, Any]) -> bool:
    """Whether a configuration, valid or not, names a program that its runtime starts."""
    kind = data.get("kind")
    return any(item.STARTS_PROGRAM for (_, known), item in _registry().runtimes.items() if known == kind)


def read_runtime_config(data: Mapping[str, Any] | BaseModel | None, mode: RunMode | str = RunMode.TEXT) -> BaseModel:
    """The configuration of a runtime, as an object of the class that its ``kind`` stands for.

    Args:
        data: with the field ``kind``; None for the default runtime.
        mode: of the execution.

    Raises:
        RuntimeConfigError: it is not valid; names each field.
    """
    if isinstance(data, BaseModel):
        return data
    if data is None:
        data = {"kind": str(DEFAULT_KIND)}
    kinds = [kind for found, kind in _registry().runtimes if found == mode]
    if data.get("kind") not in kinds:
        every = list(dict.fromkeys(kind for _, kind in _registry().runtimes))
        if data.get("kind") not in every:  # nothing says that one of this mode is meant
            kinds = kinds + [kind for kind in every if kind not in kinds]
        found = f"found {data['kind']!r}{nearest(str(data['kind']), kinds)}" if "kind" in data else "it is missing"
        told = f"expected one of {', '.join(kinds) or 'none (install one)'}; {found}{_why_missing(data.get('kind'))}"
        raise RuntimeConfigError([RuntimeProblem(("kind",), told)])
    try:
        return runtime_config_adapter(mode).validate_python(dict(data))
    except ValidationError as error:
        raise RuntimeConfigError([_located(item, data) for item in error.errors()]) from error


def find_runtime(
    data: Mapping[str, Any],
    agent: AgentSnapshot | None = None,
    mode: RunMode | str | None = None,
    session: RuntimeSession | None = None,
) -> tuple[EvalRuntime, BaseModel]:
    """The runtime that a configuration is for, and the configuration.

    Args:
        data: with the field ``kind``.
        agent: that it drives: the runtime has to support its platform, and to find the configuration good for it. None
            to leave that out.
        mode: of the execution; None for the first in which there is such a runtime, text before voice.
        session: what the runtime may ask of the service.

    Raises:
        RuntimeConfigError: it cannot be used; names each field.
    """
    modes = [item for item in RunMode if (item, data.get("kind")) in _registry().runtimes]
    chosen = RunMode(mode) if mode is not None else (modes or [RunMode.TEXT])[0]
    if chosen not in modes and modes:
        told = f"the runtime '{data.get('kind')}' is for mode {modes[0]}; found mode {chosen}"
        raise RuntimeConfigError([RuntimeProblem(("kind",), told)])
    config = read_runtime_config(data, chosen)
    runtime = get_runtime(chosen, data["kind"])
    if agent is None:
        return runtime, config
    if not runtime.supported_for_platform(agent.platform):
        known = ", ".join(str(item.KIND) for item in runtimes_for_platform(agent.platform, chosen)) or "none"
        where = f"on the platform {agent.platform}" if agent.platform else "without a platform"
        told = f"the runtime '{runtime.KIND}' does not drive agents {where}; those that do: {known}"
        raise RuntimeConfigError([RuntimeProblem(("kind",), told)])
    try:
        runtime.validate_config(runtime_config=config, agent=agent, session=session)
    except (ValueError, DuologueError) as error:
        raise RuntimeConfigError([_as_problem(message_of(error))]) from error
    return runtime, config


@lru_cache
def runtime_config_adapter(mode: RunMode | str = RunMode.TEXT) -> TypeAdapter[Any]:
    """The union of the configurations of all runtimes of a mode, discriminated by ``kind``; for schemas as well."""
    models = [config_of(runtime) for (found, _), runtime in _registry().runtimes.items() if found == mode]
    if len(models) < 2:
        return adapter(models[0] if models else RuntimeConfig)
    union: Any = reduce(lambda one, other: one | other, cast("list[Any]", models))
    annotated: Any = Annotated
    return adapter(annotated[union, Field(discriminator="kind")])


@lru_cache
def config_of(runtime: EvalRuntime) -> type[BaseModel]:
    """The model of a runtime's configuration."""
    if runtime.CONFIG is not None:
        return runtime.CONFIG
    for model in vars(sys.modules[type(runtime).__module__]).values():
        if inspect.isclass(model) and issubclass(model, BaseModel) and _kind_of(model) == str(runtime.KIND):
            return model
    kind: Any = Literal[str(runtime.KIND)]  # pyright: ignore[reportInvalidTypeForm]
    return create_model(f"{type(runtime).__name__}Config", __base__=RuntimeConfig, kind=(kind, str(runtime.KIND)))


def _kind_of(model: type[BaseModel]) -> str | None:
    item = model.model_fields.get("kind")
    return None if item is None or item.default is PydanticUndefined else str(item.default)


@lru_cache
def _registry() -> _Registry:
    runtimes: dict[tuple[RunMode, str], EvalRuntime] = {}
    broken: dict[str, str] = {}
    for own in _own():
        runtime = own()
        runtimes[runtime.MODE, str(runtime.KIND)] = runtime
    for point in sorted(other_entry_points(GROUP), key=lambda point: point.name):
        try:
            runtime = _made(load_entry_point(point))
            key = (RunMode(runtime.MODE), str(runtime.KIND))
            if key in runtimes:
                raise ConfigurationError(f"there is a {key[0]} runtime '{key[1]}' already")
        except Exception as error:  # noqa: BLE001 - code of other packages
            broken[point.name] = f"{type(error).__name__}: {error}"
            logger.warning("the runtime '%s' (%s) is left out: %s", point.name, point.value, broken[point.name])
        else:
            runtimes[key] = runtime
    for point in sorted(other_entry_points(VOICE_ADAPTERS), key=lambda point: point.name):
        try:
            _add_adapter(point, runtimes)
        except Exception as error:  # noqa: BLE001 - code of other packages
            broken[point.name] = f"{type(error).__name__}: {error}"
            logger.warning("the voice adapter '%s' (%s) is left out: %s", point.name, point.value, broken[point.name])
    return _Registry(runtimes=runtimes, broken=broken)


def _add_adapter(point: EntryPoint, runtimes: dict[tuple[RunMode, str], EvalRuntime]) -> None:
    """An adapter of another package as a runtime of its name."""
    from duologue.runtimes.voice.registered import runtime_for  # needs numpy

    key = (RunMode.VOICE, point.name)
    if key in runtimes:
        raise ConfigurationError(f"there is a {key[0]} runtime '{key[1]}' already")
    runtimes[key] = runtime_for(point.name, load_entry_point(point))()


def _made(loaded: object) -> EvalRuntime:
    if not (inspect.isclass(loaded) and issubclass(loaded, EvalRuntime)):
        raise ConfigurationError(f"expected a class that extends EvalRuntime; found {loaded!r}")
    missing = [name for name in _NEEDED if not hasattr(loaded, name)]
    if missing:
        raise ConfigurationError(f"the class {loaded.__name__} lacks {', '.join(missing)}")
    return loaded()


def _own() -> tuple[type[EvalRuntime], ...]:
    """Our own runtimes, in the order in which people are shown them. Imported when they are first looked for."""
    from duologue.runtimes.a2a import A2aRuntime
    from duologue.runtimes.command import CommandRuntime
    from duologue.runtimes.custom_endpoint import CustomEndpointRuntime
    from duologue.runtimes.http import HttpRuntime
    from duologue.runtimes.langgraph import LangGraphRuntime
    from duologue.runtimes.mcp import McpRuntime
    from duologue.runtimes.native import NativeRuntime
    from duologue.runtimes.openai_chat import OpenAIChatRuntime
    from duologue.runtimes.retell import RetellRuntime
    from duologue.runtimes.voice.platforms import LiveKitRuntime, RetellWebCallRuntime, VapiRuntime
    from duologue.runtimes.voice.realtime import ElevenLabsRuntime, GeminiLiveRuntime, OpenAIRealtimeRuntime
    from duologue.runtimes.voice.rtc import ComposableRuntime, PipecatRuntime, WebRtcRuntime
    from duologue.runtimes.voice.telephone import TwilioRuntime
    from duologue.runtimes.voice.websocket import WebSocketRuntime

    return (
        NativeRuntime,
        RetellRuntime,
        CustomEndpointRuntime,
        OpenAIChatRuntime,
        HttpRuntime,
        LangGraphRuntime,
        A2aRuntime,
        McpRuntime,
        CommandRuntime,
        WebSocketRuntime,
        OpenAIRealtimeRuntime,
        GeminiLiveRuntime,
        RetellWebCallRuntime,
        VapiRuntime,
        ElevenLabsRuntime,
        WebRtcRuntime,
        PipecatRuntime,
        LiveKitRuntime,
        TwilioRuntime,
        ComposableRuntime,
    )


def _unknown(registry: _Registry, mode: RunMode | str, kind: str) -> str:
    known = [f"{found}/{name}" for found, name in registry.runtimes]
    text = f"no runtime {mode}/{kind}{nearest(f'{mode}/{kind}', known)}; there are {', '.join(known)}"
    if kind in registry.broken:
        text += f". One of that name is installed and cannot be loaded: {registry.broken[kind]}"
    return text


def _why_missing(kind: object) -> str:
    """More about a kind of which a runtime is installed that cannot be used."""
    reason = _registry().broken.get(str(kind))
    return f". One of that name is installed and cannot be loaded: {reason}" if reason else ""


def _located(item: Any, data: Mapping[str, Any]) -> RuntimeProblem:
    """A problem of a configuration: the field, what was found, what is expected."""
    path = item["loc"][1:] if len(item["loc"]) > 1 and item["loc"][0] == data.get("kind") else item["loc"]
    if item["type"] == "extra_forbidden":
        return RuntimeProblem(tuple(path), f"unknown field '{path[-1]}'{_field_meant(data, path)}")
    if item["type"] in {"missing", "value_error"}:
        reason = str(item["msg"]).removeprefix("Value error, ")
    else:
        reason = f"expected {expected_by(item)}"
    given = item["input"]
    is_choice = item["type"] in {"literal_error", "enum"} and isinstance(given, str)
    shown = repr(given)[:80] if is_choice else type(given).__name__
    found = "" if item["type"] in {"missing", "value_error"} else f"; found {shown}"
    return RuntimeProblem(tuple(path), f"{reason}{found}")


def _field_meant(data: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """The field of the configuration that may be meant; '' for fields within others."""
    if len(path) != 1:
        return ""
    models = [config_of(item) for (_, kind), item in _registry().runtimes.items() if kind == data.get("kind")]
    return nearest(str(path[0]), [name for model in models for name in model.model_fields])


def _as_problem(text: str) -> RuntimeProblem:
    """What a runtime says of a configuration, which may begin with the field: ``runtime.url: …``."""
    found = re.match(r"runtime((?:\.\w+|\[\d+\])*): ", text)
    if found is None:
        return RuntimeProblem((), text)
    parts: list[str] = re.findall(r"\w+", found[1])
    return RuntimeProblem(tuple(int(part) if part.isdigit() else part for part in parts), text[found.end() :])
