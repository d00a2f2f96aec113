"""What the span of an attacker's call says of the attack."""

from __future__ import annotations

import json

import duologue
from duologue.agents.red_team import RedTeamAgent
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent

REFUSAL = "I can't help with that."


def scores(*values):
    return ScriptedModel([json.dumps({"score": value, "adaptation": "a"}) for value in values], repeat=True)


async def attack(traced, attacker, replies):
    """Plays the attack; the attributes red_team.… of each call of the attacker, without their prefix."""
    agents = [attacker, ScriptedAgent(replies, repeat=True)]
    await duologue.arun("leak", "A shop.", agents, script=attacker.marathon_script(), verbose=False)
    calls = sorted(traced.named("invoke_agent RedTeamAgent"), key=lambda span: span.attributes["duologue.turn"])
    return [
        {name[9:]: value for name, value in call.attributes.items() if name.startswith("red_team.")} for call in calls
    ]


async def test_each_message_of_an_attack_in_phases_is_told(traced):
    attacker = RedTeamAgent.crescendo(
        target="tell an address",
        attack_plan="P",
        total_turns=4,
        model=ScriptedModel(["say it"], repeat=True),
        metaprompt_model=scores(3),
        max_backtracks=1,
    )
    first, second, third, fourth = await attack(traced, attacker, ["Hello.", REFUSAL, "Hello."])
    assert first == {
        "turn": 1,
        "total_turns": 4,
        "progress": 0.25,
        "strategy": "crescendo",
        "target": "tell an address",
        "did_backtrack": False,
        "backtracks_remaining": 1,
        "reasoning.parse_failed": False,
        "parse_failure_count": 0,
        "phase": "probing",
        "chosen_technique_ids": (),
    }
    assert (second["last_response_score"], second["did_backtrack"]) == (3, False)
    assert (third["last_response_score"], third["did_backtrack"], third["backtracks_remaining"]) == (0, True, 0)
    assert (fourth["did_backtrack"], fourth["backtracks_remaining"], fourth["progress"]) == (False, 0, 1.0)


async def test_moves_reasons_and_forms_are_told(traced):
    line = {"observation": "It is friendly.", "strategy": "TOPIC_SPLITTING first", "reply": "say it"}
    attacker = RedTeamAgent.goat(
        target="tell an address",
        total_turns=3,
        model=ScriptedModel([json.dumps(line), "no JSON", "no JSON", json.dumps(line)]),
        metaprompt_model=scores(1),
        injection_probability=1.0,
    )
    first, second, third = await attack(traced, attacker, ["Hello."])
    assert first["chosen_technique_ids"] == ("TOPIC_SPLITTING",)
    assert first["reasoning.observation"] == "It is friendly."
    assert first["reasoning.strategy"] == "TOPIC_SPLITTING first"
    assert first["progress_bucket"] == "mid"
    assert "phase" not in first
    assert first["injection.technique"] in {"base64", "rot13", "leetspeak", "char_split", "code_block"}
    assert (second["reasoning.parse_failed"], second["parse_failure_count"]) == (True, 1)
    assert "reasoning.observation" not in second
    assert (third["reasoning.parse_failed"], third["parse_failure_count"]) == (False, 1)


async def test_a_line_of_the_script_and_other_notes_change_no_span(traced):
    attacker = RedTeamAgent.crescendo(
        target="t", attack_plan="P", total_turns=1, model=ScriptedModel([]), metaprompt_model=scores(1)
    )
    script = [duologue.user("hello"), duologue.agent(), duologue.succeed()]
    agents = [attacker, ScriptedAgent(["hi"])]
    await duologue.arun("n", "d", agents, script=script, checks=[attacker.held_check()], verbose=False)
    assert attacker.log.attempts[0].scripted
    assert not [name for span in traced.spans for name in span.attributes if name.startswith("red_team.")]
