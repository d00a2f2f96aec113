"""``duologue gate``, ``baselines``, ``environments``, ``generate cases`` and ``generate edit``, as scripts use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Answer, loopback_server
from openai_server import openai_server_beside, text

from duologue.cli.app import invoke
from duologue.runs.sync import SyncRunService

DRAFT = {"agent": {"name": "shop", "model": "writer"}, "prompts": [{"name": "p", "system_template": "Sell kettles."}]}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncRunService]:
    """A project with an agent that has a version, and an eval of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_DATABASE_URL", str(tmp_path / "runs.db"))
    with SyncRunService.open(str(tmp_path / "runs.db"), project="p", new_project=True) as opened:
        agent = opened.create_agent(DRAFT)
        opened.publish_agent(agent.id)
        check = {"type": "contains", "params": {"patterns": ["ok"]}}
        made = opened.create_scenario(name="s", description="d", turns=[{"content": "hi"}], checks=[check])
        opened.create_eval(name="nightly", scenario_ids=[made.id], agent_id=agent.id)
        yield opened


def execution(service: SyncRunService, *, success: bool) -> int:
    eval_ = service.get_eval_by_name("nightly")
    assert eval_ is not None
    [run] = service.create_runs(eval_.id)
    service.update_run(run.id, status="completed", result={"success": success})
    assert run.execution_id is not None
    return run.execution_id


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_gate_tells_scripts_by_its_exit_code(service: SyncRunService, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["gate", "shop", "--eval", "nightly"]) == 1
    assert "no execution of version 1" in capsys.readouterr().out
    number = execution(service, success=True)
    assert invoke(["gate", "shop", "--eval", "nightly", "--json"]) == 0
    told = printed(capsys)
    assert (told["passed"], told["execution_id"], told["agent_version"], told["pass_rate"]) == (True, number, 1, 1.0)
    execution(service, success=False)
    assert invoke(["gate", "shop", "--eval", "nightly", "--version", "1"]) == 1
    for wrong in (["shop"], ["gone", "--eval", "nightly"], ["shop", "--eval", "gone"], ["shop", "--version", "9"]):
        assert invoke(["gate", *wrong]) == 2
    assert invoke(["gate", "shop", "--eval", "nightly", "--deploy"]) == 2


def test_a_deployment_from_the_command_line(service: SyncRunService, capsys: pytest.CaptureFixture[str]) -> None:
    with loopback_server(lambda asked: Answer(body={"ok": True})) as hook:
        add = ["environments", "add", "live", "--agent", "shop", "--eval", "nightly", "--webhook", hook.url]
        assert invoke([*add, "--header", "X-Who: ci", "--allow-private-addresses"]) == 0
        assert invoke(["environments", "list"]) == 0
        assert "live" in capsys.readouterr().out
        assert invoke(["gate", "shop", "--environment", "live", "--preview"]) == 0
        assert printed(capsys)["headers"]["X-Who"] == "ci"
        assert invoke(["gate", "shop", "--environment", "live", "--deploy"]) == 1
        assert hook.asked == []
        execution(service, success=True)
        assert invoke(["gate", "shop", "--environment", "live", "--deploy"]) == 0
        assert hook.asked[0].headers["x-who"] == "ci"
        hook.handle = lambda asked: Answer(status=500)
        assert invoke(["gate", "shop", "--environment", "live", "--deploy"]) == 3
    capsys.readouterr()
    assert invoke(["environments", "history", "live", "--json"]) == 0
    assert [item["status"] for item in printed(capsys)] == ["failed", "deployed", "refused"]
    assert invoke(["environments", "history"]) == 0
    assert invoke(["environments", "delete", "live"]) == 0
    assert invoke(["environments", "delete", "live"]) == 2


STORED = ("--database", "runs.db")


