"""A saved eval, or a scenario that is tried out against a connector, as a suite with its test cases.

What runs is decided here and frozen: the models of the project, the single turn where there is no model, and what a run
refuses to do. Nothing is read from the store later but credentials.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from math import inf
from typing import Any, TypeVar

from duologue.agents.users.persona import Persona as PersonaInPlay
from duologue.agents.users.prompt import Brief, system_prompt
from duologue.config.spec import Resource
from duologue.errors import ConfigurationError
from duologue.frozen import changed, frozen
from duologue.runs.eval_config import (
    SCRIPTED,
    chosen_metrics,
    configured_defaults,
    configured_models,
    driven_by,
    graded,
    scripted,
)
from duologue.runs.outcome import SINGLE_TURN
from duologue.runs.snapshots import Private, is_private_url, pair, private_headers, take_snapshot
from duologue.runs.store.definitions import (
    AgentDraft,
    AgentVersion,
    Connector,
    Project,
    SavedPersona,
    SavedScenario,
)
from duologue.runs.store.records import Snapshot
from duologue.runtimes.config import RunConfig
from duologue.settings import effective_config
from duologue.specs.agents import Agent, Judge, Persona, Simulator
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario, SeedMessage
from duologue.specs.suite import Spending, Suite, find_named
from duologue.suites.plan.build import TestCase, generate_plan
from duologue.suites.runner.users import persona_of
from duologue.suites.runtime_snapshots import GRADED, holds_conversation

NO_CRITERIA = "Scenario must have success or failure criteria defined"
ONE_TURN = "No model is configured, so the agent was asked once and no criteria were evaluated"
UNEVALUATED = "No model is configured, so no criteria were evaluated"
_NOBODY_BEGINS = (
    "the scenario '{name}' has no user message to begin with, and no model is configured that could write one: end its "
    "messages with one of the user, or set the evaluation_model or persona_model of the project"
)
_JUDGE, _USER = "evaluation", "persona"

R = TypeVar("R", bound=Resource)


@frozen
class Definition:
    """What runs are made from.

    Attributes:
        name: of the suite.
        scenarios: in order, each with its personas.
        connector, version: what they are run against: one of the two.
        speakers: personas that only turns of the scenarios name.
        input: messages that follow those of each scenario.
        trials: how often each is run.
        config: how they are run and judged; None as the scenarios and the project say.
        metrics: that the project has saved.
    """

    name: str
    project: Project
    scenarios: Sequence[tuple[SavedScenario, Sequence[SavedPersona]]]
    connector: Connector | None = None
    version: AgentVersion | None = None
    speakers: Sequence[SavedPersona] = ()
    input: Sequence[SeedMessage] = ()
    trials: int = 1
    config: RunConfig | None = None
    metrics: Sequence[MetricSpec] = ()

    @property
    def personas(self) -> list[SavedPersona]:
        """All personas, each once."""
        every = (*(persona for _, found in self.scenarios for persona in found), *self.speakers)
        return list({persona.id: persona for persona in every}.values())


@frozen
class CompiledRun:
    """A run that can be put into the queue."""

    case: TestCase
    scenario_id: str
    persona_id: str | None


@frozen
class Compiled:
    """What a definition compiles to.

    Attributes:
        seed: of the plan.
        provider: whose rate limit the runs take part in: the provider of the model that decides; None for none.
        facts: what an execution of them keeps: limits and thresholds.
    """

    snapshot: Snapshot
    runs: tuple[CompiledRun, ...]
    seed: int
    provider: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@frozen
class PreparedDefinition:
    """A definition that runs can be made of again and again."""

    suite: Suite
    snapshot: Snapshot
    scenarios: Mapping[str, str]
    personas: Mapping[str, str]
    provider: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def runs(self, seed: int | None = None) -> Compiled:
        """The runs of a new plan.

        Args:
            seed: of the plan; None for a new one.
        """
        plan = generate_plan(self.suite, seed=seed)
        runs = tuple(
            CompiledRun(
                case=case,
                scenario_id=self.scenarios[case.scenario],
                persona_id=self.personas.get(case.persona) if case.persona is not None else None,
            )
            for case in plan.cases
        )
        return Compiled(snapshot=self.snapshot, runs=runs, seed=plan.seed, provider=self.provider, facts=self.facts)


def compiled(definition: Definition, *, seed: int | None = None) -> Compiled:
    """The snapshot and the runs of a definition: one for each scenario, persona and trial, in this order.

    Args:
        definition: what they are made from.
        seed: of the plan; None for a new one.

    Raises:
        ConfigurationError: something cannot be run as it is defined.
    """
    return prepared(definition).runs(seed)


def prepared(definition: Definition) -> PreparedDefinition:
    """A definition, frozen. Raises ConfigurationError if something cannot be run as it is defined."""
    models = _Models(definition)
    suite, refused = _suite(definition, models)
    snapshot = take_snapshot(
        suite,
        private=_private(definition),
        refused=refused,
        instructions={
            pair(scenario.name, persona): instruction_of(suite, scenario, persona)
            for scenario in suite.scenarios
            for persona in scenario.personas or (None,)
        },
    )
    return PreparedDefinition(
        suite=suite,
        snapshot=snapshot,
        scenarios={scenario.name: scenario.id for scenario, _ in definition.scenarios},
        personas={persona.name: persona.id for persona in definition.personas},
        provider=models.provider,
        facts=_facts(definition.config, suite),
    )


def within_budget(definition: Definition, money: float | None) -> Definition:
    """The definition, whose runs may cost no more US dollars together than this, or than the project says.

    Raises:
        ConfigurationError: the amount is below 0.
    """
    if money is None:
        return definition
    if not 0 <= money < inf:
        raise ConfigurationError(f"budget is {money}; expected US dollars, 0 or more, or None for no limit")
    project = definition.project
    defaults = project.settings.defaults
    usual = defaults.budget or Spending()
    budget = usual.changed(money=money if usual.money is None else min(money, usual.money))
    settings = project.settings.changed(defaults=defaults.changed(budget=budget))
    return changed(definition, project=changed(project, settings=settings))


class PreparedDefinitions:
    """Keeps what was prepared last, for evals that are launched again as they are.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], PreparedDefinition] = OrderedDict()

    def __call__(self, definition: Definition) -> PreparedDefinition:
        """:func:`prepared`, or what came of it before."""
        found = (definition.project, definition.connector, definition.version, *definition.personas)
        parts = [
            (item.id, item.updated_at) for item in found if item is not None and not isinstance(item, AgentVersion)
        ]
        version = definition.version
        scenarios = [(item.id, item.updated_at) for item, _ in definition.scenarios]
        key = (
            definition.name,
            *parts,
            *scenarios,
            (version.agent_id, version.version) if version else None,
            tuple(repr(message) for message in definition.input),
            definition.trials,
            definition.project.settings.defaults.budget,
            repr(definition.config.written()) if definition.config is not None else None,
            repr([metric.written() for metric in definition.metrics]),
            _default_model(),
        )
        held = self._kept.get(key)
        if held is None:
            held = self._kept[key] = prepared(definition)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return held


