"""Records of EvalStudio's files as definitions and runs of a store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import to_json

from duologue.context import random_uuid
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.runs.foreign_records import Record, fields_of, instant_in, items_of, text_in
from duologue.runs.store.database.definition_rows import connector_of
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.definitions import (
    Connector,
    Eval,
    EvalSpec,
    ProjectSettings,
    SavedPersona,
    SavedScenario,
)
from duologue.runs.store.records import QueueStatus
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario, SeedMessage
from duologue.suites.plan.build import TestCase

_DEFAULT_MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-3-5-haiku-20241022"}
_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_METRICS = {"tool-call-count", "token-usage"}
"""Evaluators that only count, which every run does here."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST_NOTE = 2000
"""Characters of an annotation."""


@frozen
class ImportedRun:
    """A run of EvalStudio. Instants are seconds since 1970."""

    id: str
    status: QueueStatus
    eval_id: str | None
    scenario_id: str | None
    persona_id: str | None
    connector_id: str | None
    execution: int | None
    thread_id: str | None
    messages: Sequence[Message]
    outcome: str | None
    score: float | None
    reason: str | None
    error: str | None
    output: dict[str, Any] | None
    details: dict[str, Any] | None
    started_at: float | None
    completed_at: float | None
    created_at: float | None
    updated_at: float | None

    def row(
        self, project_id: str, execution: int | None, snapshot: str, case: TestCase, trial: int, now: float
    ) -> dict[str, Any]:
        """Its row."""
        names = ("id", "eval_id", "scenario_id", "persona_id", "connector_id", "thread_id", "outcome", "score")
        created = self.created_at or now
        return {
            **{name: getattr(self, name) for name in names},
            "reason": to_text(self.reason),
            "error": to_text(self.error),
            "output": self.output,
            "details": self.details,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "project_id": project_id,
            "execution_id": execution,
            "snapshot": snapshot,
            "identity": to_text(case.group),
            "trial": trial,
            "test_case": to_json(case.as_data()),
            "provider": "",
            "status": self.status.value,
            "created_at": created,
            "updated_at": self.updated_at or created,
        }


def settings_from(config: Record, providers: Sequence[Record], notes: list[str]) -> ProjectSettings:
    """The models of a project. Keys stay where they are."""
    settings = config.get("llmSettings")
    if not isinstance(settings, Mapping):
        return ProjectSettings()
    given = cast("Record", settings)
    if (provider := text_in(given, "provider")) is not None:
        models = fields_of(given.get("models"))
        _note_key(provider, given, notes)
        evaluation = _model(provider, text_in(models, "evaluation"))
        persona = _model(provider, text_in(models, "persona")) if text_in(models, "persona") else None
        return ProjectSettings(evaluation_model=evaluation, persona_model=persona)
    known = {text_in(item, "id"): item for item in providers}
    found: dict[str, str] = {}
    for role in ("evaluation", "persona"):
        chosen = fields_of(given.get(role))
        record = known.get(text_in(chosen, "providerId"))
        if record is None:
            continue
        provider = text_in(record, "provider") or "openai"
        _note_key(provider, record, notes)
        found[f"{role}_model"] = _model(provider, text_in(chosen, "model"))
    return ProjectSettings.model_validate(found)


def _model(provider: str, model: str | None) -> str:
    return f"{provider}/{model or _DEFAULT_MODELS.get(provider, 'default')}"


def _note_key(provider: str, record: Record, notes: list[str]) -> None:
    told = f"the API key of {provider} was not imported; set {_KEYS.get(provider, 'its environment variable')}"
    if text_in(record, "apiKey") and told not in notes:
        notes.append(told)


def persona_from(record: Record, project_id: str, notes: list[str]) -> SavedPersona:
    """A persona; its character instructions become part of its description."""
    name, told = str(record["name"]), [text_in(record, "description"), text_in(record, "systemPrompt")]
    annotations: dict[str, str] = {}
    if (image := text_in(record, "imageUrl")) is not None:
        if len(image) > _LONGEST_NOTE:
            notes.append(f"persona '{name}': its picture was left out")
        else:
            annotations["image_url"] = image
    spec = Persona(
        name=name,
        description="\n\n".join(text for text in told if text),
        headers={str(key): str(value) for key, value in fields_of(record.get("headers")).items()},
        annotations=annotations,
    )
    return SavedPersona(spec=spec, **_facts(record, project_id))


