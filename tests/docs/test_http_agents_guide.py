"""The guide about agents over HTTP: its YAML is valid, its example is read, and its tables say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from duologue.agents.http.plain import read_plain
from duologue.agents.http.presets import PRESETS
from duologue.agents.http.probe import MAX_REQUESTS
from duologue.config.request_body import NAMES
from duologue.suites.manifests.loader import validate

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "http-agents.md").read_text("utf-8")
YAML = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(YAML)))
def test_each_example_is_an_agent_of_a_suite(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("SUPPORT_TOKEN", "DIFY_KEY"):
        monkeypatch.setenv(name, "a-key")
    written = yaml.safe_load(YAML[number])
    agents = written.get("agents") or [{"name": "a", **written}]
    scenario = {"name": "s", "turns": [{"role": "user", "content": "Hello."}]}
    suite = {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "s"},
        "spec": {"agents": agents, "scenarios": [scenario]},
    }
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    report = validate(tmp_path / "suite.yaml")
    assert report.ok, str(report)


def test_the_tables_name_all_presets_and_placeholders():
    rows = re.findall(r"^\| `([\w-]+)`(?: \(default\))? \|.*\| `?([^|`]*)`? \| ([^|]*) \|$", TEXT, re.MULTILINE)
    told = {name: path for name, path, _ in rows}
    assert list(told) == list(PRESETS)
    for name, preset in PRESETS.items():
        assert not preset.path or told[name] == preset.path
    for name in NAMES:
        assert f"| `{{{{{name}}}}}` |" in TEXT
    assert f"at most {MAX_REQUESTS} requests" in TEXT


def test_the_example_of_an_answer_is_read():
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    _, messages, _ = read_plain(example, "application/json", None)
    assert [message["role"] for message in messages] == ["assistant", "tool", "assistant"]