def instruction_of(suite: Suite, scenario: Scenario, persona: str | None) -> str:
    """What a simulated user of a scenario is told; the first message of a stored conversation."""
    spec = find_named(suite.personas, persona)
    who = persona_of(spec) if spec else PersonaInPlay()
    if spec is not None:
        who = who.model_copy(update={"name": spec.name})
    part = spec.system_prompt if spec else None
    return system_prompt(Brief(situation=scenario.description, persona=who, goal=scenario.goal or ""), part)


class _Models:
    """The models of runs: those of the configuration, else of the project, else the default model."""

    def __init__(self, definition: Definition) -> None:
        self.settings = settings = definition.project.settings
        draft = definition.version.draft if definition.version else None
        known = (*settings.models, *(draft.models if draft else ()))
        self.asked = asked = configured_models(definition.config, known)
        usual = settings.evaluation_model or _default_model()
        self.judge = asked.judge or usual
        self.user = asked.user or settings.persona_model or usual

    @property
    def provider(self) -> str | None:
        """The provider of the model that decides."""
        if self.judge is None:
            return None
        spec = find_named(self.settings.models, self.judge)
        return spec.provider if spec else self.judge.partition("/")[0].partition(":")[0]


def _default_model() -> str | None:
    model = effective_config().default_model
    return model if isinstance(model, str) or model is None else model.model


