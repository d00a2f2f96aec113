"""The base of pydantic models of this package, whose schemas are built without pydantic's plugins.

To find plugins, pydantic reads the metadata of every installed package, which takes as long as all else that is done
to read a small suite. Plugins watch the models of programs, such as those of an agent under test: these are built as
ever, and plugins are looked for then.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

_DISABLE = "PYDANTIC_DISABLE_PLUGINS"
_BUILDING = RLock()
_PACKAGE = f"{__name__.partition('.')[0]}."


class OwnModel(BaseModel):
    """A model of this package, built when it is first used. Heirs that programs define are as any other model."""

    model_config = ConfigDict(defer_build=True)

    @classmethod
    def model_rebuild(
        cls,
        *,
        force: bool = False,
        raise_errors: bool = True,
        _parent_namespace_depth: int = 2,
        _types_namespace: Mapping[str, Any] | None = None,
    ) -> bool | None:
        """Build the schema."""
        if not cls.__module__.startswith(_PACKAGE):
            depth = _parent_namespace_depth + 1
            return super().model_rebuild(
                force=force, raise_errors=raise_errors, _parent_namespace_depth=depth, _types_namespace=_types_namespace
            )
        with _without_plugins():
            return super().model_rebuild(
                force=force, raise_errors=raise_errors, _types_namespace=_types_namespace or {}
            )


def adapter(kind: Any, config: ConfigDict | None = None) -> TypeAdapter[Any]:
    """The same for a type that is no model, built at once."""
    with _without_plugins():
        return TypeAdapter(kind, config=config)


@contextmanager
def _without_plugins() -> Generator[None]:
    with _BUILDING:  # two threads at once would take each other's value for the user's
        before = os.environ.get(_DISABLE)
        os.environ[_DISABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_DISABLE]
            else:
                os.environ[_DISABLE] = before
