"""Production calls and where they come from, as they are sent and answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from duologue.config.spec import Name, Spec, Text
from duologue.runs.call_pull import MOST_PAGES
from duologue.runs.store.calls import CallSource, CallSourceSpec, ProductionCall, PulledCalls
from duologue.server.schemas.definitions import StoredFields, optional_instant, with_facts
from duologue.transcripts.recording import Recording

USUAL_PAGES = 5


class CallSourceFields(CallSourceSpec):
    """Where calls come from, as it is written."""

    platform: Literal["retell", "vapi", "elevenlabs"]
    """The platform."""
    platform_agent_id: Text
    """ID of the agent there."""
    agent_id: Name | None = None
    """The saved agent that it is."""


class CallSourceAnswer(StoredFields, CallSourceFields):
    """An agent of a platform whose calls are fetched."""

    watermark: datetime | None
    """All calls that began before are here."""
    synced_at: datetime | None
    """When calls were last fetched."""
    complete: bool
    """Whether nothing is left to be fetched that an earlier request has skipped."""


class PullFields(Spec):
    """How much is fetched."""

    pages: int = Field(default=USUAL_PAGES, ge=1, le=MOST_PAGES)
    """Pages of 100 calls; what is left is fetched the next time."""


class PulledAnswer(BaseModel):
    """What fetching calls has come to."""

    source: CallSourceAnswer
    """The source as it is now."""
    new: int
    """Calls that were not here."""
    known: int
    """Calls that were here already, or were deleted here."""
    under_way: int
    """Calls that are not over; they are fetched later."""
    pages: int
    """That were asked for."""
    more: bool
    """Whether there are older ones that the next request fetches."""
    problems: list[str]
    """What could not be read and was left out."""


class CallItem(StoredFields):
    """A production call, without what was said."""

    source_id: str | None
    """The source that it was fetched from."""
    agent_id: str | None
    """The saved agent that spoke."""
    platform: str
    """The platform."""
    platform_call_id: str
    """Its id there."""
    started_at: datetime
    """When it began."""
    seconds: float | None
    """How long it took."""
    label: Literal["good", "bad"] | None
    """What somebody has said of it."""
    seen_at: datetime | None
    """When somebody first looked at it."""


class CallAnswer(CallItem):
    """A production call."""

    messages: list[dict[str, Any]]
    """What was said, as chat messages."""
    problem: str | None
    """Why there are no messages."""
    data: dict[str, Any]
    """What the platform says of the call."""


class CallChanges(Spec):
    """What people say of a call."""

    label: Literal["good", "bad"] | None = None
    """``good`` or ``bad``; null takes it away."""
    seen: bool = False
    """Whether somebody has looked at it."""


class CallRunAnswer(BaseModel):
    """The run that a call was stored as."""

    run_id: str
    """The run, which can be labelled like any other."""


def source_fields(saved: CallSource) -> Mapping[str, Any]:
    """A source as it is answered."""
    fields = {
        "platform": saved.platform,
        "platform_agent_id": saved.platform_agent_id,
        "agent_id": saved.agent_id,
        **saved.spec.model_dump(mode="json"),
        "watermark": optional_instant(saved.watermark),
        "synced_at": optional_instant(saved.synced_at),
        "complete": not saved.so_far.gaps,
    }
    return with_facts(saved, fields)


def pulled_fields(done: PulledCalls) -> Mapping[str, Any]:
    """What fetching calls has come to, as it is answered."""
    return {**done.as_data(), "source": source_fields(done.source)}


def call_item(saved: ProductionCall) -> Mapping[str, Any]:
    """A call as lists show it."""
    names = ("source_id", "agent_id", "platform", "platform_call_id", "seconds", "label")
    instants = {name: optional_instant(getattr(saved, name)) for name in ("started_at", "seen_at")}
    return with_facts(saved, {**{name: getattr(saved, name) for name in names}, **instants})


def call_fields(saved: ProductionCall, found: Recording) -> Mapping[str, Any]:
    """A call as it is answered."""
    return {
        **call_item(saved),
        "messages": [item.message for item in found.messages] if found.error is None else [],
        "problem": None if found.error is None else str(found.error),
        "data": dict(saved.data or {}),
    }
