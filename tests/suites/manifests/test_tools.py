"""Tools, servers and agents that could not do what a suite says are found when it is loaded, where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.suites.manifests.loader import validate

HEAD = "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: s}\nspec:\n"
REST = '  agents: [{name: a, target: "module:name"}]\n  scenarios: [{name: hi, turns: [{content: Hello}]}]\n'
LIVE = "  tools: [{name: t, description: d, mode: live, http: {url: 'http://127.0.0.1:1', %s}}]\n"
MOCK = "  tools: [{name: t, description: d, %s}]\n"
OTHER = "  a2a_agents: [{name: o, %s}]\n"


def found(folder: Any, body: str) -> Any:
    return validate(folder.put("suite.yaml", HEAD + REST + body))


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (MOCK % "input_schema: {type: objekt}", "spec.tools[0].input_schema", "must be a JSON Schema"),
        (MOCK % "output_schema: {type: objekt}", "spec.tools[0].output_schema", "must be a JSON Schema"),
        (LIVE % "request: {exlude: [a]}", "spec.tools[0].http.request.exlude", "the fields are query_params"),
        (LIVE % "response: {body_mapping: 'a['}", "spec.tools[0].http.response.body_mapping", "a JMESPath expression"),
        (
            MOCK % "mock_parts: [{type: image, media: {mime_type: image/png, file_path: no.png}}]",
            "spec.tools[0].mock_parts[0]",
            "no.png cannot be read",
        ),
        (OTHER % "url: 'http://127.0.0.1:1', auth: {shceme: x}", "spec.a2a_agents[0].auth", "found shceme"),
        (OTHER % "url: 'http://127.0.0.1:1', auth: {scheme: x}", "spec.a2a_agents[0].auth", "token_env is missing"),
        (
            OTHER % "responses: [{skill: a, error: e}, {skill: b, match: {regex: '('}, error: e}]",
            "spec.a2a_agents[0].responses[1].match.regex",
            "responses[1].match.regex: ",
        ),
    ],
)
def test_what_cannot_be_prepared_is_an_error_where_it_is_written(
    folder: Any, body: str, field: str, message: str
) -> None:
    (error,) = found(folder, body).errors
    assert error.position.field == field
    assert error.position.line == 7
    assert message in error.message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (
            "  tools: [{name: t, description: d, mode: exec, exec: {command: x, sandbox: docker}}]\n",
            "spec.tools[0].exec",
        ),
        ("  mcp_servers: [{name: m, source: docker, source_args: {a: 1}}]\n", "spec.mcp_servers[0].source"),
        ("  mcp_servers: [{name: m, command: x, scope: scenario}]\n", "spec.mcp_servers[0].scope"),
        ("  models: [{name: m, provider: openai, platform: {type: azure}}]\n", "spec.models[0].platform"),
        (OTHER % "url: 'http://127.0.0.1:1', auth: {token_env: NO_SUCH_NAME}", "spec.a2a_agents[0].auth"),
        (OTHER % "url: 'http://127.0.0.1:1', auth: {token: '${NO_SUCH_NAME}'}", "spec.a2a_agents[0].auth"),
    ],
)
def test_what_would_end_with_an_error_if_it_were_needed_is_a_warning(folder: Any, body: str, field: str) -> None:
    report = found(folder, body)
    assert report.ok
    (warning,) = report.warnings
    assert warning.position.field == field
    assert "What needs it will end with an error" in warning.message


def test_tools_that_can_be_prepared_say_nothing_and_are_not_started(folder: Any) -> None:
    body = """\
  tools:
    - {name: t, description: d, mode: live, http: {url: "http://127.0.0.1:1", request: {exclude: [a]}}}
    - {name: p, description: d, mode: exec, exec: {command: no-such-program, sandbox: direct}}
    - {name: q, description: d, mode: mcp}
  mcp_servers: [{name: m, command: no-such-program, scope: session}]
  a2a_agents:
    - {name: o, url: "http://127.0.0.1:1", auth: {token: x}}
    - {name: made, card: {name: made, skills: [{id: x}]}, responses: [{skill: x, error: e}]}
"""
    assert found(folder, body).problems == ()
