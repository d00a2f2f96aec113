"""Which reader understands which ``apiVersion``. Readers of other systems' files are found by name, not imported.

A package adds one with an entry point ``duologue.dialects``: its name is the ``apiVersion``, the object a
:data:`Reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from duologue.config.problems import Problems
from duologue.errors import TargetError
from duologue.specs.suite import Suite
from duologue.suites.manifests.manifest import API_VERSION

Reader = Callable[[Path, Any, Problems], "Suite | None"]
"""Makes a suite of the path and the placed data of its main file. A file that holds only one resource gives a suite
with nothing but that resource."""

_READERS = {
    API_VERSION: "duologue.suites.manifests.native:read_suite",
    "promptkit.altairalabs.ai/v1alpha1": "duologue.compat.promptkit:read_suite",
}


def known_versions() -> list[str]:
    """Every ``apiVersion`` that can be read."""
    return [*_READERS, *(point.name for point in entry_points(group="duologue.dialects"))]


def reader_of(version: str) -> Reader | None:
    """The reader for an ``apiVersion``; None if nobody understands it.

    Raises:
        TargetError: the package that offers it cannot be loaded.
    """
    if version in _READERS:
        module, _, name = _READERS[version].partition(":")
        return cast("Reader", getattr(import_module(module), name))
    for point in entry_points(group="duologue.dialects"):
        if point.name == version:
            try:
                return cast("Reader", point.load())
            except (ImportError, AttributeError) as error:
                raise TargetError(f"the package that reads '{version}' cannot be loaded: {error}") from error
    return None
