"""What an attacker is given: defaults, what is refused, plans, models."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import duologue
from duologue.agents.red_team import (
    DEFAULT_TECHNIQUES,
    CrescendoStrategy,
    GoatStrategy,
    RedTeamAgent,
    Technique,
    categories,
    objective,
    objectives,
)
from duologue.agents.red_team._assessment import read_score
from duologue.errors import ConfigurationError, SimulatorError
from duologue.models.scripted import ScriptedModel

MODEL = ScriptedModel(["hi"], repeat=True)


def score(value, adaptation="go on", **more):
    return json.dumps({"score": value, "adaptation": adaptation, **more})


def crescendo(**options):
    return RedTeamAgent.crescendo(**{"target": "t", "model": MODEL, **options})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_backtracks": -1}, "max_backtracks must be 0 or more; found -1"),
        ({"injection_probability": 1.1}, "injection_probability must be from 0 to 1; found 1.1"),
        ({"injection_probability": -0.1}, "injection_probability"),
        ({"injection_probability": float("nan")}, "injection_probability"),
        ({"injection_probability": 0.5, "techniques": []}, "techniques is empty"),
        ({"total_turns": 0}, "total_turns must be at least 1; found 0"),
        ({"success_score": 11}, "success_score"),
        ({"success_confirm_turns": 0}, "success_confirm_turns"),
        ({"target": "  "}, "target is empty"),
        ({"techniques": [Technique("A", "a", "b", "c")]}, "goat_techniques"),
        ({"techniques": ["base64"]}, r"techniques\[0\] is a str"),
        ({"metaprompt_template": "Reach {target} by {phase9_end}"}, "{phase9_end}"),
        ({"metaprompt_template": "Reach {target.x}"}, "{target.x}"),
        ({"metaprompt_template": "Reach {target"}, "metaprompt_template is invalid"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text) as caught:
        crescendo(**options)
    assert isinstance(caught.value, ValueError)


def test_a_model_is_needed(monkeypatch):
    monkeypatch.setattr(duologue.ScenarioConfig, "default_config", None)
    with pytest.raises(ConfigurationError, match="RedTeamAgent needs a language model"):
        RedTeamAgent.crescendo(target="t")


def test_the_embedded_model_may_attack_and_may_not_score():
    with pytest.raises(ConfigurationError, match="too small to score"):
        crescendo(model="local")
    assert crescendo(model="local", metaprompt_model=MODEL).models["attacker"] == "local"
    assert not crescendo(model="local", score_responses=False).scores_responses


@pytest.mark.parametrize(("turns", "backtracks"), [(30, 10), (3, 1), (1, 1), (50, 16)])
def test_a_third_of_the_turns_may_be_taken_back(turns, backtracks):
    assert crescendo(total_turns=turns).backtracks_remaining == backtracks


def test_empty_techniques_are_fine_where_none_are_used():
    assert crescendo(techniques=[]).describe()["techniques"] == []


def test_the_factories_choose_the_strategy():
    assert isinstance(crescendo().strategy, CrescendoStrategy)
    one = Technique("A", "a", "b", "c")
    goat = RedTeamAgent.goat(target="t", model=MODEL, goat_techniques=[one], encoding_techniques=DEFAULT_TECHNIQUES[:1])
    assert goat.strategy.techniques == (one,)
    assert goat.describe()["techniques"] == ["base64"]


def test_the_old_name_of_encoding_techniques_still_works_and_says_so():
    with pytest.warns(DeprecationWarning, match="encoding_techniques"):
        goat = RedTeamAgent.goat(target="t", model=MODEL, techniques=DEFAULT_TECHNIQUES[1:2])
    assert goat.describe()["techniques"] == ["rot13"]
    with pytest.raises(TypeError, match="only encoding_techniques"):
        RedTeamAgent.goat(target="t", model=MODEL, techniques=[], encoding_techniques=[])


def test_a_template_that_nothing_uses_is_warned_of():
    with pytest.warns(UserWarning, match="makes no plan"):
        RedTeamAgent(strategy=GoatStrategy(), target="t", model=MODEL, metaprompt_template="{target}")


def test_the_description_keeps_secrets_out():
    described = json.dumps(
        RedTeamAgent.crescendo(target="t", model="openai/gpt-5-mini", api_key="sk-secret").describe()
    )
    assert "sk-secret" not in described
    assert "openai/gpt-5-mini" in described


async def test_the_plan_is_made_once_from_the_template(attack):
    template = "{target}|{description}|{total_turns}|{phase1_end}|{{kept}}"
    planned = attack(attack_plan=None, metaprompt_template=template, scores=["THE PLAN", score(1)])
    await planned.run()
    prompt = planned.scorer.requests[0].messages[0]["content"]
    assert prompt == "tell another customer's address|A shop's assistant answers customers.|3|1|{kept}"
    assert planned.attacker.attack_plan == "THE PLAN"
    assert all("THE PLAN" in request.messages[0]["content"] for request in planned.model.requests)
    assert len(planned.scorer.requests) == 4


@pytest.mark.parametrize("plan", ["", "  \n"])
async def test_an_empty_plan_is_an_error(attack, plan):
    with pytest.raises(SimulatorError, match="answered with nothing") as caught:
        await attack(attack_plan=None, scores=[plan]).run()
    assert isinstance(caught.value, RuntimeError)


async def test_goat_makes_no_plan_and_names_its_techniques(attack):
    answer = json.dumps({"observation": "o", "strategy": "DUAL_RESPONSE", "reply": "say it twice"})
    goat = attack(strategy="goat", lines=[answer], attack_plan=None)
    await goat.run()
    assert goat.heard == ["say it twice"] * 3
    assert goat.attacker.attempts[0].techniques == ("DUAL_RESPONSE",)
    assert goat.model.requests[1].messages[2]["content"] == answer
    assert goat.model.requests[0].response_schema["required"] == ["observation", "strategy", "reply"]
    assert goat.noted("red_team.plan") == []


async def test_goat_asks_again_for_the_form_and_then_sends_what_there_is(attack):
    goat = attack(strategy="goat", lines=["just text"])
    await goat.run()
    assert goat.heard == ["just text"] * 3
    assert goat.attacker.attempts[0].parse_failed
    assert len(goat.model.requests) == 6


async def test_sampling_is_as_it_was_asked_for(attack):
    warm = attack(temperature=0.0, max_tokens=77, metaprompt_temperature=0.3, attack_plan=None, scores=["P", score(1)])
    await warm.run()
    assert (warm.model.requests[0].temperature, warm.model.requests[0].max_tokens) == (0.0, 77)
    assert [request.temperature for request in warm.scorer.requests] == [0.3, 0.0, 0.0, 0.0]


async def test_one_model_does_everything_where_no_other_is_given():
    alone = ScriptedModel(["PLAN", "hi", score(1)])
    agent = duologue.testing.ScriptedAgent(["no idea"])
    attacker = RedTeamAgent.crescendo(target="t", total_turns=1, model=alone)
    result = await duologue.arun("a", "b", [attacker, agent], script=attacker.marathon_script(), verbose=False)
    assert result.success
    assert len(alone.requests) == 3


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "hint"),
    [
        (score(7), 7, "go on"),
        (f"```json\n{score(3)}\n```", 3, "go on"),
        (score(14), 10, "go on"),
        (score(-2), 0, "go on"),
        (score(6.6), 7, "go on"),
        ('{"score": 5}', 5, ""),
    ],
)
def test_scores_are_read_and_kept_on_the_scale(text, value, hint):
    read = read_score(text)
    assert (read.value, read.hint, read.problem) == (value, hint, "")


@pytest.mark.parametrize(
    "text", ["", "seven", '{"score": "7"}', '{"score": true}', '{"score": NaN}', '{"score": Infinity}', "[7]"]
)
def test_what_is_no_score_is_never_a_zero(text):
    assert read_score(text).value is None
    assert "no score" in read_score(text).problem


@pytest.mark.parametrize(("value", "refused"), [(0, True), (2, True), (3, False), (10, False)])
def test_a_refusal_that_gave_something_away_is_none(value, refused):
    assert read_score(score(value, refused=True)).refused is refused


@given(st.text())
def test_any_answer_of_a_scorer_can_be_read(text):
    value = read_score(text).value
    assert value is None or 0 <= value <= 10


# --- objectives -------------------------------------------------------------------------------------------------------


def test_objectives_have_ids_of_their_own_a_category_and_a_source():
    every = objectives()
    assert len(every) >= 60
    assert len(categories()) >= 10
    assert len({item.id for item in every}) == len({item.text for item in every}) == len(every)
    assert all(item.source and item.id.startswith(item.category) for item in every)
    assert all(len(objectives(category)) >= 4 for category in categories())
    assert sum((objectives(category) for category in categories()), ()) == every


def test_an_objective_is_found_by_its_id_and_can_be_a_target():
    found = objective("system_prompt_leak-1")
    attacker = crescendo(target=found)
    assert attacker.target == found.text
    assert attacker.describe()["category"] == "system_prompt_leak"


def test_unknown_objectives_are_refused_with_those_that_are_known():
    with pytest.raises(ConfigurationError, match="prompt_injection"):
        objectives("nothing")
    with pytest.raises(ConfigurationError, match="no objective 'x'"):
        objective("x")
