"""How the run behaved as a whole: guardrails triggered, values preserved, outcomes that equal earlier ones."""

import hashlib
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding, nearest, skipped
from duologue.checks.registry import check, is_known, known_types
from duologue.checks.subject import Subject, ids_of, listed, named, same
from duologue.checks.text import Texts
from duologue.checks.workflow_checks import NO_WORKFLOW, WORKFLOW_NOTES, entered_state
from duologue.config.spec import EMPTY
from duologue.journal.notes import GuardrailApplied, note_to_data
from duologue.models.resources import Resources
from duologue.vocabulary import Scope


@check("guardrail_triggered", family="Behaviour")
class GuardrailTriggered(CheckType):
    """A guardrail was triggered, or was not. A guardrail that never ran was not triggered."""

    renamed: ClassVar = {"validator_type": "validator", "guardrail": "validator"}

    validator: str
    """Check type of the guardrail, such as ``banned_words``."""
    should_trigger: bool = True
    """Set to false to require that the guardrail was not triggered."""
    direction: Literal["input", "output", "both"] | None = None
    """Side of the conversation: ``input`` for the user's messages, ``output`` for the agent's. Default: both."""

    def problems(self, resources: Resources) -> list[str]:
        if ":" in self.validator or is_known(self.validator):
            return []
        near = nearest(self.validator, known_types())
        return [f"validator: found '{self.validator}', which no guardrail is called{near}"]

    def look(self, subject: Subject, resources: Resources) -> Finding:
        said = [note.note for note in subject.notes(GuardrailApplied.kind)]
        ran = [note for note in said if isinstance(note, GuardrailApplied) and self._is_it(note)]
        spoke = [note for note in ran if not note.passed]
        told = f"'{self.validator}' {'spoke' if spoke else 'did not speak'}" + ("" if ran else " (it never ran)")
        return finding(bool(spoke) == self.should_trigger, told, results=[note_to_data(note) for note in ran])

    def _is_it(self, note: GuardrailApplied) -> bool:
        direction = note.direction
        covers = self.direction in {None, "both", direction} or direction == "both"
        return covers and self.validator in {note.type, note.check}


