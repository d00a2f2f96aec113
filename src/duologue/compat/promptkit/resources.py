"""One PromptKit resource to ours: which field becomes which."""

from __future__ import annotations

import posixpath
from typing import Any

from duologue.compat.promptkit.assertions import adapted
from duologue.compat.promptkit.field_mapping import Convert, Moved, each, given, inner, without
from duologue.config.problems import PlacedDict, PlacedList, Problems, hint, listed, plain

_COMMON = ("name", "labels", "annotations")
_PROVIDERS = {"claude": "anthropic", "gemini": "google", "azure-openai": "azure"}
_OF_SPEECH = ("voice", "sample_rate", "audio_files")
_UNUSED = ("stream_idle_timeout", "stream_retry", "stream_max_concurrent", "http_transport")
_LIMITS = (
    "max_tool_calls_per_turn",
    "max_total_tool_calls",
    "max_rounds",
    "max_cost_usd",
    "max_identical_tool_calls",
)
_policy = inner(without(*_LIMITS))
"""Limits of 0 are none: manifests of some versions must have them."""
_writing = inner(without("max_tokens"))
_NO_EFFECT = "has no effect in PromptKit, and none here; remove it"


def checks(problems: Problems) -> Convert:
    """A conversion of assertions to checks.

    Args:
        problems: takes warnings of parameters that have no effect.
    """
    return each(lambda source: check(source, problems))


def check(source: PlacedDict, problems: Problems) -> PlacedDict:
    """An assertion as a check."""
    return Moved(adapted(source, problems)).same("type", "params", "message", "when", "pass_threshold").made


def scenario(source: PlacedDict, problems: Problems, roles: list[str] | None) -> PlacedDict:
    """A Scenario as a scenario.

    Args:
        source: the manifest's spec and metadata.
        problems: takes warnings of what has no effect.
        roles: who can play users; None if that is not known.
    """
    for key in ("mode", "context", "constraints"):
        if source.get(key):
            problems.warning(source.mark(key).key(), _NO_EFFECT)
    moved = Moved(source).same(*_COMMON, "description", "required_capabilities", "variables", "streaming")
    moved.same("context_policy", "seed_memories")
    moved.field("voice", "duplex", inner(call))
    moved.field("tool_policy", "tool_policy", _policy)
    moved.field("prompt", "task_type", given).field("background", "context_metadata").field("trials", "trials", given)
    moved.field("agents", "providers").field("agent_group", "provider_group", lambda group: group or None)
    moved.field("checks", "conversation_assertions", checks(problems))
    moved.field("turns", "turns", each(lambda item: turn(item, problems, roles)))
    if source.get("steps") and not source.get("turns"):
        moved.put("goal", "?")  # reported: nothing of it can be played
    return moved.made


def call(source: PlacedDict) -> PlacedDict:
    """How a duplex session is held."""
    moved = Moved(source).put("timeout", source.get("timeout", "10m"), source.mark("timeout"))
    detection = source.get("turn_detection")
    if isinstance(detection, PlacedDict):
        moved.field("end_of_turn", "turn_detection", lambda item: _ENDS[item.get("mode", "vad")])
        activity = detection.get("vad")
        if isinstance(activity, PlacedDict):
            inside = Moved(activity).field("silence", "silence_threshold_ms", _seconds)
            inside.field("longest_turn", "max_turn_duration_s", lambda seconds: seconds or None)
            for key, value in inside.made.items():
                moved.put(key, value, inside.made.mark(key))
    resilience = source.get("resilience")
    if isinstance(resilience, PlacedDict):
        inside = Moved(resilience).field("retries", "max_retries").field("retry_delay", "retry_delay_ms", _seconds)
        inside.field("pause", "inter_turn_delay_ms", _seconds).field("enough_turns", "partial_success_min_turns")
        inside.field("may_end_in_last_turn", "ignore_last_turn_session_end")
        for key, value in inside.made.items():
            moved.put(key, value, inside.made.mark(key))
    return moved.made


_ENDS = {"vad": "silence", "asm": "agent"}
"""What ends a turn of the agent, by the mode of turn detection."""


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def turn(source: PlacedDict, problems: Problems, roles: list[str] | None) -> PlacedDict:
    """A turn. Any role but ``user`` is that of a self-play role."""
    moved = Moved(source).same("content", "parts", "seed", "perturbations", "chaos")
    moved.field("agent_temperature", "assistant_temp").field("user_temperature", "user_temp")
    moved.field("consent", "consent_overrides").field("checks", "assertions", checks(problems))
    role = source.get("role")
    if role == "user":
        for key in ("persona", "turns", "max_turns"):
            if given(source.get(key)):
                problems.warning(source.mark(key).key(), "has no effect in a turn of the role user; remove it")
        return moved.made
    known = ["user", *(roles or [])]
    if role in {"assistant", "system", "tool"}:
        problems.error(source.mark("role"), f"turns of the role {role} cannot be played; expected {listed(known)}")
        return moved.put("content", "", source.mark("role")).made
    if roles is not None and role not in roles:
        told = f"no self-play role is called '{role}'{hint(str(role), known)} Expected one of {listed(known)}"
        problems.error(source.mark("role"), told)
        return moved.put("content", "", source.mark("role")).made
    moved.put("role", "simulated_user", source.mark("role")).field("simulator", "role").same("persona")
    moved.field("exchanges", "turns", given).field("max_exchanges", "max_turns", given)
    return moved.made


