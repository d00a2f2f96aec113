"""Test cases and metrics that a model writes, as they are asked for and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from duologue.config.spec import Items, JsonObject, Name, Spec, Text
from duologue.runs.project_cases import TestCases
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario

MOST_AT_ONCE = 50
"""Test cases that one request may ask for."""
MOST_RUNS = 20
"""Runs whose conversations one request may name."""


class SentMessage(Spec):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    """Who says it: ``user``, ``assistant`` for the agent, ``tool`` for the result of a tool call."""
    content: str | None = None
    """The text."""
    tool_calls: Items[JsonObject] = ()
    """Tool calls of the agent, each as ``{id, type: function, function: {name, arguments}}``."""
    tool_call_id: str | None = None
    """Tool call that the result of a tool belongs to."""
    name: str | None = None
    """Name of the speaker or tool."""


class WritingFields(Spec):
    """What all requests to a model have."""

    agent_id: Name | None = None
    """The saved agent, for its prompt and tools."""
    model: Text | None = None
    """One of the project's models, or a full name such as ``openai/gpt-5-mini``. Default: the ``evaluation_model`` of
    the project."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars that the model may cost. Default: what the project says, whose limit counts where it is lower."""
    save: bool = True
    """Whether what was written is saved in the project; else it is only answered."""


class GenerateFields(WritingFields):
    """What test cases are wanted."""

    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """A published version of the agent. Default: its draft."""
    count: int = Field(default=10, ge=1, le=MOST_AT_ONCE)
    """How many."""
    run_ids: Items[str] = Field(default=(), max_length=MOST_RUNS)
    """Runs whose conversations show what users ask for."""
    instructions: str = Field(default="", max_length=20_000)
    """What the cases should be about."""


class FromConversationFields(WritingFields):
    """The conversation that a test case rehearses: that of a run, or messages."""

    run_id: Name | None = None
    """A run of the project."""
    messages: Items[SentMessage] = Field(default=(), max_length=1000)
    """Chat messages."""
    instructions: str = Field(default="", max_length=20_000)
    """What else matters."""
    source: str = Field(default="", max_length=500)
    """Where the conversation comes from, kept as an annotation."""


class FromCallFields(Spec):
    """How a production call becomes a test case."""

    write: bool = True
    """Let a model write it. Else no model is asked: the user's words become fixed turns, and criteria are to be
    added."""
    instructions: str = Field(default="", max_length=20_000)
    """What else matters, for the model."""
    model: Text | None = None
    """As for other test cases."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars that the model may cost. Default: what the project says, whose limit counts where it is lower."""
    save: bool = True
    """Whether it is saved in the project; else it is only answered."""


class EditFields(WritingFields):
    """How a scenario is to be changed."""

    instruction: str = Field(min_length=1, max_length=20_000)
    """Such as ``make the user impatient``."""


class DraftMetricFields(WritingFields):
    """What a metric should look at."""

    about: str = Field(min_length=1, max_length=20_000)
    """Such as ``does it ask before it acts``."""
    score_type: Literal["scored", "binary"] = "scored"
    """Graded from 0 to 5, or with yes or no."""


class WrittenScenario(Scenario):
    """A scenario that a model has written."""

    id: str | None
    """Null if it was not saved."""


class WrittenPersona(Persona):
    """A persona that a model has written."""

    id: str | None
    """Null if it was not saved."""


class TestCasesAnswer(BaseModel):
    """Test cases that a model has written."""

    scenarios: list[WrittenScenario]
    """The scenarios."""
    personas: list[WrittenPersona]
    """New personas of these scenarios."""
    changed: list[str]
    """The fields of an edited scenario that are different."""
    problems: list[str]
    """What was left out, and why."""


class MetricDraft(MetricSpec):
    """A metric that a model has drafted. Evals cannot use it before ``draft`` is taken off."""

    id: str | None
    """Null if it was not saved."""


def cases_fields(made: TestCases, changed: Sequence[str] = ()) -> Mapping[str, Any]:
    """Test cases as they are answered."""
    ids = [item.id for item in made.saved] or [None] * len(made.scenarios)
    people = [item.id for item in made.saved_personas] or [None] * len(made.personas)
    return {
        "scenarios": [
            {"id": id_, **spec.model_dump(mode="json")} for id_, spec in zip(ids, made.scenarios, strict=True)
        ],
        "personas": [
            {"id": id_, **spec.model_dump(mode="json")} for id_, spec in zip(people, made.personas, strict=True)
        ],
        "changed": list(changed),
        "problems": list(made.problems),
    }
