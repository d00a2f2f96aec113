"""Paths of a suite: all of them relative to the suite file, wherever they are written."""

from __future__ import annotations

import posixpath
from collections.abc import Container, Iterator
from typing import Any, TypeVar, cast

from duologue.config.spec import Spec

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
