"""The state of a workflow, and how it got there.

A native agent with a workflow notes its first state and each transition in the journal. In a run without a workflow
these checks are errors: a check that nothing could decide must not pass.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from duologue.checks.base import CheckType, Finding, broken, finding
from duologue.checks.registry import check
from duologue.checks.subject import Subject, listed, subsequence_length
from duologue.checks.text import Texts
from duologue.journal.causes import workflow_states
from duologue.journal.events import Noted
from duologue.journal.notes import WorkflowEntered, WorkflowMoved
from duologue.models.resources import Resources

WORKFLOW_NOTES = (WorkflowEntered.kind, WorkflowMoved.kind)
NO_WORKFLOW = "this run has no workflow, so there is no state to look at; add a workflow, or remove this check"


class _Workflow(CheckType):
    def look(self, subject: Subject, resources: Resources) -> Finding:
        notes = subject.notes_so_far(*WORKFLOW_NOTES)
        return self._read(notes, subject) if notes else broken(NO_WORKFLOW)

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        raise NotImplementedError


class _State(_Workflow):
    state: str = Field(min_length=1)
    """State name."""


@check("workflow_complete", family="Workflow")
class WorkflowComplete(_Workflow):
    """The workflow has reached a final state."""

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        last = notes[-1].note
        state, done = entered_state(notes[-1]), isinstance(last, (WorkflowEntered, WorkflowMoved)) and last.terminal
        return finding(
            done, f"the workflow is in '{state}', which {'ends' if done else 'does not end'} it", state=state
        )


@check("state_is", aliases=["workflow_state_is"], family="Workflow")
class StateIs(_State):
    """The workflow is in this state after the turn, or at the end of the conversation."""

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        state = entered_state(notes[-1])
        return finding(state == self.state, f"the state is '{state}', '{self.state}' expected", state=state)


@check("transitioned_to", aliases=["workflow_transitioned_to"], family="Workflow")
class TransitionedTo(_State):
    """The workflow has entered this state: until this turn, or at any time in the conversation."""

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        states = _transitions(notes)
        return finding(self.state in states, f"went into {listed(states)}, '{self.state}' expected", states=states)


@check("workflow_transition_order", family="Workflow")
class WorkflowTransitionOrder(_Workflow):
    """The workflow entered these states in this order, others in between allowed. The score is the share reached."""

    sequence: Texts
    """State names in order."""

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        states = _transitions(notes)
        matched = subsequence_length(self.sequence, states)
        told = f"went into {listed(states)}, in this order expected: {listed(self.sequence)}"
        return finding(matched / len(self.sequence), told, states=states)


class AccessRule(BaseModel):
    """The tools that may be called in one state."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    state: str = Field(min_length=1)
    """State name."""
    allowed: list[str]
    """Names of the tools that may be called in it."""


@check("workflow_tool_access", family="Workflow")
class WorkflowToolAccess(_Workflow):
    """In each of these states the agent called only the allowed tools. The workflow's own tools are always allowed."""

    rules: Annotated[list[AccessRule], Field(min_length=1)]
    """One rule for each state: its name as ``state`` and the tool names ``allowed`` in it."""

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        rules = {rule.state: rule.allowed for rule in self.rules}
        violations: list[dict[str, Any]] = []
        states = workflow_states(subject.input.state.view.records, notes)
        for call in subject.calls:
            state = states.get(call.message_id, "")
            if state in rules and call.name not in rules[state] and not call.name.startswith("workflow__"):
                violations.append({"turn_index": call.turn, "state": state, "tool": call.name})
        told = "; ".join(f"'{item['tool']}' was called in '{item['state']}'" for item in violations)
        return finding(not violations, told or "only allowed tools were called", violations=violations)


@check("spoke_in_state", family="Workflow")
class SpokeInState(_State):
    """The agent said something while the workflow was in this state."""

    renamed: ClassVar = {"state_name": "state"}

    def _read(self, notes: list[Noted], subject: Subject) -> Finding:
        states = workflow_states(subject.input.state.view.records, notes)
        said = [item for item in subject.said if item.text.strip() and states.get(item.message_id) == self.state]
        told = f"{len(said)} messages in '{self.state}'"
        return finding(bool(said), told, [item.message_id for item in said])


def entered_state(note: Noted) -> str:
    """The state in which this note of a workflow leaves it; '' for any other note."""
    match note.note:
        case WorkflowEntered() as found:
            return found.state
        case WorkflowMoved() as found:
            return found.target
        case _:
            return ""


def _transitions(notes: list[Noted]) -> list[str]:
    return [entered_state(note) for note in notes if isinstance(note.note, WorkflowMoved)]
