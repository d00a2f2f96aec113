"""Who judges in a suite: what checks may ask, and the judge that decides about criteria."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from duologue.conversation.adapter import AgentAdapter
from duologue.models.base import Model
from duologue.suites.manifests.checks_within import resources_of
from duologue.suites.playing.shelf import JudgeModels, ModelShelf

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
    spec = suite.named("judges", name) if name else None
    instructed_by = suite.named("prompts", spec.prompt) if spec and spec.prompt else None
    return JudgeAgent(
        criteria=criteria,
        model=_model(shelf, scenario, spec.model if spec else None, name),
        votes=spec.votes if spec else 1,
        system_prompt=instructed_by.system_template if instructed_by else None,
        name=name or "judge",
    )


def _model(shelf: ModelShelf, scenario: str, model: str | None, judge: str | None) -> Model | None:
    """The judge's own; in mock mode one that answers from the file; None for the configured default."""
    if model is None and not shelf.mocking:
        return None
    return shelf.model(model or "judge", scenario=scenario, judge=judge or "default")
