"""A recorded run that is executed again: what it holds is repeated, and where it ends the run goes live.

The script is executed from its beginning. What it appends is compared with what was recorded, and each call that was
recorded is answered from the recording. Calls that were made at the same time may be repeated in another order than
they were recorded in; everything else has to come as it came before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from duologue.errors import ResumeError
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    Event,
    ModelCalled,
    RunResumed,
    RunStarted,
    ToolCalled,
    Transition,
)

PATIENCE = 30.0
"""Seconds that one part of a run waits for another to repeat what was recorded."""

_SHOWN = 200
"""Characters of a value that an error shows."""

_SHOWN_WHOLE = 60
"""Characters of a mapping that an error shows; of a longer one, it names the field that differs."""

_OUTCOMES = (AgentCalled, ModelCalled, ToolCalled, CheckEvaluated)

_COMPARED: dict[str, tuple[str, ...]] = {
    "run_started": ("scenario", "participants", "settings", "seed", "code"),
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
        """How long the run had taken when its last transition was recorded, without the time between its processes."""
        total, began = 0.0, self.transitions[0][0].at
        last = began
        for transition in self.transitions:
            if isinstance(transition[0].event, RunResumed):
                total, began = total + last - began, transition[0].at
            last = transition[0].at
        return total + last - began

    @property
    def model_calls(self) -> list[ModelCalled]:
        """All calls of models that were recorded, whoever made them."""
        events = [entry.event for transition in self.transitions for entry in transition]
        return [event for event in events if isinstance(event, ModelCalled)]

    @property
    def repeated(self) -> bool:
        """Whether all of it has been repeated."""
        return self._position == len(self.transitions) and not any(self._ahead.values())

    def has(self, call: str) -> bool:
        """Whether the outcome of this call was recorded."""
        return call in self._outcomes

    def compare_beginning(self, started: RunStarted) -> None:
        """See that this is the run that was recorded.

        Raises:
            ResumeError: it has another script, other participants or settings.
        """
        self._compare(self.transitions[0], [started])

    def broke_off(self, call: str) -> bool:
        """Whether this call was recorded without its end: it failed, or the script ended it."""
        place = self._outcomes.get(call)
        event = None if place is None else self.transitions[place][0].event
        return isinstance(event, AgentCalled) and (event.failed or event.interrupted)

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
            if not of_call and not isinstance(found[0].event, RunResumed):
                # Whoever recorded this repeats it first, so that what it does next comes in the order of then.
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
                raise self._stuck() from None
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
        for entry, event in zip(recorded, events, strict=False):
            if difference := _difference(entry.event, event):
                raise _differs(entry.seq, difference)
        if len(recorded) != len(events):
            raise _differs(recorded[0].seq, f"it came with {len(recorded) - 1} more, and now with {len(events) - 1}")

    def _stuck(self) -> ResumeError:
        found = self.transitions[min(self._position, len(self.transitions) - 1)][0]
        return _differs(found.seq, f"it was '{found.event.type}', and now nothing more happens")

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


def _differs(seq: int, difference: str) -> ResumeError:
    return ResumeError(
        f"the run cannot be resumed: event {seq} of its journal is not what happens now: {difference}. The script, the "
        "scenario, the settings or what a participant does has changed since; start the run again instead."
    )


def _difference(recorded: Event, now: Event) -> str:
    """The first thing in which two events differ, in words; '' if they are the same."""
    if recorded.type != now.type:
        return f"it was '{recorded.type}', now it is '{now.type}'"
    for name in _fields(type(now), now.type):
        was, value = getattr(recorded, name), getattr(now, name)
        if was != value and (name != "code" or (was and value)):  # who has not looked at it, says nothing of it
            return _inner_difference(f"{now.type}.{name}", was, value)
    return ""


def _inner_difference(place: str, was: Any, now: Any) -> str:
    """The same, down to the field of a snapshot."""
    before, after = _mapping(was), _mapping(now)
    if before is not None and after is not None and max(len(repr(before)), len(repr(after))) > _SHOWN_WHOLE:
        for key in {**before, **after}:
            if before.get(key, _NOTHING) != after.get(key, _NOTHING):
                return _inner_difference(f"{place}.{key}", before.get(key, _NOTHING), after.get(key, _NOTHING))
    if is_dataclass(was) and type(was) is type(now):
        for item in fields(was):
            before, value = getattr(was, item.name), getattr(now, item.name)
            if before != value:
                return _inner_difference(f"{place}.{item.name}", before, value)
    for index, (before, value) in enumerate(zip(_items(was), _items(now), strict=False)):
        if before != value:
            return _inner_difference(f"{place}[{index}]", before, value)
    return f"{place} was {_excerpt(was)}, now it is {_excerpt(now)}"


class _Nothing:
    """Stands for a key that is not there."""

    def __repr__(self) -> str:
        return "not set"


_NOTHING = _Nothing()


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _items(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else ()


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
