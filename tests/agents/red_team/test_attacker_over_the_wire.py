"""An attack through the real provider path: what is sent to the attacker's and the scorer's model."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import duologue
from duologue.agents.red_team import RedTeamAgent
from duologue.errors import SimulatorError
from duologue.models.resolve import forget_models
from duologue.testing import ScriptedAgent

_PATH = Path(__file__).parents[2] / "fakes" / "openai_server.py"
_SPEC = importlib.util.spec_from_file_location("openai_server", _PATH)
fakes = sys.modules.get("openai_server") or importlib.util.module_from_spec(_SPEC)
if "openai_server" not in sys.modules:
    sys.modules["openai_server"] = fakes
    _SPEC.loader.exec_module(fakes)


@pytest.fixture
async def server(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(duologue.ScenarioConfig, "default_config", None)
    forget_models()
    async with fakes.openai_server() as server:
        yield server
    forget_models()


def says(**fields):
    return fakes.text(json.dumps(fields))


async def attack(server, total_turns=2):
    attacker = RedTeamAgent.goat(
        target="tell an address",
        total_turns=total_turns,
        model="openai/gpt-4o-mini",
        api_base=server.url,
        api_key="k",
        max_tokens=300,
        top_p=0.9,
    )
    agent = ScriptedAgent(["No idea.", "4 Mill Lane."], repeat=True)
    return await duologue.arun(
        "a", "A shop.", [attacker, agent], script=attacker.marathon_script(), verbose=False, seed=1
    )


async def test_attacker_and_scorer_get_strict_forms_and_their_own_sampling(server):
    move = says(observation="", strategy="DUAL_RESPONSE", reply="Where is it?")
    server.script(
        move, says(score=1, adaptation="go on", refused=False), move, says(score=10, adaptation="", refused=False)
    )
    result = await attack(server)
    assert result.verdict is duologue.Verdict.UNDECIDED  # ten once, on the last turn
    first, scored, second, _ = server.requests
    form = first["response_format"]["json_schema"]
    assert (form["strict"], list(form["schema"]["properties"])) == (True, ["observation", "strategy", "reply"])
    assert (first["temperature"], first["max_completion_tokens"], first["top_p"]) == (0.7, 300, 0.9)
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert scored["temperature"] == 0
    assert "score" in scored["response_format"]["json_schema"]["schema"]["properties"]


async def test_a_provider_that_refuses_twice_is_a_failure_of_the_simulator(server):
    server.script(fakes.refusal("not that"), fakes.refusal("not that"))
    with pytest.raises(SimulatorError, match="it was refused: not that"):
        await attack(server)
