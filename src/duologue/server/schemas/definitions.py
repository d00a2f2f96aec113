"""Answers about definitions: the spec's own fields, with id, project and times beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel

from duologue.config.spec import Spec
from duologue.runs.store.definitions import SavedPersona
from duologue.specs.agents import Persona


class StoredDefinition(Protocol):
    """What all rows of definitions have."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def updated_at(self) -> float: ...


class StoredFields(BaseModel):
    """Beside the fields of a definition."""

    id: str
    """Unique everywhere."""
    project_id: str
    """The project that it belongs to."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it was last changed."""


class PersonaAnswer(StoredFields, Persona):
    """A persona that scenarios can name."""


def persona_fields(saved: SavedPersona) -> Mapping[str, Any]:
    """A persona as it is answered."""
    return with_facts(saved, saved.spec)


def with_facts(saved: StoredDefinition, spec: Spec, **more: Any) -> dict[str, Any]:
    """All fields of a spec, with those that every stored definition has."""
    return {
        "id": saved.id,
        "project_id": saved.project_id,
        **spec.model_dump(mode="json"),
        **more,
        "created_at": instant_text(saved.created_at),
        "updated_at": instant_text(saved.updated_at),
    }


def instant_text(seconds: float) -> str:
    """An instant as ISO 8601 in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def optional_instant(seconds: float | None) -> str | None:
    """The same; None for never."""
    return None if seconds is None else instant_text(seconds)
