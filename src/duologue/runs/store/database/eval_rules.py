"""What has to be true of an eval with a configuration, to be saved and to be run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from duologue.config.placed_json import refused
from duologue.config.problems import unknown
from duologue.runs.eval_config import chosen_metrics, driven_by
from duologue.runs.store.database.agents import find_version
from duologue.runs.store.database.definition_rows import find_project, get, saved_connector, saved_scenarios
from duologue.runs.store.database.metrics import saved_metrics
from duologue.runs.store.database.runtime_rules import runtime_of, suite_of
from duologue.runs.store.database.schema import agents, connectors
from duologue.runs.store.definitions import AgentDraft, Eval, ProjectSettings
from duologue.runtimes.base import EvalRuntime
from duologue.runtimes.config import RunConfig, model_name
from duologue.specs.agents import Agent, is_model_name
from duologue.specs.scenario import Scenario
from duologue.suites.manifests.validate.runtimes import unheard, unmocked
from duologue.suites.runtime_snapshots import holds_conversation


def require_eval(connection: Connection, found: Eval) -> None:
    """Refuse an eval whose configuration cannot be used with its agent and scenarios.

    Raises:
        SuiteError: names each field.
    """
    config = found.spec.config
    draft = _draft_of(connection, found)
    if draft is None:
        return
    runtime = None
    agent = driven_by(draft.agent, config)
    if agent.runtime is not None:
        place = "config.runtime" if config is not None and config.runtime is not None else "agent.runtime"
        runtime = runtime_of(agent, suite_of(draft), place)
    if holds_conversation(agent):
        specs = [saved.spec for saved in saved_scenarios(connection, found.scenario_ids)]
        if told := [text for scenario in specs if (text := unheard(scenario, agent))]:
            raise refused("scenario_ids", "; ".join(told))
    mocked = config.tool_mode == "mock" if config is not None else runtime is not None
    if mocked and not (runtime.MOCKS_TOOLS if runtime is not None else agent.is_native):
        specs = [saved.spec for saved in saved_scenarios(connection, found.scenario_ids)]
        _require_no_calls(specs, agent, runtime)
    if config is not None:
        project = find_project(connection, found.project_id)
        _require_models(config, project.settings if project else ProjectSettings(), draft)
        chosen_metrics(config, saved_metrics(connection, found.project_id))


def _draft_of(connection: Connection, found: Eval) -> AgentDraft | None:
    """What the eval drives, as it is now."""
    if found.connector_id is not None:
        row = get(connection, connectors, found.connector_id)
        return AgentDraft(agent=saved_connector(row).agent()) if row is not None else None
    assert found.spec.agent_id is not None
    version = find_version(connection, found.spec.agent_id, found.spec.agent_version)
    if version is not None:
        return version.draft
    if (number := found.spec.agent_version) is not None:
        newest = find_version(connection, found.spec.agent_id, None)
        known = f"its newest is {newest.version}" if newest is not None else "it was never published"
        raise refused("agent_version", f"the agent has no version {number}; {known}")
    row = get(connection, agents, found.spec.agent_id)  # it was not published yet
    return AgentDraft.model_validate(row.data) if row is not None else None


def _require_no_calls(found: Sequence[Scenario], agent: Agent, runtime: EvalRuntime | None) -> None:
    told = [unmocked(scenario, agent, runtime) for scenario in found if scenario.expected_tool_calls]
    if told:
        raise refused("config.tool_mode", "; ".join(told))


def _require_models(config: RunConfig, settings: ProjectSettings, draft: AgentDraft) -> None:
    known = [item.name for item in settings.models]
    asked: list[tuple[str, str | None, Iterable[str]]] = [
        ("judge", model_name(config.judge.model, config.judge.provider), known),
        ("user_simulator", model_name(config.user_simulator.model, config.user_simulator.provider), known),
        (
            "agent_simulator",
            model_name(config.agent_simulator.model, config.agent_simulator.provider),
            [*known, *(item.name for item in draft.models)],
        ),
    ]
    for field, name, names in asked:
        if name is not None and name not in names and not is_model_name(name):
            told = "Write a model of a provider as provider/model, such as openai/gpt-5-mini"
            raise refused(f"config.{field}.model", f"{unknown('model', name, list(names))}. {told}")
