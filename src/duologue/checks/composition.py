"""What the steps of a composition gave.

The engine notes it in the journal (``Noted`` events): kind ``composition.step`` with ``{step, output}``,
``composition.branch`` with ``{branch, taken}``, ``composition.parallel`` with ``{parallel, complete}``,
``composition.output`` with ``{output}``.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding
from duologue.checks.calls import same, spelled
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.checks.text import Json
from duologue.journal.events import Noted
from duologue.models.resources import Resources

STEP, BRANCH = "composition.step", "composition.branch"
PARALLEL, OUTPUT = "composition.parallel", "composition.output"
NO_COMPOSITION = "this run has no composition, so there is no step to look at; leave this check out"


class _Composition(CheckType):
    def look(self, subject: Subject, resources: Resources) -> Finding:
        if not subject.notes_so_far(STEP, BRANCH, PARALLEL, OUTPUT):
            return broken(NO_COMPOSITION)
        return self._read(subject)

    def _read(self, subject: Subject) -> Finding:
        raise NotImplementedError


class _Output(_Composition):
    contains: str | None = None
    """A text that it contains; upper and lower case are the same."""
    equals: Json = None
    """What it is."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.contains is None and "equals" not in self.model_fields_set:
            raise ValueError("contains or equals")
        return self

    def _compared(self, note: Noted | None, what: str) -> Finding:
        if note is None:
            return finding(False, f"{what} gave nothing")
        output = note.data.get("output")
        text = spelled(output)
        good = self.contains is None or self.contains.casefold() in text.casefold()
        good = good and ("equals" not in self.model_fields_set or same(output, self.equals))
        return finding(good, f"{what} gave {text[:120]!r}", output=output)


@check("composition_step_output", family="Composition")
class CompositionStepOutput(_Output):
    """The output of a step contains a text, or equals a value."""

    step: str = Field(min_length=1)
    """The step."""

    def _read(self, subject: Subject) -> Finding:
        return self._compared(_last(subject, STEP, "step", self.step), f"step '{self.step}'")


@check("composition_output", family="Composition")
class CompositionOutput(_Output):
    """The output of the whole contains a text, or equals a value."""

    def _read(self, subject: Subject) -> Finding:
        notes = subject.notes_so_far(OUTPUT)
        return self._compared(notes[-1] if notes else None, "the composition")


@check("composition_branch_taken", family="Composition")
class CompositionBranchTaken(_Composition):
    """A branch step took the expected way."""

    branch: str = Field(min_length=1)
    """The branch step."""
    expected: str = Field(min_length=1)
    """The step that it must lead to."""

    def _read(self, subject: Subject) -> Finding:
        note = _last(subject, BRANCH, "branch", self.branch)
        taken = str(note.data.get("taken", "")) if note else "nothing"
        return finding(taken == self.expected, f"'{self.branch}' led to '{taken}', '{self.expected}' expected")


@check("composition_parallel_complete", family="Composition")
class CompositionParallelComplete(_Composition):
    """Every branch of a parallel step came to its end."""

    parallel: str = Field(min_length=1)
    """The parallel step."""

    def _read(self, subject: Subject) -> Finding:
        note = _last(subject, PARALLEL, "parallel", self.parallel)
        done = bool(note and note.data.get("complete"))
        return finding(done, f"'{self.parallel}' {'is' if done else 'is not'} complete")


def _last(subject: Subject, kind: str, key: str, value: str) -> Noted | None:
    notes = [note for note in subject.notes_so_far(kind) if note.data.get(key) == value]
    return notes[-1] if notes else None