def _suite(definition: Definition, models: _Models) -> tuple[Suite, dict[str, str]]:
    settings = definition.project.settings
    draft = definition.version.draft if definition.version else None
    config = definition.config
    agent = _driven(draft.agent if draft else _agent(definition), config, models)
    people, held = _people(definition), holds_conversation(agent)
    refused: dict[str, str] = {}
    scenarios: list[Scenario] = []
    for saved, found in definition.scenarios:
        spec = saved.spec
        names = [persona.name for persona in found] or [name for name in people if name == SCRIPTED]
        scenario = spec.changed(
            personas=tuple(names),
            messages=(*spec.messages, *definition.input),
            agents=(agent.name,),
            agent_group=None,
            judge=None,
            trials=None,
            max_turns=(config.max_turns if config else None) or spec.max_turns,
        )
        if config is not None and models.judge:
            scenario = _graded(scenario, definition, config, agent)
        without = scenario if models.judge else _unevaluated(scenario)
        made = without if models.user or held else _single_turn(without, [people[name] for name in names])
        if (why := _refusal(scenario, made, models)) is not None:
            refused[scenario.name] = why
        scenarios.append(made)
    suite = Suite(
        name=definition.name,
        agents=(agent,),
        models=_merged("models", (*settings.models, *models.asked.models), draft.models if draft else ()),
        personas=tuple(map(_without_private, people.values())),
        judges=(Judge(name=_JUDGE, model=models.judge),) if models.judge else (),
        simulators=(Simulator(name=_USER, model=models.user),) if models.user else (),
        scenarios=tuple(scenarios),
        trials=definition.trials,
        defaults=configured_defaults(settings.defaults, config) if config else settings.defaults,
        **_parts(draft),
    )
    return suite, refused


def _driven(agent: Agent, config: RunConfig | None, models: _Models) -> Agent:
    """The agent as the configuration has it driven: by which runtime and model, and how long an answer may take."""
    if config is None:
        return agent
    made = driven_by(agent, config)
    if models.asked.agent is not None and (made.is_native or made.runtime is not None):
        made = made.changed(model=models.asked.agent)
    return made.changed(timeout=config.agent_timeout or made.timeout)


def _people(definition: Definition) -> dict[str, Persona]:
    """The personas by name, as the configuration has them played; one more where scripted users are nobody else."""
    people = {item.name: item.spec for item in definition.personas}
    user = definition.config.user_simulator if definition.config is not None else None
    if user is None or user.mode != "scripted":
        return people
    made = {name: scripted(spec, user) for name, spec in people.items()}
    if any(not found and not saved.spec.turns for saved, found in definition.scenarios):
        made[SCRIPTED] = scripted(None, user)
    return made


def _graded(scenario: Scenario, definition: Definition, config: RunConfig, agent: Agent) -> Scenario:
    """The scenario as the configuration has it judged."""
    draft = definition.version.draft if definition.version else None
    prompts, tools = (draft.prompts, draft.tools) if draft else ((), ())
    task = agent.prompt or scenario.prompt
    prompt = next((item for item in prompts if task is not None and task in {item.answers_to, item.name}), None)
    offered = [tool for tool in tools if prompt is None or tool.name in prompt.allowed_tools]
    metrics = chosen_metrics(config, definition.metrics)
    return graded(scenario, config, metrics, prompt=prompt, tools=offered)


