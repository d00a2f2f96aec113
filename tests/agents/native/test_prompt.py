from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.native import Blueprint
from duologue.config.templates import placeholders, render
from duologue.errors import SuiteError
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import Fragment
from duologue.specs.prompts import ModelOverride, Prompt, Variable
from duologue.specs.scenario import Background, Memory, Turn
from duologue.suites.manifests.loader import validate

CASES = Path(__file__).parents[2] / "cases"

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
plain = st.text(alphabet=st.characters(exclude_characters="{}"), max_size=20)


def problems_of(stage: Any) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        stage.blueprint()
    return [str(problem) for problem in caught.value.problems]


def test_later_values_win(stage: Any) -> None:
    variables = tuple(Variable(name=name, default="default") for name in "abc")
    stage.prompt = {
        "system_template": "{{a}} {{b}} {{ c }}",
        "variables": variables,
        "values": {"b": "prompt", "c": "prompt"},
    }
    stage.scenario = {"variables": {"c": "scenario"}}
    assert stage.blueprint().first.text == "default prompt scenario"


def test_tells_region_and_background(stage: Any) -> None:
    stage.prompt = {"system_template": "{{region}}|{{domain}}|{{user_role}}|{{user_context}}|{{context_slot}}"}
    stage.scenario = {
        "description": "A call.",
        "background": Background(domain="travel", user_role="guest"),
        "turns": (Turn(content="w" * 200),),
    }
    stage.blueprint_options = {"region": "eu"}
    assert stage.blueprint().first.text == f"eu|travel|guest|guest|A call. User wants to: {'w' * 150}"


def test_the_users_first_line_may_name_what_it_likes(stage: Any) -> None:
    stage.prompt = {"system_template": "{{context_slot}}"}
    stage.scenario = {"description": "A call.", "turns": (Turn(content="I type {{anything}}"),)}
    assert stage.blueprint().first.text == "A call. User wants to: I type {{anything}}"
    stage.prompt = {"system_template": "{{context_slot}} {{anything}}"}
    assert any("'{{anything}}', which nothing gives a value" in line for line in problems_of(stage))


@pytest.mark.parametrize(
    ("region", "values", "expected"), [("default", {}, "us"), ("eu", {}, "eu"), ("eu", {"region": "uk"}, "uk")]
)
def test_the_region_wins_over_a_default_only(stage: Any, region: str, values: dict[str, str], expected: str) -> None:
    variables = (Variable(name="region", default="us"),)
    stage.prompt = {"system_template": "{{region}}", "variables": variables, "values": values}
    stage.blueprint_options = {"region": region}
    assert stage.blueprint().first.text == expected


def test_values_name_other_variables(stage: Any) -> None:
    stage.prompt = {"system_template": "{{a}}", "values": {"a": "<{{b}}>", "b": "[{{c}}]", "c": "x"}}
    blueprint = stage.blueprint()
    assert blueprint.first.text == "<[x]>"
    assert blueprint.expand("say {{a}}") == "say <[x]>"


def test_fragments_are_texts_from_files_and_may_name_variables(stage: Any) -> None:
    (stage.folder / "tone.md").write_text("Be {{mood}}.")
    fragments = (Fragment(name="tone", path="tone.md", required=True), Fragment(name="gone", path="gone.md"))
    stage.prompt = {"system_template": "{{tone}}{{gone}}", "fragments": fragments, "values": {"mood": "kind"}}
    assert stage.blueprint().first.text == "Be kind."


def test_a_required_fragment_that_is_not_there_is_an_error(stage: Any) -> None:
    stage.prompt = {"system_template": "{{tone}}", "fragments": (Fragment(name="tone", path="x.md", required=True),)}
    assert "there is no file 'x.md'" in problems_of(stage)[0]


@pytest.mark.parametrize("name", ["main", "gpt-x", "mock/gpt-x"])
def test_a_model_may_have_a_text_of_its_own(stage: Any, name: str) -> None:
    override = ModelOverride(system_template="Short.", system_template_suffix=" Please.")
    stage.prompt = {"system_template": "Long.", "model_overrides": {name: override, "other": ModelOverride()}}
    assert stage.blueprint().first.text == "Short. Please."