def test_baselines_from_the_command_line(service: SyncRunService, capsys: pytest.CaptureFixture[str]) -> None:
    number = execution(service, success=True)
    assert invoke(["baseline", "set", str(number), "--name", "v1", *STORED]) == 0
    assert invoke(["baseline", "set", "999", *STORED]) == 2
    capsys.readouterr()
    assert invoke(["baseline", "list", "--eval", "nightly", "--json", *STORED]) == 0
    [told] = printed(capsys)
    assert (told["name"], told["eval"], told["agent"], told["execution_id"]) == ("v1", "nightly", "shop", number)
    assert invoke(["baseline", "show", "v1", *STORED]) == 0
    assert printed(capsys)["id"] == told["id"]
    assert invoke(["baseline", "delete", told["id"], *STORED]) == 0
    assert invoke(["baseline", "show", "v1", *STORED]) == 2
    assert invoke(["baseline", "list", *STORED]) == 0
    assert "no baselines" in capsys.readouterr().out


def answer(name: str) -> Any:
    case = {"name": name, "situation": "It leaks.", "goal": "A new one.", "criteria": ["It helps"]}
    return text(json.dumps({"cases": [{**case, "persona": {"name": "Pat", "description": "Polite."}}]}))


SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: kettles}}
spec:
  models: [{{name: writer, provider: openai, model: x, base_url: "{url}", credential: {{credential_env: HOME}}}}]
  agents: [{{name: shop, model: writer, prompt: p}}]
  prompts: [{{name: p, system_template: Sell kettles.}}]
  scenarios: [{{name: leak, description: d, criteria: [x]}}]
  simulators: [{{name: u, model: writer}}]
  judges: [{{name: j, model: writer}}]
"""


def test_cases_for_the_agent_of_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with openai_server_beside() as server:
        Path("suite.yaml").write_text(SUITE.format(url=server.url))
        server.script(answer("leak"), answer("late"), answer("late"))
        command = ["generate", "cases", "suite.yaml", "-n", "1", "--model", "writer"]
        assert invoke(command) == 0
        shown = capsys.readouterr().out
        assert "kind: Persona" in shown
        assert "name: leak 2" in shown
        assert "Sell kettles." in json.dumps(server.requests[0]["messages"])
        assert invoke([*command, "--out", "made"]) == 0
        assert invoke([*command, "--save"]) == 2
        assert invoke([*command, "--out", "made"]) == 2
    assert sorted(str(path) for path in Path("made").rglob("*.yaml")) == [
        "made/personas/Pat.yaml",
        "made/scenarios/late.yaml",
    ]


def test_cases_for_a_saved_agent_and_an_edit(service: SyncRunService, capsys: pytest.CaptureFixture[str]) -> None:
    with openai_server_beside() as server:
        model = {"name": "writer", "provider": "openai", "model": "x", "base_url": server.url}
        service.update_project(
            settings={"evaluation_model": "writer", "models": [{**model, "credential": {"credential_env": "HOME"}}]}
        )
        server.script(answer("leak"))
        assert invoke(["generate", "cases", "--agent", "shop", "-n", "1", "--save"]) == 0
        assert "saved 1 scenario and 1 persona" in capsys.readouterr().out
        server.script(*[text(json.dumps({"changes": {"goal": "Cash"}}))] * 2)
        assert invoke(["generate", "edit", "leak", "cash only"]) == 0
        assert "goal: Cash" in capsys.readouterr().out
        assert invoke(["generate", "edit", "leak", "cash only", "--save"]) == 0
        found = service.get_scenario_by_name("leak")
        assert found is not None
        assert found.spec.goal == "Cash"
        assert invoke(["generate", "edit", "gone", "x"]) == 2
        rubric = {str(step): f"what {step} is" for step in range(6)}
        metric = {"name": "tact", "description": "Is it tactful?", "tier": "delivery", "rubric": rubric}
        server.script(*[text(json.dumps(metric))] * 2)
        assert invoke(["generate", "metric", "tact"]) == 0
        assert "name: tact" in capsys.readouterr().out
        assert invoke(["generate", "metric", "tact", "--save"]) == 0
        server.default = text("no")
        assert invoke(["generate", "cases", "--agent", "shop", "-n", "1"]) == 3
