"""Providers of an arena: what of them is sent to the provider's API, and what only tells people something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from duologue.suites.manifests.loader import Report, validate

API = "promptkit.altairalabs.ai/v1alpha1"


def manifest(kind: str, name: str, spec: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec})


def arena(folder: Path, provider: dict[str, Any], turn: dict[str, Any] | None = None) -> Report:
    files = {
        "p.yaml": manifest("Provider", "p", {"id": "p", "type": "openai", "model": "m", **provider}),
        "c.yaml": manifest("PromptConfig", "c", {"task_type": "t", "version": "v1", "system_template": "x"}),
        "s.yaml": manifest(
            "Scenario", "s", {"id": "s", "task_type": "t", "turns": [turn or {"role": "user", "content": "Hello"}]}
        ),
        "config.arena.yaml": manifest(
            "Arena",
            "a",
            {
                "prompt_configs": [{"id": "c", "file": "c.yaml"}],
                "providers": [{"file": "p.yaml"}],
                "scenarios": [{"file": "s.yaml"}],
                "defaults": {},
            },
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return validate(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream_retry", {"enabled": True}),
        ("stream_idle_timeout", "30s"),
        ("stream_max_concurrent", 4),
        ("http_transport", {"max_conns": 1}),
        ("voice", "alloy"),
        ("sample_rate", 16000),
    ],
)
def test_settings_of_their_engine_are_no_options_of_the_api(tmp_path: Path, field: str, value: Any) -> None:
    report = arena(tmp_path, {field: value})
    assert report.ok
    assert report.suite is not None
    assert report.suite.models[0].options == {}
    (warning,) = report.warnings
    assert warning.position.field == f"spec.{field}"
    assert "is not used by this version" in warning.message


def test_the_day_of_a_price_is_kept_as_a_note(tmp_path: Path) -> None:
    report = arena(tmp_path, {"pricing_correct_at": "2025-10-01"})
    assert report.problems == ()
    assert report.suite is not None
    (model,) = report.suite.models
    assert (model.options, model.annotations) == ({}, {"pricing_correct_at": "2025-10-01"})


def test_additional_config_is_what_the_api_is_sent(tmp_path: Path) -> None:
    report = arena(tmp_path, {"additional_config": {"reasoning_effort": "low"}})
    assert report.suite is not None
    assert report.suite.models[0].options == {"reasoning_effort": "low"}


def test_a_voice_keeps_its_settings(tmp_path: Path) -> None:
    report = arena(tmp_path, {"role": "tts", "voice": "alloy", "sample_rate": 16000})
    assert report.suite is not None
    assert report.suite.models[0].options == {"voice": "alloy", "sample_rate": 16000}


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_a_role_that_cannot_be_played_is_told_once(tmp_path: Path, role: str) -> None:
    (error,) = arena(tmp_path, {}, {"role": role, "content": "x"}).errors
    assert error.message == f"turns of the role {role} cannot be played; expected user"
