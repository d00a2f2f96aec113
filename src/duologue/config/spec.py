"""What all models of a suite have in common: frozen, strict, closed, and aware of where they are written.

Where something is written is no part of what it is: two specs are equal if their fields are. Their paths are relative
to the suite file, wherever they are written.
"""

import posixpath
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Strict,
    model_validator,
)

from duologue.config.durations import DURATION_PATTERN, parse_duration, seconds_text
from duologue.config.problems import PlacedDict, locate, plain
from duologue.config.templates import expand
from duologue.errors import ConfigurationError, Position
from duologue.own_model import OwnModel

T = TypeVar("T")
_MOST_SECONDS = 10**9


def _duration(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MOST_SECONDS:
        value = seconds_text(value)
    parse_duration(value if isinstance(value, str) else "")
    return value


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


EMPTY: dict[str, Any] = {}
"""The default of fields that hold a mapping; each model gets a copy of its own."""
Items = Annotated[tuple[T, ...], Strict(False)]
"""A list in a file, and a tuple in memory. Its items are as strict as everything else."""
Name = Annotated[str, Field(min_length=1, max_length=200)]
"""What other parts of a suite call something."""
Text = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""
Share = Annotated[float, Field(ge=0, le=1)]
"""Between 0 and 1."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""A whole number from 1 to a million."""
Amount = Annotated[int, Field(ge=0, le=10**12)]
"""A whole number from 0."""
JsonObject = Annotated[dict[str, Any], BeforeValidator(plain)]
"""Fields that are passed on as they are."""
Json = Annotated[Any, BeforeValidator(plain)]
"""A value that is passed on as it is."""
_WrittenDuration = Annotated[str, Field(json_schema_extra={"pattern": DURATION_PATTERN, "examples": ["90s", "5m30s"]})]
Duration = Annotated[
    str, BeforeValidator(_duration, json_schema_input_type=_WrittenDuration | Annotated[float, Field(gt=0)])
]
"""A duration such as ``500ms``, ``30s``, ``5m30s`` or ``1h``; a number is one in seconds."""
Seconds = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(_seconds, json_schema_input_type=Annotated[float, Field(gt=0)] | _WrittenDuration),
]
"""Seconds, as a number or as a duration such as ``30s``."""
DAY = 86_400.0
"""Seconds of a day."""
UpToADay = Annotated[Seconds, Field(le=DAY)]
"""Seconds of something within a call, of which none takes a day."""


class Spec(OwnModel):
    """Base of everything that is written in a suite."""

    # What is not used in a process is not built there.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    environment_fields: ClassVar[tuple[str, ...]] = ()
    """Fields in which ``${NAME}`` and ``${NAME:-default}`` stand for environment variables."""

    path_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that name a file or folder, relative to the suite file."""

    _source: PlacedDict | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _remembers_its_place(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(value)
        if isinstance(value, PlacedDict):
            made._source = value
        return made

    def place(self, *path: str | int, of_key: bool = False) -> Position | None:
        """Where this, or what a path within it leads to, is written; None for what comes from code.

        Args:
            path: names of fields and numbers of items.
            of_key: the name of the field, not its value.
        """
        if self._source is None:
            return None
        mark, _ = locate(self._source, path)
        if mark is None:
            return None
        return mark.key() if of_key else mark.value()

    @property
    def read_from(self) -> PlacedDict | None:
        """The data that this was read from; None for what comes from code."""
        return self._source

    def written_in(self, source: PlacedDict) -> Self:
        """The same, which now knows the place where it is written."""
        self._source = source
        return self

    def changed(self, **fields: Any) -> Self:
        """A copy with other values, written where this is written."""
        made = self.model_copy(update=fields)
        made._source = self._source
        return made

    def expanded(self, environment: Mapping[str, str] | None = None) -> Self:
        """A copy of this, and of all specs within it, with its references to environment variables expanded.

        Args:
            environment: variables by name; None for those of the process.

        Raises:
            ConfigurationError: a variable is not set and has no default; the error names the field.
        """
        changes: dict[str, Any] = {}
        for name, value in self:
            if name in self.environment_fields:
                changes[name] = self._expanded_field(name, value, environment)
            elif isinstance(value, Spec):
                changes[name] = value.expanded(environment)
        return self.changed(**changes) if changes else self

    def _expanded_field(self, name: str, value: Any, environment: Mapping[str, str] | None) -> Any:
        try:
            return _expanded(value, environment)
        except ConfigurationError as error:
            place = self.place(name)
            raise ConfigurationError(f"{f'{place}: ' if place else ''}{name}: {error}") from error

    def environment_texts(self) -> Iterator[tuple[Position | None, str]]:
        """Every text in this, and in the specs within it, that may refer to environment variables, with its place."""
        for name, value in self:
            if name in self.environment_fields:
                for key, text in _texts(value):
                    yield self.place(name, *key), text
            elif isinstance(value, Spec):
                yield from value.environment_texts()
            elif isinstance(value, tuple):
                for item in cast("tuple[Any, ...]", value):
                    if isinstance(item, Spec):
                        yield from item.environment_texts()

    def written(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain data; what is required is always there."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType] -- parameters are dictionaries


def _expanded(value: Any, environment: Mapping[str, str] | None) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(item, environment) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_expanded(item, environment) for item in cast("list[Any]", value)]
    return expand(value, environment) if isinstance(value, str) else value


def _texts(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from (((key, *path), text) for path, text in _texts(item))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from (((index, *path), text) for path, text in _texts(item))


class Resource(Spec):
    """Something with a name of its own, and usually a file of its own."""

    name: Name
    """Unique name, used by the rest of the suite, in reports and on the command line."""
    labels: dict[str, str] = EMPTY
    """Short values for selecting and grouping, such as ``tier: enterprise``."""
    annotations: dict[str, str] = EMPTY
    """Notes for people and tools; not used by Duologue."""


class FolderSpec(Spec):
    """Something whose paths are relative to a folder: that of the file which it is read from."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that paths are relative to."""
        return self._folder

    def path(self, written: str) -> Path:
        """The file or folder that a path means; environment variables in it are expanded."""
        return self._folder / expand(written)

    def path_or_here(self, written: str) -> Path:
        """The same, or the path from the working directory where only that exists."""
        path, here = self.path(written), Path(expand(written))
        return here if not path.exists() and here.exists() else path

    def within(self, folder: Path) -> Self:
        """The same, with its paths relative to that folder."""
        made = self.changed()
        made._folder = folder
        return made


