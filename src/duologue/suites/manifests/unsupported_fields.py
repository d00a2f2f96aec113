"""Fields that other systems have, or that an earlier version accepted, and that have no effect in Duologue.

Our own dialect rejects them with advice; the importer of PromptKit's files drops them with a warning.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from duologue.config import pydantic_errors
from duologue.config.problems import Problems
from duologue.specs.agents import Model, Persona, PersonaStyle, Sampling
from duologue.specs.checks import PackEvalSpec
from duologue.specs.defaults import Defaults, Output
from duologue.specs.prompts import Variable
from duologue.specs.scenario import ContextPolicy, Relevance, Scenario, Turn
from duologue.specs.suite import Suite, WorkflowState

M = TypeVar("M", bound=BaseModel)

_IN_TEXT = "conversations take place in text"
STEPS = "steps are not played by this version; write them as 'turns'"

UNSUPPORTED: dict[type, dict[str, str]] = {
    Model: {"include_raw_output": "the journal keeps requests and answers in one form for all providers"},
    Sampling: {"prompt_caching": "the provider decides"},
    Scenario: {
        "duplex": _IN_TEXT,
        "voice": _IN_TEXT,
        "pack": "prompts and tools are taken from the suite",
        "steps": STEPS,
    },
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
    Suite: {
        "state_store": "a run keeps what it needs in memory, and in its journal",
        "voices": _IN_TEXT,
    },
    Defaults: {
        "fail_on": "failed checks always count, and errors as 'allow_errors' says",
        "verbose": "'duologue show' shows conversations",
    },
}
"""Why a field has no effect, by model and field."""


def checked(model: type[M], data: Any, problems: Problems) -> M | None:
    """The model of placed data; None, with a problem for each mistake, if it is invalid."""
    return pydantic_errors.checked(model, data, problems, unsupported=UNSUPPORTED)
