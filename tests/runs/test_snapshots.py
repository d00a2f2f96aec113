"""A suite as a snapshot and back: nothing is lost, no credential is in it, and what cannot travel is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from duologue.config.redaction import is_written_out
from duologue.models.scope import Budget
from duologue.runs.snapshots import (
    Private,
    PrivateValues,
    SnapshotError,
    private_headers,
    read_snapshot,
    take_snapshot,
)
from duologue.runs.store.definitions import shown_headers
from duologue.runs.store.records import Snapshot
from duologue.suites import Engine, Suite, load
from duologue.suites.runner.definition import RunOptions

ROOT = Path(__file__).parents[2]
SUITES = [*sorted(ROOT.glob("examples/*/suite.yaml")), ROOT / "tests/suites/manifests/shop.suite.yaml"]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.parent.name)
def test_a_suite_comes_back_as_it_was(path: Path, tmp_path: Path) -> None:
    suite = load(path)
    snapshot = take_snapshot(suite, in_place=True)
    again = read_snapshot(snapshot)
    assert again.suite == suite
    assert take_snapshot(suite, in_place=True).digest == snapshot.digest
    opened = again.opened(tmp_path)
    before, after = Engine(suite=suite), Engine(suite=opened)
    cases = before.generate_plan(seed=1).cases
    assert after.generate_plan(seed=1).cases == cases
    assert [after.definition(case) for case in cases] == [before.definition(case) for case in cases]


def made(**spec: Any) -> Suite:
    scenario = {"name": "s", "turns": [{"content": "Hello"}]}
    agent = {"name": "bot", "http": {"url": "http://127.0.0.1:9"}}
    return Suite.model_validate({"name": "made", "agents": [agent], "scenarios": [scenario], **spec})


def test_files_travel_with_a_suite(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "a.png").write_bytes(b"\x89PNG")
    (folder / "answers.yaml").write_text("defaultResponse: hello")
    part = {"type": "image", "media": {"mime_type": "image/png", "file_path": "media/a.png"}}
    suite = made(
        scenarios=[{"name": "s", "turns": [{"parts": [part]}]}],
        models=[{"name": "m", "provider": "mock", "mock_file": "answers.yaml"}],
    ).within(folder)
    snapshot = take_snapshot(suite)
    shutil.rmtree(folder)
    opened = read_snapshot(snapshot).opened(tmp_path / "here")
    assert opened.path("media/a.png").read_bytes() == b"\x89PNG"
    assert opened.path("answers.yaml").read_text() == "defaultResponse: hello"
    assert opened == suite
    assert read_snapshot(snapshot).opened(tmp_path / "here").folder == opened.folder


def test_options_that_decide_results_travel_and_others_do_not() -> None:
    options = RunOptions(
        run_timeout=5.0, max_turns=3, temperature=0.1, max_tokens=9, eval_types=("a",), run_budget=Budget(money=1.5)
    )
    again = read_snapshot(take_snapshot(made(), options)).options
    assert again == options
    assert read_snapshot(take_snapshot(made(), RunOptions(concurrency=3, fail_fast=True))).options == RunOptions()


def test_mock_mode_travels(tmp_path: Path) -> None:
    from duologue.models.mock.file import ResponseFile

    (tmp_path / "mocks.yaml").write_text("defaultResponse: hello")
    mocks = ResponseFile.read(tmp_path / "mocks.yaml")
    again = read_snapshot(take_snapshot(made(), mocks=mocks, mocking=True))
    assert again.mocking
    assert again.mocks is not None
    assert again.mocks.shape == mocks.shape
    without = read_snapshot(take_snapshot(made(), mocking=True))
    assert (without.mocking, without.mocks) == (True, None)


SECRET = "sk-live-4f9a8b7c6d5e4f3a"


def bot(url: str = "http://h", **headers: str) -> dict[str, Any]:
    return {"agents": [{"name": "bot", "http": {"url": url, "headers": headers}}]}


def model(**fields: Any) -> dict[str, Any]:
    return {"models": [{"name": "m", "provider": "openai", **fields}]}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (bot(Authorization=f"Bearer {SECRET}"), "agents[bot].http.headers.Authorization"),
        (bot(**{"X-Api-Key": "abc"}), "headers.X-Api-Key"),
        (bot(f"http://h/?api_key={SECRET}"), "agents[bot].http.url"),
        (bot("http://user:hunter2secret@h/"), "agents[bot].http.url"),
        (bot(Cookie="${A:-session=abc}"), "Cookie"),
        (model(credential={"api_key": SECRET}), "models[m].credential.api_key"),
        (model(headers={"X-Token": "t"}), "models[m].headers.X-Token"),
        ({"personas": [{"name": "p", "lines": ["x"], "headers": {"Authorization": "Basic dTpw"}}]}, "personas[p]"),
        ({"mcp_servers": [{"name": "t", "command": "npx", "env": {"GITHUB_TOKEN": SECRET}}]}, "mcp_servers[t].env"),
        ({"a2a_agents": [{"name": "a", "url": "http://h", "auth": {"token": SECRET}}]}, "a2a_agents[a].auth.token"),
    ],
)
def test_a_credential_that_is_written_out_is_refused_and_not_shown(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        take_snapshot(made(**spec))
    assert told in str(caught.value)
    assert "${NAME}" in str(caught.value)
    for secret in (SECRET, "hunter2secret", "session=abc", "dTpw"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "written_out"),
    [
        ("Authorization", "Bearer ${TOKEN}", False),
        ("Authorization", "${TOKEN}", False),
        ("Authorization", "Basic ${USER}:${PASSWORD}", False),
        ("Authorization", "Bearer abc", True),
        ("Authorization", "${TOKEN:-abc}", True),
        ("Authorization", "${TOKEN:-}", False),
        ("X-Anything", SECRET, True),
        ("Accept", "application/json", False),
        ("X-Tenant", "acme", False),
        ("url", "https://h/${TENANT}/chat?key=${KEY}", False),
        ("url", "https://h/chat?key=abcdef123456", True),
        ("X-Api-Key", "", False),
    ],
)
def test_what_is_written_out(name: str, value: str, written_out: bool) -> None:
    assert is_written_out(name, value) is written_out
    assert (name in private_headers({name: value})) is written_out
    assert (shown_headers({name: value})[name] == value) is not written_out


def test_private_values_are_put_back_when_it_is_opened(tmp_path: Path) -> None:
    agent = {"name": "bot", "http": {"url": "http://h", "headers": {"Accept": "text/plain"}}}
    private = (
        Private(section="agents", name="bot", id="c1", headers=("Authorization",), url=True),
        Private(section="personas", name="pat", id="p1", headers=("X-User-Key",)),
    )
    suite = made(agents=[agent], personas=[{"name": "pat", "lines": ["x"]}])
    snapshot = take_snapshot(suite, private=private)
    stored = read_snapshot(snapshot)
    values = {
        "c1": PrivateValues(headers={"Authorization": f"Bearer {SECRET}"}, url=f"http://h?key={SECRET}"),
        "p1": PrivateValues(headers={"X-User-Key": "k"}),
    }
    opened = stored.opened(tmp_path, values)
    http = opened.agent("bot").http
    assert http is not None
    assert http.headers == {"Accept": "text/plain", "Authorization": f"Bearer {SECRET}"}
    assert http.url.endswith(SECRET)
    assert opened.persona("pat").headers == {"X-User-Key": "k"}
    assert SECRET.encode() not in snapshot.data
    with pytest.raises(SnapshotError, match=r"the connector 'bot' .* no longer has .*Authorization"):
        stored.opened(tmp_path, {"p1": values["p1"]})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"agents": [{"name": "bot", "target": "own.py:make"}]}, "the agent 'bot' is code in own.py"),
        ({"checks": [{"type": "own.py:polite"}]}, "the check 'own.py:polite' is code"),
        ({"mcp_servers": [{"name": "t", "command": "python", "args": ["own.py"]}]}, "MCP server 't' starts own.py"),
        ({"mcp_servers": [{"name": "t", "command": "npx", "working_dir": "x"}]}, "runs in the folder x"),
        ({"models": [{"name": "m", "provider": "openai", "credential": {"credential_file": "key"}}]}, "credential_env"),
        ({"models": [{"name": "m", "provider": "mock", "mock_file": "../a.yaml"}]}, "outside of the suite's folder"),
        ({"models": [{"name": "m", "provider": "mock", "mock_file": "${X}/a.yaml"}]}, "names an environment variable"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(tmp_path: Path, spec: dict[str, Any], told: str) -> None:
    (tmp_path / "own.py").write_text("def make(): ...\ndef polite(run): ...\n")
    with pytest.raises(SnapshotError) as caught:
        take_snapshot(made(**spec).within(tmp_path))
    assert told in str(caught.value)


def test_a_suite_with_code_can_be_kept_in_place_and_is_refused_once_it_has_changed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def make(): ...\n")
    suite = made(agents=[{"name": "bot", "target": "own.py:make"}]).within(tmp_path)
    snapshot = take_snapshot(suite, in_place=True)
    assert read_snapshot(snapshot).opened(tmp_path / "other").folder == tmp_path
    (tmp_path / "own.py").write_text("def make(): return 1\n")
    with pytest.raises(SnapshotError, match=r"own\.py .*changed after the run was made"):
        read_snapshot(snapshot).opened(tmp_path / "other")
    shutil.rmtree(tmp_path)
    with pytest.raises(SnapshotError, match="is not on this machine"):
        read_snapshot(snapshot).opened(tmp_path / "other")


def test_damage_and_newer_versions_are_told() -> None:
    snapshot = take_snapshot(made())
    with pytest.raises(SnapshotError, match="damaged"):
        read_snapshot(Snapshot(digest=snapshot.digest, data=snapshot.data + b" "))
    assert_refused({"version": 99, "suite": {}, "options": {}}, "version 99")
    assert_refused({"version": 1, "suite": {"name": 3}, "options": {}}, "cannot be read")
    data = {**json.loads(snapshot.data), "files": {"../../etc/passwd": "eA=="}}
    assert_refused(data, "leads out of the folder")


def assert_refused(data: dict[str, Any], told: str) -> None:
    from hashlib import sha256

    content = json.dumps(data).encode()
    with pytest.raises(SnapshotError, match=told):
        read_snapshot(Snapshot(digest=sha256(content).hexdigest(), data=content))


def test_what_is_asked_for_by_scenario_and_persona() -> None:
    from duologue.runs.snapshots import pair

    instructions = {pair("s", "pat"): "play Pat", pair("s", None): "play"}
    again = read_snapshot(take_snapshot(made(), refused={"s": "no"}, instructions=instructions))
    assert (again.instruction("s", "pat"), again.instruction("s", None), again.instruction("t", None)) == (
        "play Pat",
        "play",
        None,
    )
    assert again.refused == {"s": "no"}