def scenario_from(
    record: Record, project_id: str, personas: Mapping[str, SavedPersona], notes: list[str]
) -> SavedScenario:
    """A scenario. System messages become part of its description, because agents never get them."""
    name = str(record["name"])
    system, messages = _messages(record.get("messages"), f"scenario '{name}'", notes)
    told = "\n\n".join(text for text in (text_in(record, "instructions"), *system) if text)
    ids = [str(id_) for id_ in items_of(record.get("personaIds"))]
    if missing := [id_ for id_ in ids if id_ not in personas]:
        notes.append(f"scenario '{name}': {len(missing)} of its personas were deleted before")
    known = tuple(dict.fromkeys(id_ for id_ in ids if id_ in personas))
    failure, mode = text_in(record, "failureCriteria"), record.get("failureCriteriaMode")
    fields: dict[str, Any] = {
        "name": name,
        "description": told if told or messages else name,
        "messages": [message.written() for message in messages],
        "personas": [personas[id_].name for id_ in known],
        "success_criteria": text_in(record, "successCriteria"),
        "failure_criteria": failure,
        "failure_criteria_mode": mode if failure and mode else None,
        "max_messages": record.get("maxMessages"),
        "annotations": _evaluators(record, name, notes),
    }
    spec = Scenario.model_validate({key: value for key, value in fields.items() if value is not None})
    return SavedScenario(spec=spec, persona_ids=known, **_facts(record, project_id))


def _evaluators(record: Record, name: str, notes: list[str]) -> dict[str, str]:
    own = [
        item for item in map(fields_of, items_of(record.get("evaluators"))) if item and item.get("type") not in _METRICS
    ]
    if not own:
        return {}
    kinds = ", ".join(dict.fromkeys(str(item.get("type")) for item in own))
    notes.append(f"scenario '{name}': write checks in place of its evaluators ({kinds}); they are in its annotations")
    return {"evalstudio_evaluators": json.dumps(own)}


def connector_from(record: Record, project_id: str) -> Connector:
    """A connector."""
    config = {key: value for key, value in fields_of(record.get("config")).items() if value is not None}
    made = connector_of(
        {
            "name": record["name"],
            "type": record.get("type"),
            "base_url": record.get("baseUrl"),
            "headers": {str(key): str(value) for key, value in fields_of(record.get("headers")).items()},
            "config": config,
        }
    )
    return Connector(
        name=made.name,
        type=made.type,
        base_url=made.base_url,
        headers=made.headers,
        config=made.config,
        **_facts(record, project_id),
    )


def eval_from(
    record: Record,
    project_id: str,
    scenarios: Mapping[str, SavedScenario],
    connectors: Mapping[str, Connector],
    notes: list[str],
) -> Eval:
    """An eval.

    Raises:
        ConfigurationError: its connector or all its scenarios are gone.
    """
    name = str(record["name"])
    ids = [str(id_) for id_ in (items_of(record.get("scenarioIds")) or [record.get("scenarioId")]) if id_]
    known = tuple(dict.fromkeys(id_ for id_ in ids if id_ in scenarios))
    if len(known) < len(set(ids)):
        notes.append(f"eval '{name}': {len(set(ids)) - len(known)} of its scenarios are not there")
    if not known:
        raise ConfigurationError("none of its scenarios is there")
    connector = text_in(record, "connectorId")
    if connector not in connectors:
        raise ConfigurationError("its connector is not there")
    given = record.get("input")
    if fields_of(given):
        notes.append(f"eval '{name}': its input is no list of messages and was left out")
    _, messages = _messages(given, f"eval '{name}'", notes)
    spec = EvalSpec(input=tuple(messages))
    return Eval(name=name, scenario_ids=known, connector_id=connector, spec=spec, **_facts(record, project_id))


