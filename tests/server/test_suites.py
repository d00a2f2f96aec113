"""Suites over HTTP: read whole or not at all, with problems that have a line, and given back as they were."""

from __future__ import annotations

from typing import Any

import pytest
from api_service import Service

from duologue.runs.suite_import import read_suite_text

SUITE = """apiVersion: duologue/v1
kind: Suite
metadata:
  name: refunds
spec:
  agents:
    - name: support
      http: {url: "https://agent.example.com/chat", headers: {Authorization: "Bearer ${KEY}"}}
  personas:
    - name: ann
      goals: [a refund]
  scenarios:
    - name: late
      description: Asks for a refund after 45 days.
      personas: [ann]
      criteria: [The agent explains the term]
    - name: early
      turns: [{role: user, content: "Can I have my money back?"}]
      checks: [{type: contains, params: {patterns: ["yes"]}}]
  trials: 2
"""


async def test_a_suite_becomes_definitions_and_a_suite_again(service: Service) -> None:
    client = service.client("run")
    looked = await client.post("/suites", json={"suite": SUITE}, params={"validate_only": True})
    assert looked.status_code == 200, looked.text
    assert (await client.get("/scenarios")).json()["data"] == []
    made = (await client.post("/suites", json={"suite": SUITE})).json()
    assert {name: list(made[name]) for name in ("personas", "scenarios", "agents", "evals")} == {
        "personas": ["ann"],
        "scenarios": ["late", "early"],
        "agents": ["support"],
        "evals": ["refunds"],
    }
    eval_ = (await client.get(f"/evals/{made['evals']['refunds']}")).json()
    assert (eval_["trials"], eval_["agent_id"]) == (2, made["agents"]["support"])
    assert (await client.get(f"/agents/{eval_['agent_id']}")).json()["version"] == 1
    again = (await client.get(f"/evals/{eval_['id']}/suite")).json()
    suite = read_suite_text(again["suite"], lambda _: None)
    assert [item.name for item in suite.scenarios] == ["late", "early"]
    assert "${KEY}" in again["suite"]


async def test_a_suite_is_made_whole_or_not_at_all(service: Service) -> None:
    client = service.client("run")
    await client.post("/scenarios", json={"name": "early", "description": "x"})
    answer = await client.post("/suites", json={"suite": SUITE})
    assert (answer.status_code, "early" in answer.json()["detail"]) == (409, True)
    assert (await client.get("/personas")).json()["data"] == []
    assert (await client.get("/agents")).json()["data"] == []


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        (SUITE.replace("goals: [a refund]", "goals: a refund"), "spec.personas[0].goals", "expected a list"),
        (SUITE.replace("personas: [ann]", "personas: [bob]"), "spec.scenarios[0].personas[0]", "bob"),
        (SUITE.replace("kind: Suite", "kind: Sweet"), "kind", "Suite"),
        (SUITE.replace("    - name: ann", "    - /etc/passwd\n    - name: ann"), "spec.personas[0]", "mapping"),
        (SUITE.replace("goals: [a refund]", "fragments: [{name: f, path: /etc/passwd}]"), "", "is a file"),
        (SUITE.replace("trials: 2", "pack_file: /etc/passwd"), "", "is a file"),
        ("{", "", ""),
        ("", "", ""),
        ("[]", "", ""),
    ],
)
async def test_what_a_suite_gets_wrong_is_located(service: Service, text: str, path: str, told: str) -> None:
    answer = await service.client("admin").post("/suites", json={"suite": text})
    assert answer.status_code == 422, answer.text
    problems: list[dict[str, Any]] = answer.json()["problems"]
    if path:
        assert path in [item["path"] for item in problems], answer.text
    assert told in answer.text


async def test_code_in_a_suite_needs_an_admin_and_is_not_looked_up_before(service: Service) -> None:
    text = SUITE.replace('type: contains, params: {patterns: ["yes"]}', 'type: "no_such_package.module:check"')
    answer = await service.client("run").post("/suites", json={"suite": text})
    assert answer.status_code == 403, answer.text