S = TypeVar("S", bound=Spec)

_PATHS_IN_PARAMS = ("schema_file",)
"""Parameters of checks that name a file."""
_PARTS = "mock_parts"
"""Pieces of a tool's answer, whose media may be files."""


def rebased_path(path: str, folder: str) -> str:
    """A path that was relative to a folder, relative to where that folder's own path begins.

    Args:
        path: as it is written; absolute paths and those that begin with a variable stay as they are.
        folder: from the suite file to the file that the path is written in; '' for the same folder.
    """
    if not folder or folder == "." or path.startswith(("/", "${")):
        return path
    return posixpath.normpath(posixpath.join(folder, path))


def rebased(spec: S, folder: str, *, but: Container[str] = ()) -> S:
    """A copy of a spec, and of all specs within it, whose paths were relative to a folder below the suite's.

    Args:
        spec: what has paths.
        folder: as for :func:`rebased_path`.
        but: paths that stay as they are.
    """
    if not folder or folder == ".":
        return spec
    changes: dict[str, Any] = {}
    for name, value in spec:
        if name in spec.path_fields and isinstance(value, str) and (name != "target" or ".py:" in value):
            changes[name] = value if value in but else rebased_path(value, folder)
        elif name == "params" and isinstance(value, dict):
            changes[name] = _rebased_params(cast("dict[str, Any]", value), folder, but)
        elif name == _PARTS:
            changes[name] = tuple(_rebased_part(part, folder, but) for part in cast("tuple[Any, ...]", value))
        elif isinstance(value, Spec):
            changes[name] = rebased(value, folder, but=but)
        elif isinstance(value, tuple) and value and isinstance(value[0], Spec):
            changes[name] = tuple(rebased(item, folder, but=but) for item in cast("tuple[Spec, ...]", value))
    return spec.changed(**changes) if changes else spec


def _rebased_params(params: dict[str, Any], folder: str, but: Container[str]) -> dict[str, Any]:
    """Parameters of a check, with the files that they name."""
    found = _paths_in(params)
    return {**params, **{key: rebased_path(value, folder) for key, value in found if value not in but}}


def _rebased_part(part: Any, folder: str, but: Container[str]) -> Any:
    path = _file_of(part)
    if path is None or path in but:
        return part
    return {**part, "media": {**part["media"], "file_path": rebased_path(path, folder)}}


def _file_of(part: Any) -> str | None:
    media: Any = cast("dict[str, Any]", part).get("media") if isinstance(part, dict) else None
    path: Any = cast("dict[str, Any]", media).get("file_path") if isinstance(media, dict) else None
    return path if isinstance(path, str) else None


def _paths_in(params: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, value) for key in _PATHS_IN_PARAMS if isinstance(value := params.get(key), str)]


def written_paths(spec: Spec) -> Iterator[tuple[Spec, str, str]]:
    """Every path of a spec and of the specs within it: the spec that has it, the field, the path."""
    for name, value in spec:
        if name in spec.path_fields and isinstance(value, str):
            yield spec, name, value
        elif name == "params" and isinstance(value, dict):
            yield from ((spec, key, path) for key, path in _paths_in(cast("dict[str, Any]", value)))
        elif name == _PARTS:
            yield from ((spec, name, path) for part in value if (path := _file_of(part)) is not None)
        elif isinstance(value, Spec):
            yield from written_paths(value)
        elif isinstance(value, tuple):
            for item in cast("tuple[Any, ...]", value):
                if isinstance(item, Spec):
                    yield from written_paths(item)
