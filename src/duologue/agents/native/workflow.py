"""The state of a workflow in one run: which event leads where, how often, and the tools that a model changes it with.

The model asks for a change with a tool, and the change is made at once: its next answer, in the same turn, is asked for
in the new state, so that an agent can walk through several states in one turn. Which prompt a state has is the business
of ``blueprint``.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, cast

from duologue.journal.notes import WorkflowEntered, WorkflowMoved
from duologue.messages import JsonValue
from duologue.models.base import ToolSpec
from duologue.specs.suite import Workflow, WorkflowState

TRANSITION_TOOL = "workflow__transition"
ARTIFACT_TOOL = "workflow__set_artifact"
ARTIFACT = "workflow.artifact"


class WorkflowFault(Exception):
    """Something that a model asks for and that the workflow does not allow; says why."""


class WorkflowRun:
    """The workflow of one run.

    Args:
        workflow: its states.
        now: seconds, when it begins.
    """

    def __init__(self, workflow: Workflow, now: float) -> None:
        self._workflow = workflow
        self._began = now
        self._visits = Counter({workflow.entry: 1})
        self._calls = 0
        self.state = workflow.entry
        self.artifacts: dict[str, JsonValue] = {}

    @property
    def spec(self) -> WorkflowState:
        """The state that it is in."""
        return self._workflow.states[self.state]

    def entered(self) -> WorkflowEntered:
        """The note of its beginning."""
        return WorkflowEntered(state=self.state, terminal=self.spec.terminal)

    def count_call(self, now: float) -> None:
        """A tool is called.

        Raises:
            WorkflowFault: the budget is spent.
        """
        most = self._budget("max_tool_calls")
        if most is not None and self._calls >= most:
            raise WorkflowFault(f"the budget of the workflow is spent: max_tool_calls is {most:g}")
        self._calls += 1
        self._within_time(now)

    def ask(
        self, tool: str, arguments: dict[str, JsonValue], now: float, *, call_id: str = ""
    ) -> tuple[dict[str, Any], WorkflowMoved | None]:
        """What the workflow answers to one of its own tools, and the note of the change that it has made.

        Raises:
            WorkflowFault: it does not allow that.
        """
        if tool == ARTIFACT_TOOL:
            return self._set(arguments), None
        event = arguments.get("event")
        known = {} if self.spec.terminal else self.spec.on_event
        if not isinstance(event, str) or event not in known:
            told = ", ".join(known) or f"none, the state '{self.state}' has no events"
            raise WorkflowFault(f"unknown event {json.dumps(event, ensure_ascii=False)}; valid events: {told}")
        self._within_time(now)
        before, self.state = self.state, self._redirected(known[event])
        self._visits[self.state] += 1
        moved = WorkflowMoved(
            origin=before,
            target=self.state,
            event=event,
            terminal=self.spec.terminal,
            context=str(arguments.get("context") or ""),
            call_id=call_id,
        )
        # PromptKit's word for the status, which its tools and assertions know.
        return {"event": event, "status": "transition_scheduled", "target_state": self.state}, moved

    def _redirected(self, target: str) -> str:
        """The state that is entered: another one where this one was entered often enough.

        Raises:
            WorkflowFault: there is no other.
        """
        visits = self._budget("max_total_visits")
        if visits is not None and self._visits.total() >= visits:
            raise WorkflowFault(f"the budget of the workflow is spent: max_total_visits is {visits:g}")
        seen: list[str] = []
        while (most := self._workflow.states[target].max_visits) is not None and self._visits[target] >= most:
            other = self._workflow.states[target].on_max_visits
            seen.append(target)
            if other is None or other in seen:
                raise WorkflowFault(f"the state '{target}' may be entered {most} times, and it was")
            target = other
        return target

    def _set(self, arguments: dict[str, JsonValue]) -> dict[str, Any]:
        name = arguments.get("name")
        known = self.spec.artifacts
        if not isinstance(name, str) or (known and name not in known):
            told = ", ".join(known) or "any text"
            raise WorkflowFault(f"unknown artifact {json.dumps(name, ensure_ascii=False)}; valid names: {told}")
        self.artifacts[name] = arguments.get("value")
        return {"artifact": name, "status": "stored"}

    def _within_time(self, now: float) -> None:
        most = self._budget("max_wall_time_sec")
        if most is not None and now - self._began > most:
            raise WorkflowFault(f"the budget of the workflow is spent: max_wall_time_sec is {most:g}")

    def _budget(self, name: str) -> float | None:
        budget: Any = self._workflow.engine.get("budget")
        value: Any = cast("dict[str, Any]", budget).get(name) if isinstance(budget, dict) else None
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None


def tools_of(state: WorkflowState) -> tuple[ToolSpec, ...]:
    """The workflow's own tools in a state: none where nothing can be asked for."""
    made: list[ToolSpec] = []
    if state.on_event and not state.terminal and state.orchestration != "external":
        made.append(_transition(state))
    if state.artifacts:
        made.append(_artifact(state))
    return tuple(made)


def _transition(state: WorkflowState) -> ToolSpec:
    return _own_tool(
        TRANSITION_TOOL,
        "Move the conversation on when one of the events has happened. It takes effect at once.",
        event={"type": "string", "enum": list(state.on_event), "description": "What has happened."},
        context={"type": "string", "description": "What whoever goes on should know, in a few sentences."},
        required=["event"],
    )


def _artifact(state: WorkflowState) -> ToolSpec:
    return _own_tool(
        ARTIFACT_TOOL,
        "Hand over a result of this stage of the conversation.",
        name={"type": "string", "enum": list(state.artifacts), "description": "Which result."},
        value={"description": "The result."},
        required=["name", "value"],
    )


def _own_tool(tool: str, description: str, /, *, required: list[str], **properties: dict[str, Any]) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name=tool, description=description, strict=False, parameters=parameters)