def test_memories_stand_at_the_end(stage: Any) -> None:
    stage.scenario = {"seed_memories": (Memory(content="Likes tea."), Memory(content="Lives in Rome."))}
    expected = "You help.\n\nWhat you remember from earlier:\n- Likes tea.\n- Lives in Rome."
    assert stage.blueprint().first.text == expected


def test_the_probe_names_every_open_variable_prompt_and_place() -> None:
    suite = validate(CASES / "probes/e13_vars/config.arena.yaml").suite
    assert suite is not None
    with pytest.raises(SuiteError) as caught:
        Blueprint(AgentDefinition.from_suite(suite, suite.agents[0], suite.scenarios[0]))
    required, left = map(str, caught.value.problems)
    assert (
        "prompts/assistant.yaml:9:20: spec.system_template: the prompt 'assistant' requires the variable 'name'"
        in required
    )
    assert "says '{{missing}}', which nothing gives a value" in left


def test_a_circle_is_an_error(stage: Any) -> None:
    stage.prompt = {"system_template": "{{a}}", "values": {"a": "{{b}}", "b": "{{a}}"}}
    assert "leads back to itself" in problems_of(stage)[0]


def test_a_value_that_doubles_itself_stops_growing(stage: Any) -> None:
    stage.prompt = {"system_template": "{{a}}", "values": {"a": "{{a}}" * 50}}
    assert "leads back to itself" in problems_of(stage)[0]


def test_a_prompt_that_nobody_has_is_an_error(stage: Any) -> None:
    stage.scenario = {"prompt": "other"}
    assert "no prompt answers to the task 'other'. Known: p" in problems_of(stage)[0]


def test_a_wrong_guardrail_is_an_error(stage: Any) -> None:
    from duologue.specs.checks import GuardrailSpec

    stage.prompt = {"system_template": "x", "guardrails": (GuardrailSpec(type="banned_word"),)}
    assert "banned_word" in problems_of(stage)[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{{name}} wants {dish}", "Ann wants {{name}}"),
        ("{{ name }}{{nobody}}{nobody}", "Ann{{nobody}}{nobody}"),
        ("{{dish}} {{{dish}}}", "{{dish}} {{{dish}}}"),
        ('{"a": 1}', '{"a": 1}'),
        ("two words: {hot soup}", "two words: ok"),
    ],
)
def test_lines_are_filled_in_once(line: str, expected: str) -> None:
    assert render(line, {"name": "Ann"}, variants={"dish": "{{name}}", "hot soup": "ok"}) == expected


@given(plain, st.dictionaries(names, plain))
def test_text_without_braces_stays(text: str, values: dict[str, str]) -> None:
    assert render(text, values, nested=True) == text
    assert render(text, values, variants=values) == text


@given(st.dictionaries(names, plain, min_size=1))
def test_every_known_variable_is_filled_in_and_every_other_is_left(values: dict[str, str]) -> None:
    template = " ".join(f"{{{{{name}}}}}" for name in values)
    assert render(template, values, nested=True) == " ".join(values.values())
    assert placeholders(render(template, {}, nested=True)) == list(values)


@given(st.integers(min_value=1, max_value=15))
def test_variables_nest_ten_times(depth: int) -> None:
    values = {f"v{number}": f"{{{{v{number + 1}}}}}" for number in range(depth - 1)} | {f"v{depth - 1}": "end"}
    assert (render("{{v0}}", values, nested=True) == "end") == (depth <= 10)


def test_a_suite_without_prompts_has_an_agent_without_instructions(stage: Any) -> None:
    stage.scenario = {"prompt": None, "variables": {"x": "1"}}
    blueprint = stage.blueprint()
    assert (blueprint.first.text, blueprint.expand("{{x}}")) == ("", "1")


def test_a_prompt_that_is_handed_in_is_used(stage: Any) -> None:
    stage.blueprint_options = {"prompt": Prompt(name="handed", system_template="Handed in.")}
    assert stage.blueprint().first.text == "Handed in."


async def test_tools_that_this_version_does_not_have_are_warned_of(stage: Any) -> None:
    stage.prompt = {"system_template": "x", "allowed_tools": ("memory__recall",)}
    blueprint = stage.blueprint()
    assert "'memory__recall' is not offered" in blueprint.warnings[0].message
    assert await blueprint.offered("") == ()