def run_from(record: Record, notes: list[str]) -> ImportedRun:
    """A run. One that was under way when EvalStudio stopped waits again."""
    written = record.get("status")
    status = QueueStatus.QUEUED
    if written in {"completed", "error"}:
        status = QueueStatus(str(written))
    result = fields_of(record.get("result"))
    outcome = None
    if status is QueueStatus.ERROR:
        outcome = "error"
    elif status is QueueStatus.COMPLETED:
        success = result.get("success")
        outcome = "undecided" if not isinstance(success, bool) else "pass" if success else "fail"
    score, over = result.get("score"), status is not QueueStatus.QUEUED
    details = _snake(fields_of(record.get("metadata")))
    if isinstance(record.get("latencyMs"), int | float):
        details.setdefault("latency_ms", record["latencyMs"])
    output, execution = record.get("output"), record.get("executionId")
    return ImportedRun(
        id=text_in(record, "id") or random_uuid(),
        status=status,
        eval_id=text_in(record, "evalId"),
        scenario_id=text_in(record, "scenarioId"),
        persona_id=text_in(record, "personaId"),
        connector_id=text_in(record, "connectorId") if not text_in(record, "evalId") else None,
        execution=execution if isinstance(execution, int) else None,
        thread_id=text_in(record, "threadId"),
        messages=[cast("Message", item) for item in items_of(record.get("messages")) if _is_message(item)]
        if over
        else [],
        outcome=outcome,
        score=float(score) if over and isinstance(score, int | float) and 0 <= score <= 1 else None,
        reason=text_in(result, "reason") if over else None,
        error=text_in(record, "error") if over else None,
        output=_snake(fields_of(output)) if over and output else None,
        details=details or None if over else None,
        started_at=instant_in(record, "startedAt") if over else None,
        completed_at=instant_in(record, "completedAt") if over else None,
        created_at=instant_in(record, "createdAt"),
        updated_at=instant_in(record, "updatedAt"),
    )


def _is_message(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(cast("Record", item).get("role"), str)


def _messages(value: object, where: str, notes: list[str]) -> tuple[list[str], list[SeedMessage]]:
    """Texts of system messages, and the other messages."""
    system: list[str] = []
    messages: list[SeedMessage] = []
    for item in items_of(value):
        if not _is_message(item):
            notes.append(f"{where}: something that is no message was left out")
            continue
        message = cast("Record", item)
        if message["role"] == "system":
            system.append(_text(message.get("content")))
            continue
        try:
            messages.append(SeedMessage.model_validate(_seed(message)))
        except ValueError:
            notes.append(f"{where}: a message of the role {message['role']!r} could not be read and was left out")
    return system, messages


def _seed(message: Record) -> dict[str, Any]:
    names = ("tool_calls", "tool_call_id", "name")
    data: dict[str, Any] = {name: message[name] for name in names if message.get(name)}
    content = message.get("content")
    parts = [fields_of(part) for part in items_of(content)]
    if any(part.get("type") != "text" for part in parts):
        return {**data, "role": message["role"], "parts": [_part(part) for part in parts]}
    text = _text(content)
    return {**data, "role": message["role"], **({"content": text} if text or not data.get("tool_calls") else {})}


def _part(part: Record) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": str(part.get("text", ""))}
    url = fields_of(part.get("image_url")).get("url") or part.get("image_url") or part.get("url") or ""
    kind = re.match(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", str(url), re.DOTALL)
    media = {"mime_type": kind[1], "data": kind[2]} if kind else {"mime_type": "image/*", "url": str(url)}
    return {"type": "image", "media": media}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(fields_of(part).get("text", "")) for part in items_of(content))


def _snake(record: Record) -> dict[str, Any]:
    """The fields under the names that they have here."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        inner = _snake(cast("Record", value)) if isinstance(value, Mapping) else value
        made[_CAMEL.sub("_", name).lower()] = inner
    return made


def _facts(record: Record, project_id: str) -> dict[str, Any]:
    created = instant_in(record, "createdAt") or 0.0
    return {
        "id": str(record["id"]),
        "project_id": project_id,
        "created_at": created,
        "updated_at": instant_in(record, "updatedAt") or created,
    }
