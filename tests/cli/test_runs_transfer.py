"""``duologue runs import`` and ``duologue runs export``."""

from __future__ import annotations

import json
import shutil

import pytest

from duologue.cli.app import invoke
from duologue.cli.exit_codes import ExitCode

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models: [{name: m, provider: mock, model: tiny}]
  agents: [{name: clerk, model: m}]
  prompts: [{name: support, system_template: You answer.}]
  scenarios:
    - name: order
      prompt: support
      turns: [{content: hello}]
      checks: [{type: content_excludes, params: {patterns: [stupid]}}]
  defaults: {seed: 7}
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The results of a suite."""
    home = tmp_path_factory.mktemp("suite")
    (home / "suite.yaml").write_text(SUITE)
    assert invoke(["run", str(home / "suite.yaml"), "--mock-all", "--out", str(home / "results"), "--quiet"]) == 0
    [folder] = [path.parent for path in (home / "results").rglob("index.json")]
    return folder


@pytest.fixture
def duologue(tmp_path, monkeypatch, capsys):
    """Calls ``duologue`` in an empty folder; its exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    for name in ("DUOLOGUE_DATABASE_URL", "DUOLOGUE_ARTIFACTS"):
        monkeypatch.setenv(name, "")  # what the command sets goes with the test
        monkeypatch.delenv(name)

    def call(*arguments):
        capsys.readouterr()
        code = invoke([str(item) for item in arguments])
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    return call


def files(folder):
    found = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json*")}
    return {name: data for name, data in found.items() if not name.name.startswith("report")}


def test_results_go_in_and_come_out_again(duologue, played, tmp_path):
    code, told = duologue("runs", "import", played)
    assert (code, told) == (ExitCode.PASSED, "imported 1 runs into project default; executions: 1")
    code, told = duologue("runs", "import", played)
    assert code == ExitCode.USAGE
    assert "already, as number 1: nothing was imported" in told
    code, told = duologue("runs", "export", "1", "--out", "again")
    assert (code, told) == (ExitCode.PASSED, "exported 1 runs to again")
    assert files(tmp_path / "again") == files(played)
    name = json.loads((played / "index.json").read_text())["id"]
    assert duologue("runs", "export", name, "--out", "named")[0] == ExitCode.PASSED
    assert duologue("show", "again")[0] == ExitCode.PASSED
    assert duologue("db", "vacuum")[0] == ExitCode.PASSED
    assert duologue("runs", "export", "1", "--out", "after")[1] == "exported 1 runs to after"


def test_a_project_goes_from_one_database_to_another(duologue, played, tmp_path):
    duologue("runs", "import", played, "--project", "shop", "--database", "a.db", "--artifacts", "a")
    code, told = duologue("runs", "export", "--jsonl", "p.jsonl", "--database", "a.db", "--artifacts", "a")
    assert (code, told) == (ExitCode.PASSED, "exported 1 runs to p.jsonl")
    code, told = duologue("runs", "import", "p.jsonl", "--database", "b.db", "--artifacts", "b", "--json")
    found = json.loads(told)
    assert (code, found["runs"], found["executions"], found["unfinished"]) == (ExitCode.PASSED, 1, [1], 0)
    duologue("runs", "export", "1", "--out", "out", "--database", "b.db", "--artifacts", "b")
    assert files(tmp_path / "out") == files(played)
    code, told = duologue("runs", "export", "1", "--jsonl", "e.jsonl", "--database", "b.db", "--artifacts", "b")
    assert code == ExitCode.PASSED
    code, told = duologue("runs", "import", "e.jsonl", "--project", "mine", "--database", "c.db")
    assert (code, told) == (ExitCode.PASSED, "imported 1 runs into project mine; executions: 1")


def test_an_interrupted_execution_says_how_it_goes_on(duologue, played, tmp_path):
    folder = shutil.copytree(played, tmp_path / "cut")
    (folder / "index.json").unlink()
    shutil.rmtree(folder / "runs")
    code, told = duologue("runs", "import", folder)
    assert code == ExitCode.PASSED
    assert "1 of them were not over: export the execution and resume it" in told


@pytest.mark.parametrize("count", [0, 2])
def test_a_project_of_evalstudio_says_what_came_in(duologue, tmp_path, count):
    connector = {"id": "c1", "name": "bot", "type": "http", "baseUrl": "http://127.0.0.1:9", "config": {}}
    run = {"scenarioId": "s1", "evalId": "e1", "status": "completed", "result": {"success": True}, "messages": []}
    data = {
        "personas": [{"id": "p1", "name": "pat"}],
        "scenarios": [{"id": "s1", "name": "refund", "successCriteria": "It is polite"}],
        "connectors": [connector],
        "evals": [{"id": "e1", "name": "nightly", "scenarioIds": ["s1"], "connectorId": "c1"}],
        "runs": [{**run, "id": f"r{number}", "executionId": 7 + number} for number in range(count)],
    }
    (tmp_path / "shop" / "data").mkdir(parents=True)
    (tmp_path / "shop" / "evalstudio.config.json").write_text(json.dumps({"version": 2, "name": "shop"}))
    for name, records in data.items():
        (tmp_path / "shop" / "data" / f"{name}.json").write_text(json.dumps(records))
    code, told = duologue("runs", "import", "shop")
    assert code == ExitCode.PASSED
    of_runs = "executions: 1, 2, runs: 2" if count else "no runs"
    assert told.endswith(f"imported into project shop: personas: 1, scenarios: 1, connectors: 1, evals: 1, {of_runs}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export"], "choose one of --out DIR"),
        (["export", "1", "--out", "a", "--jsonl", "b"], "choose one of --out DIR"),
        (["export", "--out", "a"], "--out needs an execution"),
        (["export", "77", "--out", "a"], "there is no execution and no baseline '77'"),
        (["export", "9" * 40, "--out", "a"], "there is no execution"),
        (["export", "1", "--out", "full"], "is not empty"),
        (["export", "--jsonl", "full/x"], "exists already"),
        (["export", "--jsonl", "a", "--project", "nobody"], "nobody"),
        (["import", "nowhere"], "cannot be read"),
        (["import", "full"], "holds no results"),
        (["import", "full/x"], "not JSON"),
    ],
)
def test_what_cannot_be_done_is_said(duologue, played, tmp_path, arguments, told):
    duologue("runs", "import", played)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    code, found = duologue("runs", *arguments)
    assert code != ExitCode.PASSED
    assert told in found
    assert (tmp_path / "full" / "x").read_text() == "mine"
    assert not (tmp_path / "a").exists()
