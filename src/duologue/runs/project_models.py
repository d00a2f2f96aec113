"""The models of a project, for what is asked outside of runs: test cases that a model writes, rubrics."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.errors import ConfigurationError
from duologue.models.base import Model
from duologue.models.choice import ModelChoice, choose
from duologue.runs.store.definitions import ProjectSettings
from duologue.specs.agents import Agent
from duologue.specs.agents import Model as ModelSpec
from duologue.specs.suite import Suite
from duologue.suites.runner.models import SuiteModels


def project_model(
    settings: ProjectSettings, model: str | Model | None, *, more: Sequence[ModelSpec] = (), purpose: str
) -> ModelChoice:
    """The model that is asked.

    Args:
        settings: of the project.
        model: one of the project's models, a full name such as ``openai/gpt-5-mini``, or a model; None for the
            ``evaluation_model`` of the project, else the default model.
        more: further models that a name can mean.
        purpose: who asks, for errors.

    Raises:
        ConfigurationError: there is no such model, or none at all.
    """
    if model is not None and not isinstance(model, str):
        return choose(model, purpose=purpose)
    name = model or settings.evaluation_model
    known = (*settings.models, *more)
    if name is None or not any(item.name == name for item in known):
        try:
            return choose(name, purpose=purpose)
        except ConfigurationError as error:
            told = f"{error} Or set the evaluation_model of the project." if name is None else str(error)
            raise ConfigurationError(told) from error
    agent = Agent.model_validate({"name": "agent", "http": {"url": "http://agent.invalid"}})
    suite = Suite(name="project", agents=(agent,), models=known)
    return choose(SuiteModels(suite).model(name, scenario=""), purpose=purpose)
