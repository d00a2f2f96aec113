"""How checks, guardrails and evals of prompt packs are written in a suite. What they do is in ``duologue.checks``."""

from __future__ import annotations

from typing import Literal

from duologue.errors import Position
from duologue.specs.spec import EMPTY, Amount, Items, JsonObject, Name, Share, Spec

ScopeName = Literal["turn", "conversation"]


class Condition(Spec):
    """When a check applies. All that is set must hold; otherwise the check is skipped."""

    tool_called: str | None = None
    """A tool of this name was called."""
    tool_called_pattern: str | None = None
    """A tool was called whose name matches this regular expression."""
    any_tool_called: bool | None = None
    """True: some tool was called. False: none was."""
    min_tool_calls: Amount | None = None
    """At least so many calls were made."""


class CheckSpec(Spec):
    """An assertion about one turn or about the whole conversation."""

    type: Name
    """A type of the catalogue of checks, one that a package offers, or ``module:function``."""
    params: JsonObject = EMPTY
    """Parameters of the type."""
    scope: ScopeName | None = None
    """What it looks at; None for what follows from the place where it is written."""
    message: str | None = None
    """What is said when it does not pass."""
    min_score: Share | None = None
    """The score must reach it."""
    max_score: Share | None = None
    """The score must not exceed it."""
    pass_threshold: Share | None = None
    """Share of the trials of a scenario in which it must pass; None for all of them."""
    when: Condition | None = None
    """When it applies."""

    @property
    def position(self) -> Position | None:
        """Where it is written; None for one that was made by code."""
        return self.place()


class GuardrailSpec(Spec):
    """A check that is asked about each message before it goes on."""

    type: Name
    """A type of the catalogue of checks."""
    params: JsonObject = EMPTY
    """Parameters of the type."""
    direction: Literal["input", "output", "both"] = "output"
    """Look at what the user says, at what the agent says, or at both."""
    message: str | None = None
    """What stands in the place of the message. Without it, an answer goes on as it is, and the violation is noted."""
    enabled: bool = True
    """False: it is never asked."""
    fail_on_violation: bool = True
    """Whether a violation fails the run."""


class Threshold(Spec):
    """What counts as passing for an eval of a prompt pack."""

    passed: bool | None = None
    """False: it is expected to fail."""
    min_score: Share | None = None
    """The score must reach it."""
    max_score: Share | None = None
    """The score must not exceed it."""


class PackEvalSpec(Spec):
    """An eval of a prompt pack. It runs beside a suite's own checks."""

    id: Name
    """Its name; one of a prompt replaces one of the pack with the same id."""
    type: Name
    """A type of the catalogue of checks."""
    trigger: Literal[
        "every_turn",
        "on_session_complete",
        "sample_turns",
        "sample_sessions",
        "on_conversation_complete",
        "on_workflow_step",
    ]
    """When it runs."""
    params: JsonObject = EMPTY
    """Parameters of the type."""
    description: str = ""
    """For people."""
    enabled: bool = True
    """False: it is skipped."""
    sample_percentage: float = 5
    """Of turns or runs, for triggers that sample; 0 to 100."""
    metric: JsonObject | None = None
    """How other systems export its score: name, type, range, labels. Has no effect here."""
    threshold: Threshold | None = None
    """What counts as passing."""
    message: str | None = None
    """What is said when it does not pass."""
    when: Condition | None = None
    """When it applies."""
    groups: Items[str] = ()
    """How other systems choose evals. Has no effect here."""
