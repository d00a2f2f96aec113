"""Checks, guardrails and evals of prompt packs as a suite declares them. What they do is in ``duologue.checks``."""

from typing import Annotated, Literal

from pydantic import Field

from duologue.config.patterns import Pattern
from duologue.config.spec import EMPTY, Amount, JsonObject, Name, Share, Spec
from duologue.errors import Position

ScopeName = Literal["turn", "conversation"]


class When(Spec):
    """When a check applies. Every condition that is set must hold; otherwise the check is skipped."""

    tool_called: str | None = None
    """A tool with this name was called."""
    tool_called_pattern: Pattern | None = None
    """A tool was called whose name matches this regular expression, such as ``search_.*``."""
    any_tool_called: bool | None = None
    """True: at least one tool was called. False: no tool was called."""
    min_tool_calls: Amount | None = None
    """At least this many tool calls were made."""


class CheckSpec(Spec):
    """An assertion about one turn or about the whole conversation."""

    type: Name
    """Check type: one of the catalogue such as ``contains``, one that an installed package adds, or your own Python
    function as ``module:function``."""
    params: JsonObject = EMPTY
    """Parameters of the check type; see the reference of checks."""
    scope: ScopeName | None = None
    """What the check looks at. Default: one turn for checks of a turn, else the whole conversation."""
    message: str | None = None
    """Text shown when the check fails, and the check's name in reports."""
    min_score: Share | None = None
    """Lowest score that passes, from 0 to 1. For checks that give a score."""
    max_score: Share | None = None
    """Highest score that passes, from 0 to 1. For checks that give a score."""
    pass_threshold: Share | None = None
    """Share of a scenario's trials in which the check must pass, from 0 to 1. Default: all trials."""
    when: When | None = None
    """Conditions under which the check applies. Default: always."""

    @property
    def position(self) -> Position | None:
        """Where the check is written; None for one that code created."""
        return self.place()


class GuardrailSpec(Spec):
    """A check that every message passes through before it is delivered."""

    type: Name
    """Check type from the catalogue, such as ``banned_words``."""
    params: JsonObject = EMPTY
    """Parameters of the check type; see the reference of checks."""
    direction: Literal["input", "output", "both"] = "output"
    """Which messages are checked: the user's (``input``), the agent's (``output``) or both."""
    message: str | None = None
    """Text that replaces a message that fails. Without it, the message is delivered unchanged and the violation is
    recorded, unless ``enforce`` is set."""
    enforce: bool = False
    """Replace an answer that fails even without a ``message``: by a standard text, and one that is too long by its
    beginning."""
    enabled: bool = True
    """Set to false to switch the guardrail off."""
    fail_on_violation: bool = True
    """Whether a violation fails the run."""


class Threshold(Spec):
    """What counts as passing for an eval of a prompt pack."""

    passed: bool | None = None
    """Set to false if the eval is expected to fail."""
    min_score: Share | None = None
    """Lowest score that passes, from 0 to 1."""
    max_score: Share | None = None
    """Highest score that passes, from 0 to 1."""


class PackEvalSpec(Spec):
    """An eval of a prompt pack. It runs in addition to the suite's own checks."""

    id: Name
    """Unique name. An eval of a prompt replaces the pack's eval with the same ID."""
    type: Name
    """Check type from the catalogue."""
    trigger: Literal[
        "every_turn",
        "on_session_complete",
        "sample_turns",
        "sample_sessions",
        "on_conversation_complete",
        "on_workflow_step",
    ]
    """When the eval runs."""
    params: JsonObject = EMPTY
    """Parameters of the check type; see the reference of checks."""
    description: str = ""
    """Free-text description for people; not sent to any model."""
    enabled: bool = True
    """Set to false to skip the eval."""
    sample_percentage: Annotated[float, Field(ge=0, le=100)] = 5
    """Percentage of turns or runs that are checked, 0 to 100. For ``sample_turns`` and ``sample_sessions``."""
    threshold: Threshold | None = None
    """What counts as passing. Default: what the check type says."""
    message: str | None = None
    """Text shown when the eval fails."""
    when: When | None = None
    """Conditions under which the eval applies. Default: always."""
