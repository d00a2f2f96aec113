"""How the run behaved as a whole: guardrails triggered, values preserved, outcomes that equal earlier ones."""

import hashlib
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding, nearest
from duologue.checks.registry import check, is_known, known_types
from duologue.checks.subject import Subject, ids_of, listed, named, same
from duologue.checks.text import Texts
from duologue.checks.workflow_checks import NO_WORKFLOW, WORKFLOW_NOTES, entered_state
from duologue.journal.notes import GuardrailApplied, note_to_data
from duologue.models.resources import Resources


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
        told = "; ".join([*(f"{name} is not there" for name in lost), *changed])
        return finding(not told, told or f"the same in {len(calls)} calls", ids_of(calls), calls=len(calls))


@check("outcome_equivalent", family="Behaviour")
class OutcomeEquivalent(CheckType):
    """The outcome is the expected one: the tools called, the final workflow state, or the exact words of the answer."""

    metric: Literal["tool_calls", "final_state", "content_hash"]
    """What to compare."""
    expected_tools: list[str] | None = None
    """For ``tool_calls``: tool names in any order, each as often as it must be called."""
    expected_state: str | None = None
    """For ``final_state``: name of the state."""
    expected_hash: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    """For ``content_hash``: SHA-256 of the answer without surrounding whitespace, as 64 hexadecimal digits."""

    @model_validator(mode="after")
    def _has_its_expectation(self) -> Self:
        wanted = {"tool_calls": "tools", "final_state": "state", "content_hash": "hash"}[self.metric]
        if getattr(self, f"expected_{wanted}") is None:
            raise ValueError(f"expected_{wanted}, which the metric {self.metric} needs")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        if self.metric == "tool_calls":
            called = [call.name for call in subject.calls]
            told = f"called {listed(called)}, expected {listed(self.expected_tools or [])}"
            return finding(Counter(called) == Counter(self.expected_tools), told, called=called)
        if self.metric == "final_state":
            notes = subject.notes_so_far(*WORKFLOW_NOTES)
            if not notes:
                return broken(NO_WORKFLOW)
            state = entered_state(notes[-1])
            return finding(state == self.expected_state, f"the state is '{state}', '{self.expected_state}' expected")
        digest = hashlib.sha256(subject.answer.text.strip().encode("utf-8", "surrogatepass")).hexdigest()
        good = digest == (self.expected_hash or "").casefold()
        return finding(good, "the same words" if good else f"other words: their hash is {digest}", digest=digest)


@check("directional", family="Behaviour")
class Directional(CheckType):
    """The run did the same as a baseline: the same calls, the same outcome, or similar words."""

    check: Literal["same_tool_calls", "same_outcome", "similar_content"]
    """What to compare."""
    baseline: Annotated[dict[str, Any], Field(min_length=1)]
    """Recorded baseline: ``tool_calls`` (tool names in order), ``state`` or ``content``."""
    min_similarity: float = Field(default=0.8, ge=0, le=1)
    """For ``similar_content``: minimum share of the words of both texts that occur in both, 0 to 1."""

    @model_validator(mode="after")
    def _has_its_baseline(self) -> Self:
        wanted = {
            "same_tool_calls": ["tool_calls"],
            "same_outcome": ["state", "content"],
            "similar_content": ["content"],
        }
        if not set(wanted[self.check]) & set(self.baseline):
            raise ValueError(f"baseline with {' or '.join(wanted[self.check])}, which {self.check} needs")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        if self.check == "same_tool_calls":
            called = [call.name for call in subject.calls]
            before: list[str] = self.baseline["tool_calls"]
            return finding(called == before, f"called {listed(called)}, before {listed(before)}", called=called)
        if self.check == "same_outcome" and "state" in self.baseline:
            expected = OutcomeEquivalent(metric="final_state", expected_state=str(self.baseline["state"]))
            return expected.look(subject, resources)
        answer, earlier = subject.answer.text, str(self.baseline["content"])
        if self.check == "same_outcome":
            return finding(answer.strip() == earlier.strip(), "the words are compared", before=earlier, after=answer)
        ours, theirs = set(answer.casefold().split()), set(earlier.casefold().split())
        share = len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
        told = f"{share:.2f} of the words are the same, at least {self.min_similarity:g} expected"
        return finding(share >= self.min_similarity, told, ids_of([subject.answer]), similarity=share)