@check("invariant_fields_preserved", family="Behaviour")
class InvariantFieldsPreserved(CheckType):
    """Every call of a tool has the same values in these arguments as the first call."""

    renamed: ClassVar = {"tool_name": "tool", "fields": "fields_"}

    tool: str = Field(min_length=1)
    """Tool name."""
    fields_: Texts
    """Argument names."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = named(subject.calls, self.tool)
        if not calls:
            return finding(False, f"'{self.tool}' was not called")
        first = calls[0].arguments
        lost = [name for name in self.fields_ if name not in first]
        changed = [
            f"{name} became {call.arguments.get(name)!r}"
            for call in calls[1:]
            for name in self.fields_
            if name in first and not (name in call.arguments and same(call.arguments[name], first[name]))
        ]
        told = "; ".join([*(f"the first call has no {name}" for name in lost), *changed])
        return finding(not told, told or f"the same in {len(calls)} calls", ids_of(calls), calls=len(calls))


@check("outcome_equivalent", family="Behaviour")
class OutcomeEquivalent(CheckType):
    """The outcome is the expected one: the tools called, the final workflow state, or the exact words of the answer."""

    metric: Literal["tool_calls", "final_state", "content_hash"]
    """What to compare."""
    expected_tools: list[str] | None = None
    """For ``tool_calls``: names of exactly the tools that were called, in any order and however often."""
    expected_state: str | None = None
    """For ``final_state``: name of the state."""
    expected_hash: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    """For ``content_hash``: SHA-256 of the answer without surrounding whitespace, as 64 hexadecimal digits."""
    expected_content: str | None = None
    """For ``content_hash``: the answer itself, instead of its hash."""

    @model_validator(mode="after")
    def _has_its_expectation(self) -> Self:
        wanted = {"tool_calls": ["tools"], "final_state": ["state"], "content_hash": ["content", "hash"]}[self.metric]
        given = [name for name in wanted if getattr(self, f"expected_{name}") is not None]
        if not given:
            names = " or ".join(f"expected_{name}" for name in wanted)
            raise ValueError(f"{names}, which the metric {self.metric} needs")
        if len(given) > 1:
            raise ValueError("either expected_content or expected_hash")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        if self.metric == "tool_calls":
            called = [call.name for call in subject.calls]
            told = f"called {listed(called)}, expected {listed(self.expected_tools or [])}"
            return finding(set(called) == set(self.expected_tools or []), told, called=called)
        if self.metric == "final_state":
            notes = subject.notes_so_far(*WORKFLOW_NOTES)
            if not notes:
                return broken(NO_WORKFLOW)
            state = entered_state(notes[-1])
            return finding(state == self.expected_state, f"the state is '{state}', '{self.expected_state}' expected")
        digest = _hash_of(subject.answer.text)
        expected = self.expected_hash if self.expected_content is None else _hash_of(self.expected_content)
        good = digest == (expected or "").casefold()
        return finding(good, "the same words" if good else f"other words: their hash is {digest}", digest=digest)


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()


@check("directional", family="Behaviour")
class Directional(CheckType):
    """The run did the same as a baseline: the same calls, the same outcome, or similar words."""

    renamed: ClassVar = {"threshold": "min_similarity"}

    check: Literal["same_tool_calls", "same_outcome", "similar_content"]
    """What to compare."""
    baseline: Annotated[dict[str, Any], Field(min_length=1)] = EMPTY
    """Recorded baseline: ``tool_calls`` (tool names in order), ``state`` or ``content``."""
    baseline_tools: list[str] | None = None
    """For ``same_tool_calls``: names of exactly the tools that were called, in any order and however often."""
    baseline_state: str | None = None
    """For ``same_outcome``: name of the workflow state."""
    baseline_content: str | None = None
    """For ``similar_content`` and ``same_outcome``: the recorded answer."""
    min_similarity: float | None = Field(default=None, ge=0, le=1)
    """For ``similar_content``: minimum share of the words of both texts that occur in both, 0 to 1. Default: 0.8, and
    0.5 for a ``baseline_content``."""

    @model_validator(mode="after")
    def _has_its_baseline(self) -> Self:
        wanted = {
            "same_tool_calls": ["tool_calls"],
            "same_outcome": ["state", "content"],
            "similar_content": ["content"],
        }[self.check]
        beside = {"tool_calls": self.baseline_tools, "state": self.baseline_state, "content": self.baseline_content}
        given = [name for name in wanted if name in self.baseline or beside[name] is not None]
        if not given:
            raise ValueError(f"baseline with {' or '.join(wanted)}, which {self.check} needs")
        if any(name in self.baseline and beside[name] is not None for name in wanted):
            raise ValueError("the baseline once, either within 'baseline' or beside it")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        if self.check == "same_tool_calls":
            called = [call.name for call in subject.calls]
            before: list[str] = self.baseline.get("tool_calls", self.baseline_tools or [])
            same_calls = called == before if self.baseline_tools is None else set(called) == set(before)
            return finding(same_calls, f"called {listed(called)}, before {listed(before)}", called=called)
        state = self.baseline.get("state", self.baseline_state)
        if self.check == "same_outcome" and state is not None:
            expected = OutcomeEquivalent(metric="final_state", expected_state=str(state))
            return expected.look(subject, resources)
        answer, earlier = subject.answer.text, str(self.baseline.get("content", self.baseline_content))
        if self.check == "same_outcome":
            return finding(answer.strip() == earlier.strip(), "the words are compared", before=earlier, after=answer)
        ours, theirs = set(answer.casefold().split()), set(earlier.casefold().split())
        share = len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
        least = (0.8 if self.baseline_content is None else 0.5) if self.min_similarity is None else self.min_similarity
        told = f"{share:.2f} of the words are the same, at least {least:g} expected"
        return finding(share >= least, told, ids_of([subject.answer]), similarity=share)


@check("recorded_value", aliases=["recorded_reward"], scopes=(Scope.CONVERSATION,), family="Behaviour")
class RecordedValue(CheckType):
    """A recording says of itself that it went well: its source gave it a high enough reward, or the value asked for.

    Skipped where the source says nothing.
    """

    field: str = Field(default="reward", min_length=1)
    """Fact of the recording, such as ``reward``; facts are listed under ``recording`` in the results."""
    min: float | None = None
    """Lowest number that passes. Default, without ``equals``: 1, which is what tau-bench calls solved."""
    equals: Any = None
    """Value that passes, such as ``true`` or ``resolved``, in place of ``min``."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.min is not None and self.equals is not None:
            raise ValueError("min or equals, not both")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        started = subject.input.state.view.started
        recorded: object = started.scenario.metadata.get("recording") if started else None
        value = cast("dict[str, Any]", recorded).get(self.field) if isinstance(recorded, dict) else None
        if value is None:
            return skipped(f"the recording does not say its {self.field}")
        if self.equals is not None:
            return finding(same(value, self.equals), f"{self.field} is {value!r}, {self.equals!r} is expected")
        least = 1.0 if self.min is None else self.min
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return broken(f"{self.field} is {value!r}; expected a number, or give equals")
        return finding(value >= least - _ROUNDED, f"{self.field} is {value:g}, at least {least:g} is expected")


_ROUNDED = 1e-6
"""What sources compute may miss a limit by: tau-bench takes 0.999999 for 1."""