def _facts(config: RunConfig | None, suite: Suite) -> dict[str, Any]:
    """What an execution keeps of a configuration: how many cases run at once, and what it has to come to."""
    if config is None:
        return {}
    facts: dict[str, Any] = {
        "config": config.written(),
        "allowance": {"pass_rate": config.cases_pass_threshold / 100},
    }
    if any(check.type == GRADED for scenario in suite.scenarios for check in scenario.checks):
        facts["metrics_threshold"] = config.metrics_pass_threshold
    if config.concurrency is not None:
        facts["concurrency"] = config.concurrency
    return facts


def _agent(definition: Definition) -> Agent:
    connector = definition.connector
    if connector is None:
        raise ConfigurationError(f"the eval '{definition.name}' has no connector and no agent")
    agent = connector.agent()
    assert agent.http is not None
    hidden = private_headers(agent.http.headers)
    headers = {name: value for name, value in agent.http.headers.items() if name not in hidden}
    http = agent.http.changed(headers=headers)
    if is_private_url(http.url):
        http = http.changed(url="http://private.invalid")
    return agent.changed(http=http)


def _without_private(persona: Persona) -> Persona:
    hidden = private_headers(persona.headers)
    return persona.changed(headers={name: text for name, text in persona.headers.items() if name not in hidden})


def _private(definition: Definition) -> list[Private]:
    found: list[Private] = []
    if (connector := definition.connector) is not None:
        headers, url = private_headers(connector.headers), is_private_url(connector.base_url)
        if headers or url:
            found.append(Private(section="agents", name=connector.name, id=connector.id, headers=headers, url=url))
    found += [
        Private(section="personas", name=persona.name, id=persona.id, headers=headers)
        for persona in definition.personas
        if (headers := private_headers(persona.spec.headers))
    ]
    return found


def _parts(draft: AgentDraft | None) -> dict[str, Any]:
    names = ("prompts", "tools", "mcp_servers", "a2a_agents", "workflow")
    return {name: getattr(draft, name) for name in names} if draft else {}


def _merged(what: str, usual: Iterable[R], own: Iterable[R]) -> tuple[R, ...]:
    """Both; an agent's own come first, and replace those of the project that are called alike."""
    found = {item.name: item for item in usual}
    found.update({item.name: item for item in own})
    return tuple(found.values())


def _unevaluated(scenario: Scenario) -> Scenario:
    """The scenario without criteria, which no model can decide; checks stay."""
    if not scenario.judged:
        return scenario
    return scenario.changed(
        success_criteria=None,
        failure_criteria=None,
        failure_criteria_mode="on_max_messages",
        criteria=(),
        max_messages=scenario.message_limit,
        labels={**scenario.labels, SINGLE_TURN: UNEVALUATED},
    )


def _single_turn(scenario: Scenario, personas: Sequence[Persona]) -> Scenario:
    """The scenario with one answer of the agent, where a model would have to play the user."""
    if scenario.turns or not scenario.simulates_a_user or (personas and all(persona.way for persona in personas)):
        return scenario
    said = sum(message.role != "tool" for message in scenario.messages)
    return scenario.changed(max_messages=said + 1, labels={**scenario.labels, SINGLE_TURN: ONE_TURN})


def _refusal(scenario: Scenario, made: Scenario, models: _Models) -> str | None:
    """Why the runs of a scenario end in an error before they begin; None if they do not."""
    checked = bool(scenario.checks) or any(turn.checks for turn in scenario.turns)
    if models.judge and not scenario.judged and not checked:
        return NO_CRITERIA
    if made.labels.get(SINGLE_TURN) == ONE_TURN and made.simulates_a_user:
        return _NOBODY_BEGINS.format(name=scenario.name)
    return None
