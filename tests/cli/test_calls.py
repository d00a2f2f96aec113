"""``duologue calls``, as people and scripts use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from call_platforms import KEY, CallPlatforms
from loopback import LoopbackServer, loopback_server

from duologue.cli.app import invoke
from duologue.runs.sync import SyncRunService


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_DATABASE_URL", str(tmp_path / "runs.db"))
    monkeypatch.setenv("MY_KEY", KEY)
    with SyncRunService.open(str(tmp_path / "runs.db"), project="p", new_project=True) as service:
        service.create_agent({"agent": {"name": "shop", "http": {"url": "http://h"}}})
    platforms = CallPlatforms()
    platforms.add(3)
    with loopback_server(platforms) as running:
        yield running


@pytest.mark.parametrize("platform", ["retell", "vapi", "elevenlabs"])
def test_from_the_platform_to_a_test_case(
    server: LoopbackServer, capsys: pytest.CaptureFixture[str], platform: str
) -> None:
    pull = ["calls", "pull", platform, "agent_1", "--agent", "shop", "--key", "MY_KEY", "--url", server.url]
    assert invoke([*pull, "--allow-private-addresses"]) == 0
    assert "3 new, 0 known" in capsys.readouterr().out
    assert invoke(["calls", "pull", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert (told["new"], told["source"]["complete"]) == (0, True)
    assert invoke(["calls", "sources"]) == 0
    assert invoke(["calls", "list", "--unseen", "--agent", "shop"]) == 0
    assert "c2" in capsys.readouterr().out
    assert invoke(["calls", "show", "c1", "--out", "call.json"]) == 0
    assert "user: My kettle leaks." in capsys.readouterr().out
    assert invoke(["calls", "show", "c1", "--out", "call.json"]) == 2
    assert invoke(["calls", "label", "c1", "bad"]) == 0
    assert invoke(["calls", "label", "c1", "meh"]) == 2
    capsys.readouterr()
    assert invoke(["calls", "list", "--label", "bad", "--json"]) == 0
    [call] = json.loads(capsys.readouterr().out)
    assert (call["platform_call_id"], call["label"]) == ("c1", "bad")
    assert call["seen_at"]
    assert invoke(["calls", "to-case", call["id"], "--literal"]) == 0
    assert "content: My kettle leaks." in capsys.readouterr().out
    assert invoke(["calls", "to-case", "c1", "--literal", "--save"]) == 0
    assert invoke(["generate", "scenarios", "--from", "call.json"]) == 0
    capsys.readouterr()
    assert invoke(["calls", "to-run", "c1"]) == 0
    assert invoke(["runs", "show", capsys.readouterr().out.strip()]) == 0
    assert invoke(["calls", "delete", "c1"]) == 0
    assert invoke(["calls", "show", "c1"]) == 2


def test_wrong_uses(server: LoopbackServer, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (
        ["pull"],
        ["pull", "retell"],
        ["pull", "fax", "agent_1"],
        ["pull", "--key", "MY_KEY"],
        ["pull", "retell", "agent_1", "--since", "soon"],
        ["pull", "retell", "agent_1", "--url", server.url],
        ["show", "gone"],
        ["list", "--label", "meh"],
    ):
        assert invoke(["calls", *wrong]) == 2, wrong
    assert server.asked == []
