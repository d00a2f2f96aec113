"""What arenas in the wild contain, beyond what PromptKit's own schemas describe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from arena_files import ARENA, PROMPT, PROVIDER, SCENARIO, errors, manifest, warnings
from hypothesis import given
from hypothesis import strategies as st

from duologue.cli.app import invoke
from duologue.config.problems import is_misspelt
from duologue.errors import ConfigurationError
from duologue.suites import Engine
from duologue.suites.manifests.loader import load, validate
from duologue.suites.plan.build import Filters, generate_plan

TURN = "    - {role: user, content: hi}\n"


def asserting(*assertions):
    """A scenario with assertions in its first turn."""
    turns = [{"role": "user", "content": "hi", "assertions": list(assertions)}]
    return yaml.safe_dump({"id": "s", "task_type": "help", "description": "d", "turns": turns}).replace("\n", "\n  ")


def scenario_of(*assertions):
    return "  " + asserting(*assertions).rstrip() + "\n"


async def played(folder, mocks=None):
    engine = Engine.from_file(folder)
    if mocks:
        engine.enable_mock_mode(mocks)
    async with engine:
        return await engine.execute(engine.generate_plan(), observers=[])


def results(path):
    index = json.loads((path / "index.json").read_text("utf-8"))
    return [json.loads((path / f"{run}.json").read_text("utf-8")) for run in index["run_ids"]]


# apiVersion


@pytest.mark.parametrize("version", ["promptkit.dev/v1", "promptkit.altairalabs.ai/v1", "v1", "arena/v2beta1"])
def test_the_api_version_of_a_file_is_any_text(arena, version):
    other = f"apiVersion: {version}"
    here = "apiVersion: promptkit.altairalabs.ai/v1alpha1"
    files = {"m": PROVIDER, "prompt": PROMPT, "s": manifest("Scenario", "s", SCENARIO)}
    arena()
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(text.replace(here, other))
    main = Path("config.arena.yaml")
    assert validate(".").ok
    main.write_text(main.read_text().replace(here, other))
    report = validate(".")
    assert report.ok, str(report)
    assert [scenario.name for scenario in report.suite.scenarios] == ["s"]
    assert validate("m.yaml").ok


@pytest.mark.parametrize(("version", "kind"), [("duologue/v2", "Suite"), ("other/v1", "Suite"), ("3", "Arena")])
def test_an_api_version_of_nothing_that_is_known_is_an_error(tmp_path, version, kind):
    (tmp_path / "a.yaml").write_text(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    assert "apiVersion" in errors(validate(tmp_path / "a.yaml"))[0] or "expected one of" in str(
        validate(tmp_path / "a.yaml")
    )


# personas


@pytest.mark.parametrize(
    "field", ["formality: casual", "tone: [dry, short]", "pace: 3", "vocabulary: {level: b2}", "emoji: null"]
)
def test_a_style_of_a_persona_may_say_anything_else(arena, field):
    persona = manifest(
        "Persona",
        "anna",
        f"  id: anna\n  description: d\n  goals: [buy]\n  mood: grumpy\n  style:\n    verbosity: short\n    {field}\n"
        "  defaults: {temperature: 0.5, top_q: 1}\n",
    )
    report = arena(validate, anna=persona)
    assert report.ok, str(report)
    [found] = report.suite.personas
    assert (found.style.verbosity, found.temperature, found.goals) == ("short", 0.5, ("buy",))
    told = [text for text in warnings(report) if "is not known here and has no effect" in text]
    assert len(told) == 3


def test_a_misspelt_field_of_a_persona_is_still_an_error(arena):
    persona = manifest(
        "Persona", "anna", "  id: anna\n  description: d\n  gaols: [buy]\n  style: {verbossity: short}\n"
    )
    report = arena(validate, anna=persona)
    assert len(errors(report)) == 2
    assert all("did you mean" in text for text in errors(report))


# guardrails


@pytest.mark.parametrize("direction", ["input", "output", "both"])
def test_the_direction_of_a_validator_may_stand_among_its_parameters(arena, direction):
    rail = f"  validators:\n    - {{type: banned_words, params: {{words: [bad], direction: {direction}}}}}\n"
    [found] = arena(prompt=PROMPT + rail).prompts[0].guardrails
    assert (found.direction, found.params) == (direction, {"words": ["bad"]})


def test_a_direction_that_does_not_exist_is_an_error_where_it_stands(arena):
    rail = "  validators:\n    - type: banned_words\n      params: {words: [bad], direction: sideways}\n"
    [told] = errors(arena(validate, prompt=PROMPT + rail))
    assert "prompt.yaml:12:" in told
    assert "params.direction" in told


# capabilities


def test_capabilities_of_a_provider_are_any_words(arena):
    provider = PROVIDER + "  capabilities: [text, duplex, tool, 'my own']\n"
    suite = arena(m=provider)
    assert suite.agents[0].capabilities == ("text", "duplex", "tool", "my own")
    [told] = errors(
        arena(validate, m=provider, scenario=SCENARIO + "  required_capabilities: [vision]\n"),
    )
    assert "no agent of the suite can do all of this: vision" in told


# response files


@pytest.mark.parametrize(
    "text",
    [
        "notes: [1]\nscenarios: {s: {description: d, turns: {1: {content: Hello., usage: {tokens: 3}}}}}\n",
        "defaultResponse: Hello.\nmetadata: {author: me}\nlatency_ms: 3\n",
        "scenarios: {s: {turns: {1: {type: text, content: Hello., delay: 1}}, owner: x}}\nselfplay: {p: {note: c}}\n",
    ],
)
async def test_fields_of_a_response_file_that_nothing_knows_are_passed_over(arena, text):
    report = arena(validate, answers=text)
    assert report.ok, str(report)
    assert any("is not known here and has no effect" in told for told in warnings(report))
    execution = await played(".")
    assert execution.runs[0].messages[-1].message["content"] == "Hello."


def test_a_misspelt_field_of_a_response_file_is_still_an_error(arena):
    [told] = errors(arena(validate, answers="default_response: Hello.\n"))
    assert "did you mean 'defaultResponse'" in told


@given(st.sampled_from(["patterns", "scenarios", "tool_calls", "verbosity"]), st.data())
def test_a_name_with_one_wrong_letter_is_misspelt(name, data):
    place = data.draw(st.integers(0, len(name) - 1))
    assert is_misspelt(name[:place] + "x" + name[place + 1 :], [name, "other"])
    assert not is_misspelt("quite different", [name, "other"])


# documents


def test_a_document_is_a_part_of_a_message(arena):
    turns = (
        "    - role: user\n      parts:\n        - {type: text, text: Look.}\n"
        "        - {type: document, media: {mime_type: application/pdf, data: JVBERg==}}\n"
    )
    turn = arena(scenario=SCENARIO.replace(TURN, turns)).scenarios[0].turns[0]
    assert [part.type for part in turn.parts] == ["text", "document"]


async def test_a_document_reaches_the_agent_and_the_results(arena, tmp_path):
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4 tiny")
    turns = (
        "    - role: user\n      parts:\n        - {type: text, text: Look.}\n"
        "        - {type: document, media: {mime_type: application/pdf, file_path: paper.pdf}}\n"
    )
    arena(scenario=SCENARIO.replace(TURN, turns), answers="defaultResponse: I see.\n")
    execution = await played(".")
    [run] = execution.runs
    assert (run.error, [item.mime_type for item in run.media]) == (None, ["application/pdf"])


# workflows

FLOW = """\
  workflow:
    version: 2
    entry: help
    engine: {budget: {max_total_visits: 10}}
    states:
      help: {prompt_task: help, on_event: {More: help, Done: tell}, max_visits: 3, on_max_visits: tell, artifacts: {note: {mode: append}}}
      tell: {prompt_task: tell, control: agent, on_event: {Complete: done}}
      done: {prompt_task: done, terminal: true}
