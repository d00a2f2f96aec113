"""A recorded run that is executed again: what it holds is repeated, and where it ends the run goes live.

The script is executed from its beginning. What it appends is compared with what was recorded, and each call that was
recorded is answered from the recording. Calls that were made at the same time may be repeated in another order than
they were recorded in; everything else has to come as it came before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from duologue.errors import ResumeError
from duologue.journal.events import AgentCalled, CheckEvaluated, Event, ModelCalled, RunResumed, ToolCalled, Transition

PATIENCE = 30.0
"""Seconds that one part of a run waits for another to repeat what was recorded."""

_OUTCOMES = (AgentCalled, ModelCalled, ToolCalled, CheckEvaluated)

_COMPARED: dict[str, tuple[str, ...]] = {
    "run_started": ("scenario", "participants", "settings", "seed"),
    "agent_called": ("participant", "turn", "call", "delivered", "failed", "interrupted"),
    "model_called": ("call", "request_digest"),
    "tool_called": ("call", "name", "arguments"),
    "check_evaluated": ("call", "name", "kind", "scope"),
    "judge_decided": ("kind", "participant", "verdict"),
    "noted": ("kind", "call"),
    "run_finished": ("type",),
}
"""The fields that must be the same, where not all of them: durations and what was answered may differ."""


class RecordedRun:
    """The transitions of an interrupted run, and how many of them have been repeated.

    Args:
        transitions: in order, the first one with the beginning of the run.
    """

    def __init__(self, transitions: Sequence[Transition]) -> None:
        self.transitions = tuple(transitions)
        self._position = 0
        self._outcomes = {
            found: place
            for place, transition in enumerate(self.transitions)
            if isinstance(transition[0].event, _OUTCOMES) and (found := _call(transition[0].event))
        }
        self._open: set[str] = set()
        self._ahead: dict[str, deque[Transition]] = {}
        self._waiting: dict[str | None, list[asyncio.Future[None]]] = {}

    @property
    def seconds(self) -> float:
        """How long the run had taken when its last transition was recorded."""
        return self.transitions[-1][0].at - self.transitions[0][0].at

    @property
    def repeated(self) -> bool:
        """Whether all of it has been repeated."""
        return self._position == len(self.transitions) and not any(self._ahead.values())

    def has(self, call: str) -> bool:
        """Whether the outcome of this call was recorded."""
        return call in self._outcomes

    def begin(self, call: str) -> None:
        """The call is being made: what it recorded may be repeated before its own turn comes."""
        self._open.add(call)

    def repeat(self, events: Sequence[Event]) -> tuple[list[Transition], bool]:
        """Take what happens again.

        Returns:
            What is to be applied to the view now, and whether these events were recorded: False, and then there is no
            more that was.

        Raises:
            ResumeError: something else was recorded.
        """
        key = _call(events[0])
        ahead = self._ahead.get(key) if key else None
        if ahead:
            self._compare(ahead.popleft(), events)
            self._wake()
            return [], True
        applied = self._pass_over(key)
        if self._position == len(self.transitions):
            self._wake()
            return applied, False
        found = self.transitions[self._position]
        self._compare(found, events)
        self._position += 1
        if key and isinstance(events[0], _OUTCOMES):
            self._open.discard(key)
        self._wake()
        return [*applied, found], True

    def advance(self, call: str) -> tuple[list[Transition], Transition | None]:
        """Repeat all that was recorded for this call, as far as its turn has come.

        Returns:
            What is to be applied to the view now, and the outcome of the call if it has come to that.
        """
        last = self._outcomes[call]
        outcome = self.transitions[last]
        if self._position > last:
            self._ahead.pop(call, None)
            return [], outcome
        applied: list[Transition] = []
        while self._position <= last:
            found = self.transitions[self._position]
            key = _call(found[0].event)
            of_call = key is not None and (key == call or key.startswith(f"{call}."))
            if not of_call and not self._may_pass(found, key):
                self._wake()
                return applied, None
            self._position += 1
            applied.append(found)
        self._open.discard(call)
        self._ahead.pop(call, None)
        self._wake()
        return applied, outcome

    async def wait(self, call: str | None) -> None:
        """Wait until another part of the run has repeated something; for None, until all is repeated.

        Raises:
            ResumeError: that does not happen.
        """
        while not self.repeated:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(call, []).append(future)
            try:
                async with asyncio.timeout(PATIENCE):
                    await future
            except TimeoutError:
                raise self._differs("nothing more happens") from None
            if call is not None:
                return

    def wake(self) -> None:
        """Let all that wait look again, because nobody else is going to repeat anything."""
        self._wake()

    def _pass_over(self, key: str | None) -> list[Transition]:
        """What other calls that are being made recorded before the turn of this one."""
        applied: list[Transition] = []
        while self._position < len(self.transitions):
            found = self.transitions[self._position]
            other = _call(found[0].event)
            if other == key and not isinstance(found[0].event, RunResumed):
                break
            if not self._may_pass(found, other):
                break
            applied.append(found)
            self._position += 1
        return applied

    def _may_pass(self, found: Transition, key: str | None) -> bool:
        if isinstance(found[0].event, RunResumed):
            return True
        if key is None or key not in self._open:
            return False
        self._ahead.setdefault(key, deque()).append(found)
        return True

    def _compare(self, recorded: Transition, events: Sequence[Event]) -> None:
        if len(recorded) != len(events) or not all(map(_same, (entry.event for entry in recorded), events)):
            raise self._differs(_shown(events), recorded)

    def _differs(self, happens: str, recorded: Transition | None = None) -> ResumeError:
        place = recorded or self.transitions[min(self._position, len(self.transitions) - 1)]
        before = _shown([entry.event for entry in place])
        return ResumeError(
            f"the run cannot be resumed: event {place[0].seq} was {before} when it was recorded; now {happens}. The "
            "script, the scenario, the settings or what a participant does has changed since; start the run again "
            "instead."
        )

    def _wake(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)


def _call(event: Event) -> str | None:
    return getattr(event, "call", None) or None


@cache
def _fields(cls: type[Any], kind: str) -> tuple[str, ...]:
    return _COMPARED.get(kind) or tuple(item.name for item in fields(cls) if item.name != "type")


def _same(recorded: Event, now: Event) -> bool:
    if recorded.type != now.type:
        return False
    return all(getattr(recorded, name) == getattr(now, name) for name in _fields(type(now), now.type))


def _shown(events: Sequence[Event]) -> str:
    """Events in a few words, for an error."""
    return " with ".join(_words(event) for event in events)


def _words(event: Event) -> str:
    names = [name for name in _fields(type(event), event.type) if name not in {"turn", "scenario", "settings"}]
    shown = ", ".join(f"{name}={getattr(event, name)!r}"[:160] for name in names)
    return f"'{event.type}' ({shown})" if shown else f"'{event.type}'"
