"""Reading journals that an older version wrote.

Each step turns one raw event of version *n* into version *n + 1*; a journal is upgraded while it is read and the file
stays as it is. A change of the event models that old files do not fit adds a step here and a fixture in
``tests/journal/versions/``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.errors import JournalVersionError
from duologue.journal.events import SCHEMA_VERSION
from duologue.journal.notes import make_note

RawEvent = dict[str, Any]


class _FromVersion1:
    """Version 1 named no causes: calls of models came before the call of the participant that they were made for.

    Calls of participants are numbered in the order in which they ended, and what follows one of them is put down to it.
    A call of a model is given to a participant where its name leaves no doubt, and keeps no id.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._calls = 0
        self._call: str | None = None

    def __call__(self, raw: RawEvent) -> RawEvent:
        kind = raw.get("type")
        if kind == "run_started":
            self._names = [str(item.get("name")) for item in raw.get("participants", ())]
        elif kind == "agent_called":
            self._calls += 1
            self._call = f"c{self._calls}"
            raw = {**raw, "call": self._call}
        elif (kind == "message_added" and raw.get("author") is not None) or kind == "user_finished":
            raw = {**raw, "call": self._call}
        elif kind == "judge_decided":
            raw = {**raw, "call": self._call or "", "participant": self._participant(raw.get("judge"))}
        elif kind == "model_called":
            raw = {**raw, "participant": self._participant(raw.get("asker"))}
        elif kind == "noted":
            raw = _note(raw)
        return raw

    def _participant(self, name: object) -> int | None:
        places = [index for index, known in enumerate(self._names) if known == name]
        return places[0] if len(places) == 1 else None


def _note(raw: RawEvent) -> RawEvent:
    rest = {key: value for key, value in raw.items() if key not in {"kind", "data"}}
    data: dict[str, Any] = {**(raw.get("data") or {})}
    if "deeds" in data:  # the old name in the notes of attacks
        data["tool_calls"] = data.pop("deeds")
    return {**rest, "note": make_note(str(raw.get("kind")), data)}


STEPS: dict[int, Callable[[], Callable[[RawEvent], RawEvent]]] = {1: _FromVersion1}
"""From version *n* to *n + 1*, by *n*: each makes what upgrades the events of one journal in their order."""


class Upgrade:
    """Upgrades the events of one journal, in their order.

    Raises:
        JournalVersionError: the journal is newer than this Duologue, or older than any it can read.
    """

    def __init__(
        self,
        version: int,
        *,
        steps: dict[int, Callable[[], Callable[[RawEvent], RawEvent]]] | None = None,
        to: int = SCHEMA_VERSION,
    ) -> None:
        steps = STEPS if steps is None else steps
        if version > to:
            raise JournalVersionError(
                f"this journal has schema version {version}; this Duologue reads up to {to}. Upgrade Duologue to read "
                "it."
            )
        if any(step not in steps for step in range(version, to)):
            raise JournalVersionError(f"this journal has schema version {version}, which is too old to be read")
        self._steps = [steps[step]() for step in range(version, to)]
        self._to = to

    def __call__(self, raw: RawEvent) -> RawEvent:
        """The event as today's version writes it."""
        for step in self._steps:
            raw = step(raw)
        return {**raw, "schema_version": self._to} if raw.get("type") == "run_started" else raw