def model(source: PlacedDict, problems: Problems) -> PlacedDict:
    """A Provider as a model. What is no option of the provider's API must not get among them: they are sent."""
    talks = source.get("role", "llm") == "llm"
    for key in (*_UNUSED, *(_OF_SPEECH if talks else ())):
        if source.get(key):
            problems.warning(source.mark(key).key(), "is not used by this version of Duologue")
    moved = Moved(source).same(*_COMMON, "model", "role", "base_url", "headers", "rate_limit", "pricing", "credential")
    moved.same("platform", "capabilities", "unsupported_params")
    moved.field("request_timeout", "request_timeout", given).field("sampling", "defaults", _writing)
    moved.field("provider", "type", lambda kind: _PROVIDERS.get(kind, kind))
    moved.from_within("additional_config", mock_file="mock_config")
    taken = {"mock_config"}
    if source.get("type") == "replay":
        moved.from_within("additional_config", recording_file="recording")
        taken.add("recording")
    extra = source.get("additional_config")
    options = {key: value for key, value in extra.items() if key not in taken} if isinstance(extra, PlacedDict) else {}
    if not talks:
        options |= {key: source[key] for key in _OF_SPEECH if key in source}
    if isinstance(source.get("pricing_correct_at"), str):
        moved.put("annotations", {**source.get("annotations", {}), "pricing_correct_at": source["pricing_correct_at"]})
    return moved.put("options", options, source.mark("additional_config")).made if options else moved.made


def agent(source: PlacedDict, group: str) -> PlacedDict:
    """The agent that a Provider makes together with a scenario's prompt."""
    moved = Moved(source).same("name", "labels", "capabilities")
    return moved.put("model", source.get("name"), source.mark("name")).put("group", group).made


def persona(source: PlacedDict, problems: Problems) -> PlacedDict:
    """A Persona as a persona."""
    if source.get("prompt_activity"):
        told = "prompt_activity is no longer supported; expected system_template or system_prompt"
        problems.error(source.mark("prompt_activity").key(), told)
    moved = Moved(source).same(*_COMMON, "description", "goals", "constraints", "style", "system_prompt")
    moved.same("system_template", "required_vars", "optional_vars", "fragments")
    return moved.from_within("defaults", temperature="temperature", seed="seed").made


def prompt(source: PlacedDict, problems: Problems, name: str, values: Any = None) -> PlacedDict:
    """A PromptConfig as a prompt.

    Args:
        source: the manifest's spec and metadata.
        problems: takes warnings of what has no effect.
        name: what the arena calls it.
        values: the arena's values for its variables.
    """
    moved = Moved(source).same("labels", "annotations", "version", "description", "system_template", "variables")
    moved.same("fragments", "model_overrides", "allowed_tools", "media")
    moved.field("evals", "evals", each(lambda item: adapted(item, problems)))
    moved.field("tool_policy", "tool_policy", _policy).field("parameters", "parameters", _writing)
    moved.put("name", name, source.mark("name")).field("task", "task_type")
    moved.field("guardrails", "validators", each(lambda item: guardrail(item, problems)))
    information = {
        key: plain(source[key])
        for key in ("template_engine", "tested_models", "metadata", "compilation")
        if source.get(key)
    }
    if information:
        moved.put("information", information)
    if values:
        moved.put("values", values, getattr(values, "home", None))
    return moved.made


def guardrail(source: PlacedDict, problems: Problems) -> PlacedDict:
    """A validator as a guardrail. Whose messages it is for may stand among its parameters."""
    made = PlacedDict(source.home, source, dict(source.marks))
    if made.get("direction", "") is None:
        del made["direction"]
    params = made.get("params")
    if isinstance(params, PlacedDict) and "direction" in params:
        made.put("params", params.without("direction"), source.mark("params"))
        made.marks.setdefault("direction", params.mark("direction"))
        made.setdefault("direction", params["direction"])
    return adapted(made, problems)


def tool(source: PlacedDict) -> PlacedDict:
    """A Tool as a tool."""
    return PlacedDict(source.home, source.without("id"), source.marks)


def replay(source: PlacedDict, problems: Problems, below: str) -> PlacedDict:
    """An Eval as a replay.

    Args:
        source: the manifest's spec and metadata.
        problems: takes warnings of what has no effect.
        below: the folder of the eval's file, from that of the arena; recordings are relative to it.
    """
    for key in ("mode", "speed"):
        if source.get(key) not in {None, "instant", 1}:
            problems.warning(source.mark(key).key(), _NO_EFFECT)
    moved = Moved(source).same(*_COMMON, "description", "tags").from_within("recording", format="type")
    recording = source["recording"]
    path = posixpath.normpath(posixpath.join(below, recording["path"]))
    moved.put("recording", path, recording.mark("path"))
    moved.field("checks", "conversation_assertions", checks(problems))
    turn_checks = PlacedList(source.mark("turns"))
    for item in source.get("turns", ()):
        inner = item.get("all_turns")
        found = inner.get("assertions") if isinstance(inner, PlacedDict) else None
        if isinstance(found, PlacedList):
            for index, assertion in enumerate(found):
                turn_checks.add(check(assertion, problems), found.mark(index))
    return moved.put("turn_checks", turn_checks, source.mark("turns")).made if turn_checks else moved.made
