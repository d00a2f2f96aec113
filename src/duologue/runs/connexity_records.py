"""Records of Connexity's JSON as definitions: agents, test cases, eval configurations, custom metrics, environments.

Every field is mapped, or named in a note: ``notes`` say what is not as it was. Records are data of others, so what has
not the type that it should have counts as missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from duologue.config.problems import listed
from duologue.config.templates import placeholders
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.foreign_records import Record, fields_of, items_of, text_in
from duologue.runs.store.definitions import AgentDraft, EvalSpec
from duologue.runs.store.releases import EnvironmentSpec
from duologue.runtimes.over_http import is_private_host
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario

PREFIX = "connexity/"
"""Of annotations that keep what has no field of its own."""
_LONGEST_NOTE = 2000
_KINDS = {"connexity": "native", "native": "native", "retell": "retell", "custom_endpoint": "custom_endpoint"}
_HIGHEST_CONCURRENCY = 1000
_SLUG = re.compile(r"[^a-z0-9_]+")


@frozen
class WrittenCaseRecord:
    """A test case: a scenario, and who the user is."""

    scenario: Scenario
    persona: Persona | None


def records(value: object) -> list[Record]:
    """The objects of a list, or of a page ``{data: [...]}``."""
    fields = fields_of(value)
    return [fields_of(item) for item in items_of(fields.get("data") if fields else value)]


# Agents


def draft_from(data: Record, name: str, notes: list[str]) -> AgentDraft:
    """An agent, or a version of one.

    Raises:
        ConfigurationError: nothing says how it is reached or played.
    """
    prompt, endpoint = text_in(data, "system_prompt"), text_in(data, "endpoint_url")
    platform, platform_id = text_in(data, "platform"), text_in(data, "platform_agent_id")
    agent: dict[str, Any] = {
        "name": name,
        "description": text_in(data, "description") or "",
        "annotations": _annotations(data, ("editor_guidelines", "platform_agent_name", "prompt_type")),
    }
    made: dict[str, Any] = {"agent": agent}
    if data.get("mode") == "endpoint" and endpoint is not None:
        agent["runtime"] = _custom_endpoint(endpoint, f"agent '{name}'", notes)
    elif platform == "retell" and platform_id is not None and prompt is None:
        agent |= {"runtime": {"kind": "retell"}, "platform": platform, "platform_agent_id": platform_id}
    elif prompt is not None:
        model = _model(text_in(data, "agent_provider") or text_in(data, "provider"), text_in(data, "agent_model"))
        model = model or text_in(data, "model")
        if model is None:
            agent["runtime"] = {"kind": "native"}
        else:
            agent["model"] = model
        if platform is not None:
            agent["annotations"] |= {f"{PREFIX}platform": platform, f"{PREFIX}platform_agent_id": platform_id or ""}
    else:
        raise ConfigurationError(
            "it has neither an endpoint_url, a system_prompt nor a Retell agent that can be tested"
        )
    tools = [tool for item in items_of(data.get("tools")) if (tool := _tool(fields_of(item), name, notes)) is not None]
    if prompt is not None and agent.get("runtime", {}).get("kind") in {None, "native"}:
        agent["prompt"] = "prompt"
        made["prompts"] = [_prompt(prompt, [tool["name"] for tool in tools], data, name, notes)]
        made["tools"] = tools
    elif tools:
        notes.append(f"agent '{name}': its {len(tools)} tools were left out, because the agent calls them itself")
    return AgentDraft.model_validate(made)


def _custom_endpoint(url: str, where: str, notes: list[str]) -> dict[str, Any]:
    """The runtime of an agent behind a URL, which Connexity calls wherever it leads."""
    made: dict[str, Any] = {"kind": "custom_endpoint", "url": url}
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return made  # whoever validates the runtime says so
    if is_private_host(host):
        notes.append(f"{where}: '{host}' is not on the public internet, so its runtime has allow_private_addresses")
        made["allow_private_addresses"] = True
    return made


def _model(provider: str | None, model: str | None) -> str | None:
    if model is None or provider is None or model.startswith(f"{provider}/"):
        return model
    return f"{provider}/{model}"


def _prompt(text: str, tools: Sequence[str], data: Record, name: str, notes: list[str]) -> dict[str, Any]:
    names = list(dict.fromkeys(placeholders(text)))
    if names:
        told = f"the placeholders {listed(names)} of its prompt are empty; give them values in variables of scenarios"
        notes.append(f"agent '{name}': {told}")
    made: dict[str, Any] = {
        "name": "prompt",
        "system_template": text,
        "variables": [{"name": item, "default": ""} for item in names],
        "allowed_tools": list(tools),
    }
    temperature = data.get("agent_temperature")
    if isinstance(temperature, int | float) and not isinstance(temperature, bool):
        made["parameters"] = {"temperature": float(temperature)}
    return made


def _tool(data: Record, agent: str, notes: list[str]) -> dict[str, Any] | None:
    function = fields_of(data.get("function")) or data
    name = text_in(function, "name")
    if name is None:
        notes.append(f"agent '{agent}': a tool without a name was left out")
        return None
    made: dict[str, Any] = {"name": name, "description": text_in(function, "description") or name}
    if schema := fields_of(function.get("parameters")):
        made["input_schema"] = dict(schema)
    platform = fields_of(data.get("platform_config"))
    if platform.get("terminating") is True:
        made["annotations"] = {f"{PREFIX}terminating": "true"}
        notes.append(f"agent '{agent}': a call of the tool '{name}' ended the conversation; the user ends it here")
    implementation = fields_of(platform.get("implementation"))
    url = text_in(implementation, "url") or text_in(platform, "url")
    if url is not None and "{{" not in url:
        made |= {"mode": "live", "http": {"url": url, "method": text_in(implementation, "method") or "POST"}}
        if fields_of(implementation.get("headers")):
            notes.append(f"agent '{agent}': the headers of the tool '{name}' were left out; write them with ${{NAME}}")
    elif implementation:
        notes.append(f"agent '{agent}': the code of the tool '{name}' was left out; it is mocked")
    return made


# Test cases


def case_from(data: Record, name: str, notes: list[str]) -> WrittenCaseRecord:
    """A test case. Who the user is and what it knows become a persona."""
    situation, known = text_in(data, "persona_context"), fields_of(data.get("user_context"))
    persona = None
    if situation is not None or known:
        facts = {str(key): _as_text(value) for key, value in known.items()}
        persona = Persona(name=name, description=situation or "", facts=facts)
    fields: dict[str, Any] = {
        "name": name,
        "description": text_in(data, "description") or name,
        "tags": [str(tag) for tag in items_of(data.get("tags")) if isinstance(tag, str) and tag],
        "labels": {key: value for key in ("difficulty", "status") if (value := text_in(data, key)) is not None},
        "annotations": _annotations(data, ("source_call_id",)),
        "criteria": [text for item in items_of(data.get("expected_outcomes")) if (text := _outcome(item))],
        "emphasis": text_in(data, "evaluation_criteria_override"),
        "expected_tool_calls": [
            call for item in items_of(data.get("expected_tool_calls")) if (call := _call(fields_of(item)))
        ],
    }
    agent_first, message = data.get("first_turn") == "agent", text_in(data, "first_message")
    if message is not None:
        fields["messages"] = [{"role": "assistant" if agent_first else "user", "content": message}]
    elif agent_first:
        fields["first_turn"] = "agent"
    if persona is not None:
        fields["personas"] = [name]
    if text_in(data, "status") in {"draft", "archived"}:
        notes.append(f"test case '{name}' was {data['status']} and can be run here; the label 'status' says so")
    given = {key: value for key, value in fields.items() if value not in (None, [], {})}
    return WrittenCaseRecord(scenario=Scenario.model_validate(_literal(given)), persona=persona)


def _outcome(item: object) -> str:
    """An expected outcome, which may be a text or an object with one."""
    if isinstance(item, str):
        return item.strip()
    return text_in(fields_of(item), "description") or text_in(fields_of(item), "outcome") or ""


def _call(data: Record) -> dict[str, Any] | None:
    tool = text_in(data, "tool")
    if tool is None:
        return None
    made: dict[str, Any] = {"tool": tool}
    if params := fields_of(data.get("expected_params")):
        made["expected_params"] = dict(params)
    if data.get("mock_response") is not None:
        made["mock_response"] = data["mock_response"]
    return made


def _literal(fields: dict[str, Any]) -> dict[str, Any]:
    """What looks like a placeholder stands in a variable, so that it is said to the letter."""
    variables: dict[str, str] = {}
    for message in cast("list[dict[str, Any]]", fields.get("messages", [])):
        for name in placeholders(message["content"]):
            variables[name] = f"{{{{{name}}}}}"
    return {**fields, "variables": variables} if variables else fields


# Evals


def eval_from(data: Record, name: str, repetitions: Mapping[str, int], agent_id: str, notes: list[str]) -> EvalSpec:
    """An eval configuration.

    Args:
        data: of it.
        name: of the eval.
        repetitions: how often each of its test cases is run, by its name.
        agent_id: of the saved agent.
        notes: what is not as it was.
    """
    counts = set(repetitions.values())
    trials = max(counts, default=1)
    if len(counts) > 1:
        fewer = listed(f"'{case}'" for case, count in repetitions.items() if count < trials)
        notes.append(
            f"eval '{name}': all test cases are run {trials} times, those that were run less often as well: {fewer}"
        )
    config = run_config_from(fields_of(data.get("config")), f"eval '{name}'", notes)
    fields = {
        "description": text_in(data, "description") or "",
        "agent_id": agent_id,
        "trials": min(trials, 1_000_000),
        "config": config,
    }
    return EvalSpec.model_validate(fields)


def run_config_from(data: Record, where: str, notes: list[str]) -> dict[str, Any]:
    """A ``RunConfig`` as it is written here. What is not known is left out and named."""
    known = {
        *("concurrency", "timeout_per_test_case_ms", "max_turns", "tool_mode", "metrics_pass_threshold"),
        *("cases_pass_threshold", "judge", "user_simulator", "agent_simulator", "mode", "runtime"),
    }
    if unknown := [key for key, value in data.items() if key not in known and value is not None]:
        notes.append(f"{where}: {listed(unknown)} of its configuration left out")
    made: dict[str, Any] = {}
    for key in ("timeout_per_test_case_ms", "max_turns"):
        if isinstance(data.get(key), int) and data[key] > 0:
            made[key] = data[key]
    for key in ("metrics_pass_threshold", "cases_pass_threshold"):
        if isinstance(data.get(key), int | float):
            made[key] = float(min(max(data[key], 0), 100))
    if isinstance(limit := data.get("concurrency"), int) and limit > 0:
        made["concurrency"] = min(limit, _HIGHEST_CONCURRENCY)
    if text_in(data, "tool_mode") in {"mock", "live"}:
        made["tool_mode"] = data["tool_mode"]
    if data.get("mode") == "voice":
        notes.append(f"{where}: it was for spoken conversations, of which Connexity has none; it is written here")
    for key, names in _PARTS.items():
        part = {name: value for name, value in fields_of(data.get(key)).items() if name in names and value is not None}
        if part:
            made[key] = part
    if judge := fields_of(data.get("judge")):
        made["judge"] = _judge(judge)
    runtime = fields_of(data.get("runtime"))
    if runtime and (kind := _KINDS.get(str(runtime.get("kind")))) is not None:
        url = text_in(runtime, "url")
        if kind == "custom_endpoint" and url is not None:
            made["runtime"] = _custom_endpoint(url, where, notes)
        elif kind != "native":
            made["runtime"] = {"kind": kind}
    elif runtime:
        notes.append(f"{where}: the runtime {runtime.get('kind')!r} is not known; the agent's own way is used")
    return made


_PARTS = {
    "user_simulator": ("mode", "scripted_messages", "model", "provider", "temperature"),
    "agent_simulator": ("model", "provider", "temperature", "max_tokens"),
}


def _judge(data: Record) -> dict[str, Any]:
    made: dict[str, Any] = {key: data[key] for key in ("model", "provider") if text_in(data, key) is not None}
    if isinstance(data.get("pass_threshold"), int | float):
        made["pass_threshold"] = float(min(max(data["pass_threshold"], 0), 100))
    metrics: list[dict[str, Any]] = []
    for item in items_of(data.get("metrics")):
        name = item if isinstance(item, str) else text_in(fields_of(item), "metric")
        if name is None or any(known["metric"] == name for known in metrics):
            continue
        weight = fields_of(item).get("weight")
        given = {"weight": float(weight)} if isinstance(weight, int | float) and weight >= 0 else {}
        metrics.append({"metric": name, **given})
    return {**made, **({"metrics": metrics} if metrics else {})}


# Metrics, environments


def metric_from(data: Record) -> MetricSpec:
    """A custom metric."""
    name = text_in(data, "name") or text_in(data, "display_name") or "metric"
    slug = _SLUG.sub("_", name.lower()).strip("_")[:64]
    fields: dict[str, Any] = {
        "name": slug if slug[:1].isalpha() else f"metric_{slug}"[:64],
        "display_name": text_in(data, "display_name") or "",
        "description": text_in(data, "description") or "",
        "rubric": text_in(data, "rubric") or text_in(data, "description") or name,
        "include_in_defaults": data.get("include_in_defaults") is True,
        "draft": data.get("is_draft") is True,
    }
    if text_in(data, "tier") in {"execution", "knowledge", "process", "delivery"}:
        fields["tier"] = data["tier"]
    if text_in(data, "score_type") in {"scored", "binary"}:
        fields["score_type"] = data["score_type"]
    weight = data.get("default_weight")
    if isinstance(weight, int | float) and not isinstance(weight, bool) and weight >= 0:
        fields["default_weight"] = float(weight)
    return MetricSpec.model_validate(fields)


def environment_from(data: Record, name: str, agent_id: str | None, eval_id: str | None) -> EnvironmentSpec:
    """An environment. Its webhook is called; agents of platforms are changed by whoever is told."""
    platform = text_in(data, "platform")
    fields: dict[str, Any] = {
        "name": name,
        "platform": platform if platform in {"retell", "vapi", "elevenlabs", "webhook"} else "webhook",
        "agent_id": agent_id,
        "eval_id": eval_id,
        "platform_agent_id": text_in(data, "platform_agent_id"),
        "webhook_url": text_in(data, "endpoint_url"),
    }
    return EnvironmentSpec.model_validate({key: value for key, value in fields.items() if value is not None})


def _annotations(data: Record, names: Sequence[str]) -> dict[str, str]:
    found = {f"{PREFIX}{name}": text for name in names if (text := text_in(data, name)) is not None}
    return {name: text[:_LONGEST_NOTE] for name, text in found.items()}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
