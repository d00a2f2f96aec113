"""Who judges in a suite: what checks may ask, and the judge that decides about criteria."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from duologue.conversation.adapter import AgentAdapter
from duologue.models.base import Model
from duologue.specs.participants import Judge
from duologue.suites.manifests.checks_within import resources_of
from duologue.suites.runner.shelf import JudgeModels, ModelShelf

if TYPE_CHECKING:
    from duologue.checks import Resources


def resources_for(shelf: ModelShelf, scenario: str) -> Resources:
    """What checks and guardrails may ask in the runs of a scenario or replay."""
    held: Resources = resources_of(shelf.suite)
    judges = JudgeModels(shelf, scenario)
    defaults = shelf.suite.judge_defaults
    name = (defaults.judge if defaults else None) or next(iter(judges), None)
    if name is not None:
        return replace(held, judges=judges, judge=judges.later(name))
    if shelf.mocking:
        return replace(held, judge=shelf.model("judge", scenario=scenario, judge="default"))
    return held


def judge_for(shelf: ModelShelf, scenario: str, criteria: Sequence[str], asked: str | None) -> AgentAdapter:
    """The judge that decides about criteria.

    Args:
        shelf: has its model.
        scenario: of the runs.
        criteria: what must be true.
        asked: the name of one of the suite's judges; None for the default one, or the first.
    """
    from duologue.agents.judge import JudgeAgent

    suite = shelf.suite
    defaults = suite.judge_defaults
    first = suite.judges[0].name if suite.judges else None
    name = asked or (defaults.judge if defaults else None) or first
    spec: Judge | None = suite.named("judges", name) if name else None
    prompt = (spec.prompt if spec else None) or (defaults.prompt if defaults else None)
    instructed_by = suite.prompt_for(prompt) if prompt else None
    return JudgeAgent(
        criteria=criteria,
        model=_model(shelf, scenario, spec),
        votes=spec.votes if spec else 1,
        system_prompt=instructed_by.system_template if instructed_by else None,
        name=name or "judge",
    )


def _model(shelf: ModelShelf, scenario: str, judge: Judge | None) -> Model | None:
    """The judge's own; in mock mode one that answers from the file; None for the configured default."""
    if judge is not None:
        return shelf.model(judge.model, scenario=scenario, judge=judge.name, instead=judge.model_name)
    return shelf.model("judge", scenario=scenario, judge="default") if shelf.mocking else None
