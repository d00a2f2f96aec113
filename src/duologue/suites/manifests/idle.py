"""What a suite may say and this version does not heed: said to its author, so that nobody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from duologue.config.problems import Problems
from duologue.errors import Position
from duologue.specs.checking import PackEvalSpec
from duologue.specs.participants import Model, Persona, PersonaStyle, Sampling
from duologue.specs.prompt import Variable
from duologue.specs.running import Defaults, Output
from duologue.specs.scenario import ContextPolicy, Relevance, Scenario, Turn
from duologue.specs.speaking import Duplex
from duologue.specs.spec import Spec
from duologue.specs.suite import Suite, WorkflowState

_IN_TEXT = "the conversation takes place in text"
_IDLE: dict[type[Spec], dict[str, str]] = {
    Model: {"include_raw_output": "the journal keeps requests and answers in one form for all providers"},
    Sampling: {"prompt_caching": "the provider decides"},
    Scenario: {"duplex": _IN_TEXT, "voice": _IN_TEXT, "pack": "prompts and tools are taken from the suite"},
    Turn: {"speech": _IN_TEXT, "streaming": "what the scenario says counts for all its turns"},
    Persona: {"voice": _IN_TEXT},
    PersonaStyle: {"expressive": _IN_TEXT, "characterization_rubric": _IN_TEXT},
    ContextPolicy: {"cache_breakpoints": "the provider decides"},
    Relevance: {
        "always_keep_system_role": "the instruction is always sent",
        "cache_embeddings": "a run keeps the vectors that it has",
    },
    Variable: {"validation": "values are used as they are", "binding": "give the variable a value"},
    PackEvalSpec: {
        "metric": "scores are in the results, by the eval's id",
        "groups": "evals are chosen by their type, with --eval-type",
    },
    WorkflowState: {"persistence": "the whole conversation is kept"},
    Output: {"options": "each format has one form"},
    Suite: {"state_store": "a run keeps what it needs in memory, and in its journal"},
    Defaults: {
        "fail_on": "failed checks always count, and errors as 'allow_errors' says",
        "verbose": "'duologue show' shows conversations",
    },
}
"""Why a field has no effect, by model and field."""


def find_idle_settings(suite: Suite, problems: Problems) -> None:
    """Warn of every field that has a value and no effect; refuse a scenario of which nothing would be played."""
    for scenario in suite.scenarios:
        if scenario.steps:
            tell = problems.warning if scenario.turns else problems.error
            place = scenario.place("steps", of_key=True) or Position("?")
            tell(place, "steps are not played by this version; write them as 'turns'")
        if scenario.streaming and not any(agent.http for agent in suite.agents):
            place = scenario.place("streaming", of_key=True) or Position("?")
            problems.warning(place, "has an effect on agents behind a URL only; others give the same answers without")
    for spec in _every(suite):
        for field, why in _IDLE.get(type(spec), {}).items():
            if getattr(spec, field) != type(spec).model_fields[field].default:
                problems.warning(spec.place(field, of_key=True) or Position("?"), f"has no effect here: {why}")


def _every(spec: Spec) -> Iterator[Spec]:
    """A spec and all specs within it; how a spoken conversation is held is not looked into."""
    yield spec
    for _, value in spec:
        if isinstance(value, Spec):
            values: list[Any] = [value]
        elif isinstance(value, tuple):
            values = list(cast("tuple[Any, ...]", value))
        else:
            values = list(cast("dict[str, Any]", value).values()) if isinstance(value, dict) else []
        for item in values:
            if isinstance(item, Spec) and not isinstance(item, Duplex):
                yield from _every(item)
