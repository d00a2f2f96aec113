"""The configuration of an eval, in the words of a suite.

Expected outcomes are graded together with the metrics, by one question to one model: where a scenario has any, a test
case passes if and only if every outcome is reached; where it has none, the score decides. Checks and expected tool
calls of the scenario hold as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duologue.checks.metrics.metric import Metric, metric_of
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED
from duologue.config.durations import seconds_text
from duologue.config.placed_json import refused
from duologue.config.problems import unknown
from duologue.frozen import frozen
from duologue.models.names import parse_name
from duologue.runtimes.config import RunConfig, UserSimulatorConfig, model_name
from duologue.specs.agents import READY_MODELS, Agent, Model, Persona, Sampling
from duologue.specs.checks import CheckSpec
from duologue.specs.metrics import MetricSpec
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Defaults, find_named
from duologue.suites.runtime_snapshots import GRADED

GRADE = "the metrics and expected outcomes"
"""The name of the check that grades."""
SCRIPTED = "scripted user"
"""The persona of test cases that name none, where the user is scripted."""
USER_MODEL, AGENT_MODEL = "user simulator", "agent simulator"
"""Models of a suite that are those of the configuration with settings of their own."""


def driven_by(agent: Agent, config: RunConfig | None) -> Agent:
    """The agent as an eval drives it: by the runtime of its configuration, if that names one.

    Raises:
        SuiteError: the agent is code, which no runtime drives.
    """
    if config is None or config.runtime is None:
        return agent
    if agent.target:
        raise refused(
            "config.runtime", f"the agent '{agent.name}' is Python code, which no runtime drives; leave the runtime out"
        )
    return agent.changed(runtime=config.runtime, runtime_mode=config.mode)


def chosen_metrics(config: RunConfig, saved: Sequence[MetricSpec]) -> tuple[Metric, ...]:
    """The metrics that test cases are graded by, with their weights.

    Args:
        config: of the eval.
        saved: the project's own.

    Raises:
        SuiteError: there is no such metric, or it is a draft, or none has a weight.
    """
    own = {spec.name: spec for spec in saved}
    if not config.judge.metrics:
        more = [metric_of(spec) for spec in saved if spec.include_in_defaults and not spec.draft]
        replaced = {metric.name for metric in more}
        return (*(metric for metric in DEFAULT_METRICS if metric.name not in replaced), *more)
    known = {metric.name: metric for metric in PREDEFINED}
    found: list[Metric] = []
    for index, item in enumerate(config.judge.metrics):
        place = f"config.judge.metrics[{index}].metric"
        spec = own.get(item.metric)
        if spec is not None and spec.draft:
            raise refused(place, f"the metric '{spec.name}' is a draft; set its draft to false to use it")
        if spec is None and item.metric not in known:
            raise refused(place, unknown("metric", item.metric, [*known, *own]))
        metric = metric_of(spec) if spec is not None else known[item.metric]
        found.append(metric if item.weight is None else metric.weighing(item.weight))
    if not any(metric.weight for metric in found):
        told = f"none of {', '.join(metric.name for metric in found)} has a weight, so there would be no score"
        raise refused("config.judge.metrics", f"{told}; give one a weight above 0")
    return tuple(found)


@frozen
class ConfiguredModels:
    """Names of the models that a configuration asks for, and those that need an entry in the suite.

    Attributes:
        judge, user, agent: None where the configuration says nothing.
        models: entries of the suite.
    """

    judge: str | None = None
    user: str | None = None
    agent: str | None = None
    models: tuple[Model, ...] = ()


def configured_models(config: RunConfig | None, known: Sequence[Model]) -> ConfiguredModels:
    """The models of a configuration.

    Args:
        config: of the eval; None for none.
        known: models of the project and the agent.
    """
    if config is None:
        return ConfiguredModels()
    user, agent, judge = config.user_simulator, config.agent_simulator, config.judge
    made: list[Model] = []
    names: list[str | None] = []
    for entry, simulator, temperature in ((USER_MODEL, user, user.temperature), (AGENT_MODEL, agent, None)):
        name = model_name(simulator.model, simulator.provider)
        if name is not None and (simulator.api_base or temperature is not None):
            made.append(_own(entry, name, known, simulator.api_base, temperature))
            name = entry
        names.append(name)
    return ConfiguredModels(
        judge=model_name(judge.model, judge.provider), user=names[0], agent=names[1], models=tuple(made)
    )


def _own(entry: str, name: str, known: Sequence[Model], api_base: str | None, temperature: float | None) -> Model:
    spec = find_named(known, name)
    if spec is None:
        parsed = parse_name(name)
        provider = name if name in READY_MODELS else parsed.provider
        spec = Model(
            name=entry, provider=provider or "openai", model=None if name in READY_MODELS else parsed.reference
        )
    sampling = spec.sampling or Sampling()
    if temperature is not None:
        sampling = sampling.changed(temperature=temperature)
    return spec.changed(name=entry, base_url=api_base or spec.base_url, sampling=sampling)


def configured_defaults(defaults: Defaults, config: RunConfig) -> Defaults:
    """The settings of a project, with those of a configuration over them."""
    simulator = config.agent_simulator
    return defaults.changed(
        concurrency=config.concurrency,
        run_timeout=seconds_text(config.seconds),
        tool_mode=config.tool_mode,
        temperature=defaults.temperature if simulator.temperature is None else simulator.temperature,
        max_tokens=simulator.max_tokens or defaults.max_tokens,
    )


def graded(
    scenario: Scenario,
    config: RunConfig,
    metrics: Sequence[Metric],
    *,
    prompt: Prompt | None = None,
    tools: Sequence[Tool] = (),
) -> Scenario:
    """The scenario with a check that grades it by metrics and decides about its criteria.

    Args:
        scenario: with criteria, which become expected outcomes, or without. A success or failure criterion decides by
            itself, and metrics are graded beside it.
        config: of the eval.
        metrics: that are graded.
        prompt, tools: the agent's, for the model that grades.
    """
    decided_elsewhere = scenario.ends_on_criteria
    params: dict[str, Any] = {
        "metrics": [metric.model_dump(mode="json") for metric in metrics],
        "expected_outcomes": list(scenario.criteria),
        "threshold": 0.0 if decided_elsewhere else float(config.judge.pass_threshold),
        "outcomes_decide": True,
    }
    if config.judge.min_score is not None:
        params["min_score"] = config.judge.min_score
    if prompt is not None and prompt.system_template:
        params["instructions"] = prompt.system_template
    if tools:
        params["tools"] = [
            {"name": tool.name, "description": tool.description, "parameters": tool.input_schema} for tool in tools
        ]
    check = CheckSpec(type=GRADED, params=params, message=GRADE)
    return scenario.changed(criteria=(), checks=(*scenario.checks, check))


def scripted(persona: Persona | None, user: UserSimulatorConfig) -> Persona:
    """The persona as one who says the lines of the configuration."""
    named = Persona(name=persona.name if persona else SCRIPTED, lines=user.scripted_messages)
    return named.changed(headers=persona.headers, labels=persona.labels) if persona else named
