"""The frame that every file has: ``apiVersion``, ``kind``, ``metadata`` and ``spec``, in all dialects alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duologue.config.positions import Mark, PlacedDict
from duologue.config.problems import Problems, hint, listed, nearest, shown
from duologue.errors import Position

API_VERSION = "duologue/v1"

_ROOT = ("apiVersion", "kind", "metadata", "spec", "$schema")
_METADATA = ("name", "namespace", "labels", "annotations")


def is_bare(data: Any) -> bool:
    """Whether the frame is missing and the file holds what would be in ``spec``."""
    return isinstance(data, PlacedDict) and not {"apiVersion", "kind", "spec", "metadata"} & data.keys()


def opened(data: Any, problems: Problems, *, api: str, kinds: Sequence[str]) -> tuple[str, PlacedDict] | None:
    """The kind of a manifest, and its ``spec`` with name, labels and annotations of ``metadata`` put into it.

    Args:
        data: what the file holds.
        problems: takes what is wrong with the frame.
        api: the ``apiVersion`` that is expected.
        kinds: the kinds that are expected here.

    Returns:
        None where the frame is so broken that the rest would make no sense.
    """
    if not isinstance(data, PlacedDict):
        place = getattr(data, "home", Mark("?", "", 1, 1, 1, 1))
        problems.error(place, f"found {shown(data)}; expected a manifest: apiVersion, kind, metadata and spec")
        return None
    closed(data, _ROOT, problems)
    kind = _kind(data, problems, api, kinds)
    spec = data.get("spec")
    if not isinstance(spec, PlacedDict):
        found = f"found {shown(spec)}; expected a mapping" if "spec" in data else "the field 'spec' is missing"
        problems.error(data.mark("spec"), found)
        return None
    return (kind, _with_metadata(data, spec, problems)) if kind else None


def closed(data: PlacedDict, known: Sequence[str], problems: Problems) -> None:
    """An error for each field that is not known here."""
    for key in data:
        if key not in known:
            told = f"unknown field '{key}'{hint(key, known)} Fields here: {listed(known)}"
            problems.error(data.mark(key).key(), told)


def _kind(data: PlacedDict, problems: Problems, api: str, kinds: Sequence[str]) -> str | None:
    found = data.get("apiVersion")
    if found != api:
        told = "is missing" if "apiVersion" not in data else f"is {shown(found)}"
        problems.error(data.mark("apiVersion"), f"apiVersion {told}; expected {api}")
    kind = data.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kind
    told = "the field 'kind' is missing" if "kind" not in data else f"found {shown(kind)}"
    similar = nearest(kind, kinds) if isinstance(kind, str) else ""
    expected = f"one of {listed(kinds)}" if len(kinds) > 1 else kinds[0]
    problems.error(data.mark("kind"), f"{told}; expected {expected}{similar}")
    return None


def _with_metadata(data: PlacedDict, spec: PlacedDict, problems: Problems) -> PlacedDict:
    made = PlacedDict(spec.home, spec, dict(spec.marks))
    if "metadata" not in data:
        if "name" not in made:
            problems.error(data.mark("metadata"), "the field 'metadata' is missing; expected it with the field 'name'")
            made.put("name", "?", data.home)
        return made
    metadata = data["metadata"]
    if not isinstance(metadata, PlacedDict):
        problems.error(data.mark("metadata"), f"found {shown(metadata)}; expected a mapping with the field 'name'")
        return made
    closed(metadata, _METADATA, problems)
    if "name" not in metadata and "name" not in made:
        place = metadata.home.value()
        where = Position(place.file, place.line, place.column, "metadata.name")
        problems.error(where, "the field 'name' is missing")
        made.put("name", "?", metadata.home)
    for key in ("name", "labels", "annotations"):
        if key in metadata:
            made.put(key, metadata[key], metadata.mark(key))
    return made
