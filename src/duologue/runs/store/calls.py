"""Production calls: conversations that an agent had with real people, and where they are fetched from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from duologue.config.spec import Items, Spec
from duologue.frozen import frozen
from duologue.runs.store.releases import iso

CallLabel = Literal["good", "bad"]
LONGEST_CALL = 24 * 3600.0
"""Seconds after which a call that is not over is not waited for any more."""


class CallSourceSpec(Spec):
    """How the calls of a platform are fetched."""

    api_key: str | None = None
    """Key of the platform's API, as ``${NAME}``. Default: the variable of the platform, such as ``RETELL_API_KEY``."""
    url: str | None = None
    """URL of the API. Default: the platform's own."""
    since: float | None = None
    """Older calls are not fetched: seconds since 1970. Default: all."""
    allow_private_addresses: bool = False
    """Whether the URL may lead to loopback and private addresses."""


class Gap(Spec):
    """A range of time whose calls are still to be fetched, the newest first."""

    low: float
    """Seconds since 1970."""
    high: float | None = None
    """Seconds since 1970. None for now."""


class FetchedSoFar(Spec):
    """How far the calls of a source have been fetched. Everything before ``newest`` is here, but for the gaps."""

    newest: float | None = None
    """Start of the newest call that is here."""
    under_way: float | None = None
    """Start of the oldest call that was not over when it was seen; it is asked for again."""
    gaps: Items[Gap] = ()
    """The newest first."""


@frozen
class CallSource:
    """An agent of a platform whose calls are fetched.

    Attributes:
        platform: ``retell``, ``vapi`` or ``elevenlabs``.
        platform_agent_id: its id there.
        agent_id: of the saved agent that it is; None for none.
        watermark: all calls that began before are here: seconds since 1970.
        synced_at: when calls were last fetched.
    """

    id: str
    project_id: str
    platform: str
    platform_agent_id: str
    agent_id: str | None
    spec: CallSourceSpec
    so_far: FetchedSoFar
    watermark: float | None = None
    synced_at: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        data = {name: value for name, value in vars(self).items() if name not in {"spec", "so_far"}}
        instants = {name: iso(data[name]) for name in _INSTANTS if data.get(name) is not None}
        return {**data, **self.spec.written(), **instants, "complete": not self.so_far.gaps}


@frozen
class PlatformCall:
    """A call as its platform tells of it.

    Attributes:
        id: at the platform.
        position: by which lists are ordered: seconds since 1970; None if it is not known.
        started_at: seconds since 1970.
        seconds: how long it took.
        is_over: nothing more is said in it.
        data: what the platform says, as JSON data.
        may_take: seconds after ``position`` until which a call that is not over is waited for.
    """

    id: str
    position: float | None
    started_at: float | None
    seconds: float | None
    is_over: bool
    data: Mapping[str, Any]
    may_take: float = LONGEST_CALL


@frozen
class ProductionCall:
    """A call that was fetched.

    Attributes:
        number: in the order in which they were fetched.
        started_at: seconds since 1970, as the other instants.
        seconds: how long it took; None if that is not known.
        label: ``good`` or ``bad``, as somebody has said.
        seen_at: when somebody first looked at it.
        data: what the platform says; None in lists.
    """

    id: str
    number: int
    project_id: str
    source_id: str | None
    agent_id: str | None
    platform: str
    platform_call_id: str
    started_at: float
    seconds: float | None = None
    label: CallLabel | None = None
    seen_at: float | None = None
    data: Mapping[str, Any] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        data = {name: value for name, value in vars(self).items() if name != "data" or value is not None}
        return {**data, **{name: iso(data[name]) for name in _INSTANTS if data.get(name) is not None}}


_INSTANTS = ("started_at", "seen_at", "watermark", "synced_at", "created_at", "updated_at")


@frozen
class PulledCalls:
    """What fetching calls has come to.

    Attributes:
        new: calls that were not here.
        known: calls that were here already, or were deleted here.
        under_way: calls that are not over; they are fetched later.
        pages: that were asked for.
        more: there are older ones that the next time fetches.
        problems: what could not be read and was left out.
    """

    source: CallSource
    new: int = 0
    known: int = 0
    under_way: int = 0
    pages: int = 0
    more: bool = False
    problems: Sequence[str] = ()

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        names = ("new", "known", "under_way", "pages", "more")
        counts = {name: getattr(self, name) for name in names}
        return {"source": self.source.as_data(), **counts, "problems": list(self.problems)}
