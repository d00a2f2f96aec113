"""What a service answers: frozen models that let fields pass which this version does not know."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from duologue.own_model import OwnModel

EMPTY: dict[str, Any] = {}
"""The default of fields that hold a mapping; each model gets a copy of its own."""


class Answer(OwnModel):
    """Base of everything that the service gives."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", defer_build=True, populate_by_name=True, protected_namespaces=()
    )

    __slots__ = ("_tag",)  # no part of what the answer is: it has no influence on whether two are equal

    @property
    def etag(self) -> str | None:
        """Says which state this is: pass it as ``if_match`` to change nothing that others have changed meanwhile."""
        return getattr(self, "_tag", None)

    def tagged(self, etag: str | None) -> None:
        """Take over the ``ETag`` of the answer that this was read from."""
        object.__setattr__(self, "_tag", etag)
