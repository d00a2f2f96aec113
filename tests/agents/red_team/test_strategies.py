"""What strategies tell the attacker, and how they read it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.red_team import (
    DEFAULT_GOAT_TECHNIQUES,
    AttackerOutput,
    CrescendoStrategy,
    GoatStrategy,
    RedTeamStrategy,
    Technique,
)
from duologue.errors import ConfigurationError


class Plain(RedTeamStrategy):
    def build_system_prompt(
        self, target, current_turn, total_turns, scenario_description, metaprompt_plan="", **kwargs
    ):
        return target

    def get_phase_name(self, current_turn, total_turns):
        return "only"


def test_a_strategy_needs_no_more_than_a_prompt_and_phases():
    plain = Plain()
    assert plain.parse_attacker_output("  hi \n") == AttackerOutput(reply="hi")
    assert (plain.needs_metaprompt_plan, plain.phase_kind, plain.template_variables(30)) == (True, "staged", {})
    assert list(plain.chosen_technique_ids("ANY")) == []
    assert (plain.name, plain.response_schema) == ("plain", None)


def test_a_strategy_without_them_cannot_be_made():
    with pytest.raises(TypeError):
        RedTeamStrategy()


@pytest.mark.parametrize(
    ("turn", "phase"),
    [
        (1, "warmup"),
        (5, "warmup"),
        (6, "probing"),
        (13, "probing"),
        (14, "escalation"),
        (22, "escalation"),
        (23, "direct"),
        (30, "direct"),
        (31, "direct"),
    ],
)
def test_crescendo_phases_of_thirty_turns(turn, phase):
    assert CrescendoStrategy().get_phase_name(turn, 30) == phase


@given(st.integers(1, 200))
def test_crescendo_phases_never_go_back_and_end_direct(total):
    order = ["warmup", "probing", "escalation", "direct"]
    phases = [order.index(CrescendoStrategy().get_phase_name(turn, total)) for turn in range(1, total + 1)]
    assert phases == sorted(phases)
    assert phases[-1] == 3


@pytest.mark.parametrize(("total", "ends"), [(30, (6, 13, 22)), (2, (1, 1, 1)), (100, (20, 45, 75))])
def test_crescendo_gives_its_phase_ends_to_the_template(total, ends):
    assert tuple(CrescendoStrategy().template_variables(total).values()) == ends
    assert list(CrescendoStrategy().template_variables(total)) == ["phase1_end", "phase2_end", "phase3_end"]


@pytest.mark.parametrize("strategy", [CrescendoStrategy(), GoatStrategy()])
def test_the_prompt_has_all_that_the_attacker_needs(strategy):
    prompt = strategy.build_system_prompt(
        "THE TARGET {x}", 4, 9, "THE SITUATION {y}", metaprompt_plan="THE PLAN {z}", new=1
    )
    assert all(text in prompt for text in ("THE TARGET {x}", "THE SITUATION {y}", "THE PLAN {z}", "Turn: 4 of 9"))


def test_goat_lists_its_techniques_and_the_form_of_the_answer():
    prompt = GoatStrategy().build_system_prompt("t", 1, 9, "s")
    assert all(item.id in prompt and item.description in prompt for item in DEFAULT_GOAT_TECHNIQUES)
    assert '"observation"' in prompt
    assert not GoatStrategy.needs_metaprompt_plan
    assert GoatStrategy.phase_kind == "progress"


@pytest.mark.parametrize(
    ("turn", "phase"), [(1, "early"), (2, "early"), (3, "mid"), (6, "mid"), (7, "late"), (10, "late")]
)
def test_goat_buckets_of_ten_turns(turn, phase):
    assert GoatStrategy().get_phase_name(turn, 10) == phase


@pytest.mark.parametrize(
    "raw",
    [
        '{"observation": "o", "strategy": "s", "reply": "r"}',
        '```json\n{"observation": "o", "strategy": "s", "reply": "r"}\n```',
        'Sure:\n{"observation": "o", "strategy": "s", "reply": " r "} I hope that helps.',
    ],
)
def test_goat_reads_its_three_fields(raw):
    assert GoatStrategy().parse_attacker_output(raw) == AttackerOutput(reply="r", observation="o", strategy="s")


@pytest.mark.parametrize(
    "raw", ["hello", '{"reply": ""}', '{"reply": 3}', '{"observation": "o"}', "[1]", "{", '{"a"', "{" * 3000]
)
def test_goat_takes_anything_else_as_the_reply_and_says_so(raw):
    assert GoatStrategy().parse_attacker_output(raw) == AttackerOutput(reply=raw.strip(), parse_failed=True)


@given(
    st.text()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["reply", "strategy", "x"]), v),
    ).map(json.dumps)
)
def test_goat_reads_whatever_a_model_writes(raw):
    output = GoatStrategy().parse_attacker_output(raw)
    assert output.reply == output.reply.strip()


def test_goat_finds_the_ids_of_the_techniques_that_are_used():
    said = "First response_priming, then HYPOTHETICAL_FRAMING; not XDUAL_RESPONSE or TOPIC_SPLITTINGS."
    assert GoatStrategy().chosen_technique_ids(said) == ["HYPOTHETICAL_FRAMING", "RESPONSE_PRIMING"]


def test_there_are_seven_techniques_with_the_published_ids():
    assert [item.id for item in DEFAULT_GOAT_TECHNIQUES] == [
        "HYPOTHETICAL_FRAMING",
        "PERSONA_MODIFICATION",
        "REFUSAL_SUPPRESSION",
        "RESPONSE_PRIMING",
        "DUAL_RESPONSE",
        "TOPIC_SPLITTING",
        "AUTHORITY_SOCIAL_ENGINEERING",
    ]


def test_goat_refuses_no_techniques_and_the_same_one_twice():
    one = Technique("A", "a", "does a", "a!")
    assert GoatStrategy([one]).techniques == (one,)
    with pytest.raises(ConfigurationError, match="empty"):
        GoatStrategy([])
    with pytest.raises(ConfigurationError, match="duplicate technique ids A"):
        GoatStrategy([one, one])
