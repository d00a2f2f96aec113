"""The judge of a scenario or replay: of statements, or of a success and a failure criterion."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.conversation.adapter import AgentAdapter
from duologue.models.base import Model
from duologue.specs.agents import Judge
from duologue.specs.scenario import DEFAULT_MAX_MESSAGES, Scenario
from duologue.specs.suite import Suite, find_named
from duologue.suites.runner.models import SuiteModels

_ANY_NUMBER = 1_000_000
"""Messages that the turns of a scripted scenario do not reach."""


def judge_for(models: SuiteModels, scenario: str, criteria: Sequence[str], asked: str | None) -> AgentAdapter:
    """The judge that decides about criteria.

    Args:
        models: has its model.
        scenario: of the runs.
        criteria: what must be true.
        asked: the name of one of the suite's judges; None for the default one, or the first.
    """
    from duologue.agents.judge import JudgeAgent

    suite, defaults = models.suite, models.suite.judge_defaults
    name, spec = _asked(suite, asked)
    prompt = (spec.prompt if spec else None) or (defaults.prompt if defaults else None)
    instructed_by = suite.prompt_for(prompt) if prompt else None
    return JudgeAgent(
        criteria=criteria,
        model=_model(models, scenario, spec),
        votes=spec.votes if spec else 1,
        min_turns=spec.min_turns if spec else 0,
        system_prompt=instructed_by.system_template if instructed_by else None,
        name=name or "judge",
    )


def _model(models: SuiteModels, scenario: str, judge: Judge | None) -> Model | None:
    """The judge's own; in mock mode one that answers from the file; None for the configured default."""
    if judge is not None:
        return models.model(judge.model, scenario=scenario, judge=judge.name, instead=judge.model_name)
    return models.model("judge", scenario=scenario, judge="default") if models.mocking else None


def criteria_judge_for(models: SuiteModels, scenario: Scenario) -> AgentAdapter:
    """The judge that ends a conversation on a success or failure criterion, or after so many messages."""
    from duologue.agents.criteria_loop import CriteriaJudge

    name, spec = _asked(models.suite, scenario.judge)
    return CriteriaJudge(
        success_criteria=scenario.success_criteria,
        failure_criteria=scenario.failure_criteria,
        failure_criteria_mode=scenario.failure_criteria_mode,
        max_messages=_ANY_NUMBER if scenario.turns else scenario.message_limit or DEFAULT_MAX_MESSAGES,
        model=_model(models, scenario.name, spec),
        name=name or "judge",
    )


def _asked(suite: Suite, name: str | None) -> tuple[str | None, Judge | None]:
    """The judge of that name; by default the usual one of the suite, or its first."""
    defaults = suite.judge_defaults
    first = suite.judges[0].name if suite.judges else None
    found = name or (defaults.judge if defaults else None) or first
    return found, find_named(suite.judges, found)