"""  # noqa: E501
FLOWING = ARENA.replace(
    "    - {id: support, file: prompt.yaml, vars: {who: you}}\n",
    "    - {id: support, file: prompt.yaml, vars: {who: you}}\n    - {id: tell, file: tell.yaml}\n"
    "    - {id: done, file: done.yaml}\n",
)


def task(name):
    return manifest(
        "PromptConfig", name, f"  task_type: {name}\n  version: v1\n  description: d\n  system_template: T\n"
    )


def walk(*events):
    """Answers that ask for these transitions one after the other, and then say goodbye."""
    turns = {
        number: {
            "response": f"Step {number}.",
            "tool_calls": [{"name": "workflow__transition", "arguments": {"event": event, "context": "c"}}],
        }
        for number, event in enumerate(events, 1)
    }
    turns[len(events) + 1] = "Goodbye."
    return yaml.safe_dump({"scenarios": {"s": {"turns": turns}}})


@pytest.mark.parametrize(
    ("events", "states"),
    [
        (["More", "More", "Done", "Complete"], ["help", "help", "tell", "done"]),
        (["More", "More", "More", "Complete"], ["help", "help", "tell", "done"]),
        (["Done", "Complete"], ["tell", "done"]),
    ],
)
async def test_a_transition_takes_effect_at_once_so_that_one_turn_walks_several_states(arena, events, states):
    checks = (
        "  conversation_assertions:\n    - {type: workflow_complete}\n"
        "    - {type: transitioned_to, params: {state: tell}}\n"
        "    - {type: spoke_in_state, params: {state: tell}}\n    - {type: spoke_in_state, params: {state: done}}\n"
    )
    arena(arena=FLOWING + FLOW, tell=task("tell"), done=task("done"), answers=walk(*events), scenario=SCENARIO + checks)
    [run] = (await played(".")).runs
    assert [move["to"] for move in run.workflow.transitions] == states
    assert [check.status.value for check in run.checks] == ["passed"] * 4
    assert run.messages[-1].message["content"] == "Goodbye."


@pytest.mark.parametrize(("written", "state"), [("tell", "tell"), ("done", "done"), ("help", "help"), ('""', "help")])
async def test_a_task_that_names_a_state_begins_there_and_an_empty_one_at_the_entry(arena, written, state):
    turns = SCENARIO.replace("task_type: help", f"task_type: {written}").replace(
        TURN, "    - {role: user, content: hi, assertions: [{type: state_is, params: {state: " + state + "}}]}\n"
    )
    flow = FLOW.replace("done: {prompt_task: done,", "done: {prompt_task: done_task,")
    files = {"tell": task("tell"), "done": task("done_task"), "answers": "defaultResponse: Hello.\n"}
    arena(arena=FLOWING + flow, scenario=turns, **files)
    [run] = (await played(".")).runs
    assert [check.status.value for check in run.checks] == ["passed"], run.reasoning


def test_a_composition_is_refused_with_its_name(arena):
    flow = FLOW.replace(
        "tell: {prompt_task: tell,", "tell: {composition: draft_and_review, orchestration: composition,"
    )
    section = "  compositions: {draft_and_review: {steps: []}}\n"
    report = arena(validate, arena=FLOWING + section + flow, tell=task("tell"), done=task("done"))
    assert any("draft_and_review" in text for text in errors(report)), str(report)


# references


def test_variables_stand_for_parts_of_the_paths_of_files(arena, monkeypatch):
    monkeypatch.setenv("WHICH", "s")
    text = ARENA.replace("{file: s.yaml}", "{file: '${WHICH}.yaml'}").replace(
        "{file: m.yaml}", "{file: '${P:-m}.yaml'}"
    )
    assert arena(arena=text).scenarios[0].name == "s"
    monkeypatch.delenv("WHICH")
    assert any("the environment variable WHICH is not set" in told for told in errors(arena(validate, arena=text)))


def test_a_missing_file_of_a_provider_is_one_error(arena):
    report = arena(
        validate, arena=ARENA.replace("m.yaml", "gone.yaml"), scenario=SCENARIO + "  required_capabilities: [text]\n"
    )
    assert len(errors(report)) == 1, str(report)
    assert "gone.yaml" in errors(report)[0]


@pytest.mark.parametrize("other", ["m.yaml", "./m.yaml"])
def test_a_file_that_is_listed_twice_is_read_once(arena, other):
    text = ARENA.replace("    - {file: m.yaml}\n", f"    - {{file: m.yaml}}\n    - {{file: {other}}}\n")
    report = arena(validate, arena=text)
    assert report.ok, str(report)
    assert any("is listed twice" in told for told in warnings(report))


# parameters of checks


@pytest.mark.parametrize(
    ("written", "kind", "params"),
    [
        (
            {"type": "content_includes", "params": {"patterns": ["a", "b"], "match_mode": "any"}},
            "content_includes_any",
            {"patterns": ["a", "b"]},
        ),
        (
            {"type": "content_includes", "params": {"patterns": ["a"], "match_mode": "all", "case_insensitive": True}},
            "content_includes",
            {"patterns": ["a"], "case_sensitive": False},
        ),
        (
            {"type": "content_includes", "params": {"patterns": ["a"], "case_insensitive": False}},
            "content_includes",
            {"patterns": ["a"], "case_sensitive": True},
        ),
        (
            {"type": "contains_any", "params": {"patterns": ["a"], "match_mode": "any", "ignore_case": True}},
            "contains_any",
            {"patterns": ["a"], "case_sensitive": False},
        ),
        (
            {"type": "content_not_includes", "params": {"patterns": ["a"], "match_mode": "word"}},
            "content_not_includes",
            {"patterns": ["a"], "match_mode": "word_boundary"},
        ),
        (
            {"type": "content_matches", "params": {"pattern": "a+", "case_insensitive": True}},
            "content_matches",
            {"pattern": "(?i)a+"},
        ),
        (
            {"type": "tools_called", "params": {"tools": ["x"], "severity": 2}},
            "tools_called",
            {"tools": ["x"]},
        ),
    ],
)
def test_a_parameter_whose_meaning_is_evident_is_honoured(arena, written, kind, params):
    report = arena(validate, scenario=scenario_of(written))
    assert report.ok, str(report)
    [found] = report.suite.scenarios[0].turns[0].checks
    assert (found.type, found.params) == (kind, params)


def test_a_parameter_that_is_passed_over_is_a_warning_in_every_place(arena):
    odd = {"type": "content_includes", "params": {"patterns": ["a"], "weight": 3}}
    scenario = scenario_of(
        odd, {"type": "assertion", "params": {"eval_type": "contains", "eval_params": odd["params"]}}
    )
    scenario += "  conversation_assertions:\n    - {type: tools_not_called, params: {tools: [x], severity: high}}\n"
    rail = "  validators:\n    - {type: banned_words, params: {words: [bad], severity: low}}\n"
    rail += "  evals:\n    - {id: e, type: max_length, trigger: every_turn, params: {max: 10, colour: red}}\n"
    report = arena(validate, scenario=scenario, prompt=PROMPT + rail)
    assert report.ok, str(report)
    assert len([told for told in warnings(report) if "has no such parameter" in told]) == 5


@pytest.mark.parametrize("params", [{"patterns": ["a"], "case_sensitve": True}, {"pattern_s": ["a"]}, {"text": "zzz"}])
def test_a_misspelt_parameter_stays_an_error(arena, params):
    report = arena(validate, scenario=scenario_of({"type": "content_includes", "params": params}))
    assert len(errors(report)) == 1, str(report)


@pytest.mark.parametrize("kind", ["tools_called", "tools_not_called"])
def test_a_parameter_that_is_given_under_two_names_counts_once_where_both_say_the_same(arena, kind):
    same = {"type": kind, "params": {"tools": ["a"], "tool_names": ["a"]}}
    assert arena(validate, scenario=scenario_of(same)).ok
    other = {"type": kind, "params": {"tools": ["a"], "tool_names": ["b"]}}
    assert "different values" in errors(arena(validate, scenario=scenario_of(other)))[0]


# plans


def test_the_plan_of_an_arena_is_the_same_until_another_seed_is_asked_for(arena):
    suite = arena()
    plans = [generate_plan(suite), generate_plan(suite), generate_plan(load("."))]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0].seed == 42
    assert generate_plan(suite, seed=7).seed == 7
    assert arena(arena=ARENA.replace("temperature: 0.5", "seed: 3")).defaults.seed == 3


def test_a_plan_without_cases_says_whether_filters_were_given(arena):
    suite = arena(arena="  providers: [{file: m.yaml}]\n  defaults: {temperature: 0.5}\n")
    with pytest.raises(ConfigurationError, match=r"can be made.*0 scenarios, 1 agents"):
        generate_plan(suite)
    with pytest.raises(ConfigurationError, match=r"^the suite 'shop' has no agent 'n'"):
        generate_plan(suite, Filters(agents=["n"]))


def test_the_option_of_promptkits_mock_mode_is_explained(arena, capsys):
    arena()
    assert invoke(["run", ".", "--mock-provider"]) == 2
    assert "--mock-all" in capsys.readouterr().err


# replayed models

TAPE = {
    "metadata": {"session_id": "s1"},
    "events": [
        {"type": "message", "message": {"role": "user", "content": "hi"}},
        {
            "type": "message",
            "message": {
                "role": "assistant",
                "content": "Recorded.",
                "cost_info": {"input_tokens": 12, "output_tokens": 3, "total_cost_usd": 0.25},
            },
        },
    ],
}


@pytest.mark.parametrize("place", ["tapes", "."])
async def test_a_replayed_recording_is_found_from_the_file_or_the_working_directory_with_its_costs(
    arena, tmp_path, monkeypatch, place
):
    (tmp_path / "tapes").mkdir()
    provider = manifest(
        "Provider", "m", "  id: m\n  type: replay\n  model: r\n  additional_config: {recording: tape.recording.json}\n"
    )
    arena(validate, m=provider)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    target = elsewhere if place == "tapes" else tmp_path
    (target / "tape.recording.json").write_text(json.dumps(TAPE))
    report = validate(tmp_path)
    assert report.ok, str(report)
    [run] = (await played(tmp_path)).runs
    assert run.messages[-1].message["content"] == "Recorded."
    assert (run.agent.usage.input_tokens, run.agent.usage.output_tokens, run.agent.cost) == (12, 3, 0.25)


# guardrails that enforce


@pytest.mark.parametrize(
    ("validator", "said"),
    [
        ("{type: banned_words, params: {words: [bad]}}", "A bad word."),
        ("{type: banned_words, params: {words: [bad]}, message: Withheld.}", "Withheld."),
        ("{type: length, params: {max_characters: 5}, enforce: true}", "A bad"),
    ],
)
async def test_a_validator_notes_or_replaces_as_it_says(arena, validator, said):
    arena(prompt=PROMPT + f"  validators:\n    - {validator}\n", answers="defaultResponse: A bad word.\n")
    [run] = (await played(".")).runs
    assert run.messages[-1].message["content"] == said
    assert [item.passed for item in run.guardrails] == [False]


async def test_a_validator_that_enforces_has_a_text_of_its_own(arena):
    rail = "  validators:\n    - {type: banned_words, params: {words: [bad]}, enforce: true}\n"
    arena(prompt=PROMPT + rail, answers="defaultResponse: A bad word.\n")
    [run] = (await played(".")).runs
    assert "withheld" in run.messages[-1].message["content"]


# results


def test_results_of_an_earlier_execution_do_not_stay_beside_those_of_the_next(arena, tmp_path):
    arena(answers="defaultResponse: Hello.\n")
    runs = ["run", ".", "--out", "done", "--format", "promptkit", "--quiet"]
    assert invoke(runs) == 0
    mine = tmp_path / "done" / "promptkit" / "notes.json"
    mine.write_text("{}")
    assert invoke([*runs, "--overwrite"]) == 0
    folder = tmp_path / "done" / "promptkit"
    ids = json.loads((folder / "index.json").read_text("utf-8"))["run_ids"]
    assert {path.name for path in folder.iterdir()} == {"index.json", "notes.json", *(f"{run}.json" for run in ids)}


def test_a_violation_that_was_expected_is_listed_and_the_run_succeeds(arena, tmp_path):
    rail = "  validators:\n    - {type: banned_words, params: {words: [bad]}}\n"
    expected = {"type": "guardrail_triggered", "params": {"validator": "banned_words", "should_trigger": True}}
    arena(prompt=PROMPT + rail, scenario=scenario_of(expected), answers="defaultResponse: A bad word.\n")
    assert invoke(["run", ".", "--out", "done", "--format", "promptkit", "--quiet"]) == 0
    [data] = results(tmp_path / "done" / "promptkit")
    assert [item["type"] for item in data["Violations"]] == ["banned_words"]


def test_assertions_are_exported_with_the_type_that_was_written_and_nothing_else_is_counted(arena, tmp_path):
    checks = (
        {"type": "content_matches", "params": {"pattern": "Hello"}, "message": "Greets"},
        {"type": "content_includes", "params": {"patterns": ["Hello"]}, "message": "Greets, too"},
    )
    scenario = scenario_of(*checks) + (
        "  conversation_assertions:\n    - {type: content_not_includes, params: {patterns: [x]}, message: No x}\n"
    )
    rail = "  validators:\n    - {type: banned_words, params: {words: [bad]}}\n"
    rail += "  evals:\n    - {id: brief, type: length, trigger: on_session_complete, params: {max: 100}}\n"
    arena(prompt=PROMPT + rail, scenario=scenario, answers="defaultResponse: Hello.\n")
    assert invoke(["run", ".", "--out", "done", "--format", "promptkit", "--quiet"]) == 0
    [data] = results(tmp_path / "done" / "promptkit")
    turn = data["Messages"][-1]["meta"]["assertions"]["results"]
    assert [item["type"] for item in turn] == ["content_matches", "content_includes"]
    whole = data["conversation_assertions"]["results"]
    assert [item["type"] for item in whole] == ["content_not_includes", "pack_eval:length"]
    assert whole[1]["details"]["eval_id"] == "brief"
