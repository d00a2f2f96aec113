"""A project in Connexity's JSON: agents with their versions, test cases, eval configurations and custom metrics.

What Connexity has no field for is left out, and named. Credentials are never written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duologue.config.files import write_atomic
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.connexity_records import PREFIX
from duologue.runs.foreign_records import fields_of
from duologue.runs.service import RunService
from duologue.runs.store.database.metrics import SavedMetrics
from duologue.runs.store.definitions import AgentDraft, Eval, SavedPersona, SavedScenario, without_credentials
from duologue.runs.store.releases import iso
from duologue.specs.metrics import MetricSpec


@frozen
class ExportedToConnexity:
    """What was written.

    Attributes:
        counts: how many of each section.
        notes: what was left out, a sentence each.
    """

    path: Path
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()


async def export_connexity(service: RunService, path: str | Path) -> ExportedToConnexity:
    """Write a project to a file that does not exist.

    Args:
        service: of the project.
        path: of the file.

    Raises:
        ConfigurationError: there is a file of that name.
    """
    path = Path(path)
    if path.exists():
        raise ConfigurationError(f"{path} exists already, and nothing is overwritten: choose another name")
    data, notes = await connexity_data(service)
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    counts = {name: len(items) for name, items in data.items()}
    return ExportedToConnexity(path=path, counts=counts, notes=notes)


async def connexity_data(service: RunService) -> tuple[dict[str, list[dict[str, Any]]], tuple[str, ...]]:
    """The records of a project, and what was left out."""
    notes: list[str] = []
    people = {item.id: item for item in await service.list_personas()}
    agents: list[dict[str, Any]] = []
    for agent in await service.list_agents():
        fields = _agent(agent.name, agent.draft, notes)
        versions = [
            {
                **_agent(agent.name, item.draft, []),
                "version": item.version,
                "status": "published",
                "version_description": item.note,
                "created_at": iso(item.published_at),
            }
            for item in reversed(await service.list_agent_versions(agent.id))
        ]
        agents.append({"id": agent.id, "created_at": iso(agent.created_at), **fields, "versions": versions})
    cases = [_case(item, people, notes) for item in await service.list_scenarios()]
    configs = [config for item in await service.list_evals() if (config := _eval(item, notes)) is not None]
    saved = await SavedMetrics(service.database).list_metrics(service.project.id)
    metrics = [_metric(item.spec, item.id) for item in saved]
    data = {"agents": agents, "test_cases": cases, "eval_configs": configs, "custom_metrics": metrics}
    return data, tuple(dict.fromkeys(notes))


def _agent(name: str, draft: AgentDraft, notes: list[str]) -> dict[str, Any]:
    agent, runtime = draft.agent, draft.agent.runtime or {}
    made: dict[str, Any] = {"name": name, "description": agent.description or None, **_kept(agent.annotations)}
    url = runtime.get("url") or (agent.http.url if agent.http else None)
    if url is not None:
        made |= {"mode": "endpoint", "endpoint_url": without_credentials({"base_url": url})["base_url"]}
        if agent.http is not None or runtime.get("headers"):
            notes.append(f"agent '{name}': Connexity sends no headers, and expects its own format of answers")
    else:
        made |= {"mode": "platform", "platform": agent.platform, "platform_agent_id": agent.platform_agent_id}
    if agent.target is not None:
        notes.append(f"agent '{name}': it is Python code, which Connexity cannot run")
    if agent.model is not None:
        provider, mark, model = agent.model.partition("/")
        made |= {"agent_provider": provider if mark else None, "agent_model": model if mark else agent.model}
    prompts = [item for item in draft.prompts if agent.prompt in {item.answers_to, item.name}] or list(draft.prompts)
    if prompts:
        made["system_prompt"] = prompts[0].system_template
        if len(prompts) > 1:
            notes.append(f"agent '{name}': only the first of its {len(prompts)} prompts was written")
    made["tools"] = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            **({"platform_config": {"terminating": True}} if f"{PREFIX}terminating" in tool.annotations else {}),
        }
        for tool in draft.tools
    ]
    parts = ("mcp_servers", "a2a_agents", "workflow", "models")
    if lost := [part for part in parts if getattr(draft, part)]:
        notes.append(f"agent '{name}': {', '.join(lost)} left out")
    return {key: value for key, value in made.items() if value is not None}


def _case(saved: SavedScenario, people: Mapping[str, SavedPersona], notes: list[str]) -> dict[str, Any]:
    spec = saved.spec
    person = next((people[id_].spec for id_ in saved.persona_ids if id_ in people), None)
    made: dict[str, Any] = {
        "id": saved.id,
        "name": spec.name,
        "description": spec.description or None,
        "difficulty": spec.labels.get("difficulty", "normal"),
        "status": spec.labels.get("status", "active"),
        "tags": list(spec.tags),
        "persona_context": "\n\n".join(filter(None, (person.description if person else "", spec.goal))) or None,
        "user_context": dict(person.facts) if person and person.facts else None,
        "first_turn": spec.first_turn,
        "expected_outcomes": list(spec.criteria) or [text for text in (spec.success_criteria,) if text],
        "expected_tool_calls": [
            {
                "tool": call.tool,
                "expected_params": call.expected_params or None,
                "mock_response": call.mock_response,
            }
            for call in spec.expected_tool_calls
        ],
        "evaluation_criteria_override": spec.emphasis,
        "created_at": iso(saved.created_at),
        **_kept(spec.annotations),
    }
    if len(spec.messages) == 1 and spec.messages[0].content is not None and spec.messages[0].role != "tool":
        made["first_message"] = spec.messages[0].content
        made["first_turn"] = "agent" if spec.messages[0].role == "assistant" else "user"
    elif spec.messages:
        notes.append(f"test case '{spec.name}': its messages were left out, because Connexity begins with one")
    lost = [
        word
        for word, is_there in (
            ("checks", spec.checks),
            ("failure_criteria", spec.failure_criteria),
            ("turns", spec.turns),
            ("all but the first persona", saved.persona_ids[1:]),
        )
        if is_there
    ]
    if lost:
        notes.append(f"test case '{spec.name}': {', '.join(lost)} left out")
    return {key: value for key, value in made.items() if value is not None}


def _eval(saved: Eval, notes: list[str]) -> dict[str, Any] | None:
    spec = saved.spec
    if spec.agent_id is None:
        notes.append(f"eval '{saved.name}' was left out: it runs a connector, and Connexity needs an agent")
        return None
    config: dict[str, Any] = spec.config.model_dump(mode="json", exclude_none=True) if spec.config else {}
    config.pop("agent_timeout", None)
    config.get("judge", {}).pop("min_score", None)
    runtime = fields_of(config.pop("runtime", None))
    kind = runtime.get("kind")
    if kind == "native":
        config["runtime"] = {"kind": "connexity"}
    elif kind in {"retell", "custom_endpoint"}:
        config["runtime"] = {key: runtime[key] for key in ("kind", "url") if key in runtime}
    elif kind is not None:
        notes.append(f"eval '{saved.name}': Connexity has no runtime '{kind}'")
    if spec.input:
        notes.append(f"eval '{saved.name}': its input was left out")
    members = [
        {"test_case_id": id_, "position": index, "repetitions": spec.trials}
        for index, id_ in enumerate(saved.scenario_ids)
    ]
    return {
        "id": saved.id,
        "name": saved.name,
        "description": spec.description or None,
        "agent_id": spec.agent_id,
        "config": config,
        "members": members,
        "created_at": iso(saved.created_at),
    }


def _metric(spec: MetricSpec, id_: str) -> dict[str, Any]:
    rubric = spec.rubric
    text = rubric if isinstance(rubric, str) else "\n".join(f"{step}: {told}" for step, told in sorted(rubric.items()))
    return {
        "id": id_,
        "name": spec.name,
        "display_name": spec.display_name or spec.name,
        "description": spec.description,
        "tier": spec.tier,
        "default_weight": spec.default_weight,
        "score_type": spec.score_type,
        "rubric": text,
        "include_in_defaults": spec.include_in_defaults,
        "is_draft": spec.draft,
    }


def _kept(annotations: Mapping[str, str]) -> dict[str, str]:
    """What an import has kept in annotations, under its own names."""
    names: Sequence[str] = [name for name in annotations if name.startswith(PREFIX) and annotations[name]]
    return {name.removeprefix(PREFIX): annotations[name] for name in names if name != f"{PREFIX}terminating"}
