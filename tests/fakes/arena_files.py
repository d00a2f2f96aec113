"""The files of a small arena."""

from __future__ import annotations

API = "promptkit.altairalabs.ai/v1alpha1"


def manifest(kind, name, spec):
    return f"apiVersion: {API}\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}"


PROVIDER = manifest(
    "Provider", "m", "  id: m\n  type: mock\n  model: tiny\n  additional_config: {mock_config: answers.yaml, more: 1}\n"
)
PROMPT = manifest(
    "PromptConfig", "support", "  task_type: help\n  version: v1\n  description: d\n  system_template: Hi {{who}}\n"
)
SCENARIO = "  id: s\n  task_type: help\n  description: d\n  turns:\n    - {role: user, content: hi}\n"
PERSONA = manifest("Persona", "anna", "  id: anna\n  description: d\n  system_prompt: You are Anna.\n")
ARENA = """\
  prompt_configs:
    - {id: support, file: prompt.yaml, vars: {who: you}}
  providers:
    - {file: m.yaml}
  scenarios:
    - {file: s.yaml}
  self_play:
    personas: [{file: anna.yaml}]
    roles: [{id: customer, provider: m}]
  defaults: {temperature: 0.5}
"""


def errors(report):
    return [str(problem) for problem in report.errors]


def warnings(report):
    return [str(problem) for problem in report.warnings]
