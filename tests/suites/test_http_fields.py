"""What ``http:`` of an agent says in a suite arrives at the endpoint, and what comes back arrives in the results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from http_agents import HttpAgents, Reply, http_agents

from duologue.cli.app import invoke
from duologue.suites.manifests.loader import validate

LINES = ["Hello! My name is Robin and my booking code is KX47.", "What is my booking code?"]


@pytest.fixture
def server() -> Iterator[HttpAgents]:
    with http_agents() as running:
        yield running


def suite(folder: Path, **http: Any) -> Path:
    turns = [{"role": "user", "content": line} for line in LINES]
    turns[1]["checks"] = [{"type": "contains", "params": {"patterns": ["KX47"]}}]  # pyright: ignore[reportArgumentType]
    spec = {"agents": [{"name": "bot", "http": http}], "scenarios": [{"name": "s", "turns": turns}]}
    path = folder / "suite.yaml"
    head = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}}
    path.write_text(yaml.safe_dump({**head, "spec": spec}))
    return path


def played(path: Path) -> dict[str, Any]:
    out = path.parent / "results"
    assert invoke(["run", str(path), "--out", str(out), "--quiet", "--format", "md"]) == 0
    (run,) = (out / "runs").glob("*.json")
    return json.loads(run.read_text())


def test_usage_and_price_are_the_agents_in_all_reports(server: HttpAgents, tmp_path: Path):
    pricing = {"input_cost_per_1k": 1.0, "output_cost_per_1k": 10.0}
    run = played(suite(tmp_path, url=server.url, pricing=pricing))
    assert run["agent"]["usage"] == {"input_tokens": 200, "output_tokens": 20}
    assert run["agent"]["cost"] == pytest.approx(0.4)
    assert run["messages"][1]["spent"]["seconds"] > 0
    assert "| bot | 1/1 | $0.4000 |" in (tmp_path / "results" / "report.md").read_text()


def test_an_agent_that_reports_nothing_has_an_unknown_cost(server: HttpAgents, tmp_path: Path):
    run = played(suite(tmp_path, url=server.url + "/chat", preset="message"))
    assert run["agent"]["calls"] == 0
    assert "| bot | 1/1 | – |" in (tmp_path / "results" / "report.md").read_text()


def test_a_stream_is_asked_for(server: HttpAgents, tmp_path: Path):
    played(suite(tmp_path, url=server.url, preset="openai-responses", send="new", stream=True))
    assert [asked.body["stream"] for asked in server.asked] == [True, True]
    assert server.asked[1].body["previous_response_id"] == "resp_1"
    assert len(server.asked[1].body["input"]) == 1


def test_requests_that_were_sent_again_stand_with_the_answer(server: HttpAgents, tmp_path: Path):
    left = [1]

    def busy(asked: Any) -> Reply:
        left[0] -= 1
        if left[0] == 0:
            return Reply({}, 429, headers={"retry-after-ms": "1"})
        return Reply({"reply": server.said("t", asked.body["message"])})

    server.more["/busy"] = busy
    run = played(suite(tmp_path, url=server.url + "/busy", preset="message", retries=2))
    told = [message["meta"].get("sent_again_after") for message in run["messages"] if message["author"] == "bot"]
    assert told == ["status 429, 0.001 s", None]


@pytest.mark.parametrize(
    ("http", "complaint"),
    [
        ({"preset": "soap"}, "spec.agents[0].http.preset"),
        ({"preset": "openai-chat", "answer": "reply"}, "it is for the preset message"),
        ({"preset": "message", "send": "new"}, "no send with the preset message"),
        ({"answer": "a b"}, "a path such as"),
        ({"retries": -1}, "spec.agents[0].http.retries"),
        ({"pricing": {"input_cost_per_1k": 1}}, "output_cost_per_1k"),
        ({"body": {"text": "{{mesage}}"}}, "found '{{mesage}}'"),
        ({"body": {"text": "hello"}}, "where the user's words belong"),
    ],
)
def test_a_mistake_is_found_by_validate(tmp_path: Path, http: dict[str, Any], complaint: str):
    report = validate(suite(tmp_path, url="http://127.0.0.1:1/x", **http))
    assert not report.ok
    assert complaint in str(report)


@pytest.mark.parametrize("url", ["http://[::1", "http://[zz]/x", "http://a:99999/x", "http://", "[", "http://a]b/"])
def test_a_url_that_is_none_is_one_refusal(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.suite.yaml"
    agent = json.dumps({"name": "a", "http": {"url": url}})
    path.write_text(
        f"apiVersion: duologue/v1\nkind: Suite\nmetadata: {{name: a}}\nspec:\n  agents: [{agent}]\n"
        "  scenarios: [{name: s, turns: [{role: user, content: hi}], criteria: [polite]}]\n"
    )
    assert invoke(["validate", str(path)]) == 2
    told = str(capsys.readouterr())
    assert "http.url" in told
    assert "Traceback" not in told
