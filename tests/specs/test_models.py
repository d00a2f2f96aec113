"""The models of a suite: frozen, strict, equal by what they say; which agents and variants a scenario means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from duologue.config.files import matching_files, shown_path
from duologue.config.spec import rebased, rebased_path, written_paths
from duologue.errors import ConfigurationError
from duologue.specs.agents import Agent, Persona, is_model_name
from duologue.specs.checks import CheckSpec
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import Media, Part, Scenario, Turn
from duologue.specs.suite import Defaults, Suite, find_named
from duologue.suites.plan.build import (
    agents_of,
    personas_named,
    personas_of,
    perturbations_of,
    regions_of,
    trials_of,
)


def agent(name, **fields):
    return Agent(name=name, target="module:it", **fields)


def test_specs_are_frozen_strict_and_closed():
    persona = Persona(name="a")
    with pytest.raises(ValidationError):
        persona.name = "b"
    with pytest.raises(ValidationError):
        Persona(name="a", nonsense=1)
    with pytest.raises(ValidationError):
        Persona(name=5)
    with pytest.raises(ValidationError):
        Persona(name="a", temperature=float("nan"))
    assert Persona(name="a") == Persona(name="a") != Agent(name="a", model="local")


def test_only_what_differs_from_the_default_is_written():
    assert Suite(name="a").written() == {"name": "a"}
    assert Turn(content="hi", exchanges=1).written() == {"content": "hi"}
    assert Scenario(name="s", turns=(Turn(content="hi"),)).written() == {"name": "s", "turns": [{"content": "hi"}]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Agent(name="a"), "none of them"),
        (lambda: Agent(name="a", model="m", target="a:b"), "model and target"),
        (lambda: Agent(name="a", target="just_a_word"), "module:name or file.py:name"),
        (lambda: Media(mime_type="image/png"), "none of them"),
        (lambda: Media(mime_type="image/png", url="u", data="d"), "url and data"),
        (lambda: Part(type="text"), "the field 'text'"),
        (lambda: Part(type="image", text="x"), "the field 'media'"),
        (Turn, "'content' or 'parts'"),
        (lambda: Turn(content="a", persona="b"), "role: simulated_user"),
        (lambda: Turn(role="simulated_user", exchanges=3, max_exchanges=2), "at least exchanges"),
        (lambda: Scenario(name="s"), "turns, or a description, goal or persona"),
        (lambda: Tool(name="t", description="d", mode="exec"), "the field 'exec'"),
        (lambda: Tool(name="t", description="d", mock_result=1, mock_template="x"), "at most one of"),
        (lambda: Defaults(run_timeout="soon"), "a duration such as"),
        (lambda: Suite(name="s", trials=0), "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_together_is_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


def test_a_scenario_rehearses_its_agents_else_its_group_else_all():
    suite = Suite(
        name="s", agents=(agent("a"), agent("b", group="vip"), agent("c", group="vip", capabilities=("text",)))
    )
    goal = {"name": "x", "goal": "g"}

    def names(**fields):
        return "".join(found.name for found in agents_of(suite, Scenario(**goal, **fields)))

    assert names() == "a"
    assert names(agent_group="vip") == "bc"
    assert names(agent_group="nobody") == "abc"
    assert names(agents=("c", "a")) == "ac"
    assert names(agent_group="vip", required_capabilities=("vision",)) == "b"
    assert names(agent_group="vip", required_capabilities=("text",)) == "bc"


def test_regions_trials_and_personas_come_from_the_scenario_else_from_the_suite():
    suite = Suite(name="s", regions=("eu", "us"), trials=3)
    plain, own = Scenario(name="a", goal="g"), Scenario(name="b", regions=("uk",), trials=1, personas=("p", "q"))
    assert (regions_of(suite, plain), trials_of(suite, plain), personas_of(plain)) == (("eu", "us"), 3, (None,))
    assert (regions_of(suite, own), trials_of(suite, own), personas_of(own)) == (("uk",), 1, ("p", "q"))
    assert regions_of(Suite(name="s"), plain) == ("default",)
    turns = (Turn(role="simulated_user", persona="r"), Turn(content="x"))
    assert personas_named(own.changed(turns=turns)) == {"p", "q", "r"}


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True), max_size=4
    )
)
def test_perturbations_are_all_combinations_in_a_stable_order(values):
    scenario = Scenario(
        name="s", turns=(Turn(content="x", perturbations={key: tuple(item) for key, item in values.items()}),)
    )
    found = perturbations_of(scenario)
    count = 1
    for item in values.values():
        count *= len(item)
    assert len(found) == len(set(found)) == count
    assert all([key for key, _ in combination] == list(values) for combination in found)
    assert perturbations_of(scenario, most=3) == found[:3]


def test_paths_follow_the_file_that_they_are_written_in(tmp_path):
    part = Part(type="image", media=Media(mime_type="image/png", file_path="a.png"))
    valid = CheckSpec(type="json_schema", params={"schema_file": "s.json"})
    scenario = Scenario(name="s", turns=(Turn(parts=(part,)),), checks=(valid,))
    moved = rebased(scenario, "parts")
    assert [path for _, _, path in written_paths(moved)] == ["parts/a.png", "parts/s.json"]
    assert rebased(scenario, ".") is scenario
    assert [rebased_path(path, "../x") for path in ("a", "/a", "${A}/a", "../y")] == ["../x/a", "/a", "${A}/a", "../y"]
    for name in ("b.json", "a.json", "c.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in matching_files(tmp_path, "*.json")] == ["a.json", "b.json"]
    assert shown_path(Path("a/../b.yaml")) == "b.yaml"


def test_a_suite_finds_things_by_name_and_prompts_by_task():
    suite = Suite(
        name="s", prompts=(Prompt(name="a", task="help", system_template="x"), Prompt(name="help", system_template="y"))
    )
    assert suite.prompt_for("help").name == "a"
    assert suite.prompt_for("a").name == "a"
    assert suite.prompt_for("none") is suite.prompt_for(None) is None
    assert suite.prompt("help").system_template == "y"
    assert suite.within(Path("/x")).path("${NOWHERE:-y}/z") == Path("/x/y/z")


def test_a_name_that_nothing_has_is_an_error_that_lists_what_there_is():
    suite = Suite(name="shop", agents=(Agent(name="bot", target="a:b"), Agent(name="bat", target="a:b")))
    assert suite.agent("bot") is suite.agents[0] is find_named(suite.agents, "bot")
    assert find_named(suite.agents, "nobody") is find_named(suite.agents, None) is None
    with pytest.raises(ConfigurationError) as raised:
        suite.agent("bto")
    assert str(raised.value) == "suite 'shop': no agent is called 'bto'; did you mean 'bot'? Known: bot, bat"
    with pytest.raises(ConfigurationError, match=r"no scenario is called 'x'\. Known: none"):
        suite.scenario("x")


def test_a_name_of_a_model_needs_no_entry_in_the_suite():
    assert [is_model_name(name) for name in ("openai/gpt-5", "openai:gpt-5", "local", "mock", "small")] == [
        True
    ] * 4 + [False]
