"""Manifests of all versions of PromptKit: which field becomes which, what has no effect, what cannot be."""

from __future__ import annotations

import pytest
from arena_files import ARENA, PERSONA, PROMPT, PROVIDER, SCENARIO, errors, manifest, warnings

from duologue.suites.manifests.loader import load, validate


def test_an_arena_becomes_a_suite(arena):
    suite = arena()
    [model], [agent], [prompt], [scenario] = suite.models, suite.agents, suite.prompts, suite.scenarios
    assert (model.provider, model.model, model.mock_file, model.options) == (
        "mock",
        "tiny",
        "answers.yaml",
        {"more": 1},
    )
    assert (agent.name, agent.model, agent.group) == ("m", "m", "default")
    assert (prompt.name, prompt.task, prompt.values) == ("support", "help", {"who": "you"})
    assert (scenario.prompt, scenario.turns[0].content) == ("help", "hi")
    assert (suite.simulators[0].name, suite.simulators[0].model) == ("customer", "m")
    assert suite.defaults.temperature == 0.5


def test_every_field_of_a_turn_has_its_counterpart(arena):
    turns = """\
    - role: customer
      persona: anna
      turns: 2
      max_turns: 5
      assistant_temp: 0.1
      user_temp: 0.9
      seed: 7
      streaming: true
      consent_overrides: {pay: deny}
      chaos: {tool_failures: [{tool: pay, mode: timeout, probability: 0.5}]}
      assertions:
        - type: content_includes
          params: {patterns: [a]}
          message: m
          when: {any_tool_called: true}
          pass_threshold: 1.0
    - role: user
      content: "{greeting}"
      perturbations: {greeting: [hi, hello]}
"""
    scenario = SCENARIO.replace("    - {role: user, content: hi}\n", turns) + (
        "  context_metadata: {domain: shops}\n  providers: [m]\n  trials: 3\n  variables: {who: a}\n"
        "  tool_policy: {max_tool_calls_per_turn: 1}\n  context_policy: {token_budget: 10, strategy: fail}\n"
        "  required_capabilities: [tools]\n"
        "  conversation_assertions: [{type: tools_not_called, params: {tools: [x]}}]\n"
    )
    tools = "  tool_specs: {pay: {description: pays, mock_result: 1}}\n"
    [found] = arena(arena=ARENA + tools, scenario=scenario).scenarios
    turn = found.turns[0]
    assert (turn.role, turn.simulator, turn.persona) == ("simulated_user", "customer", "anna")
    assert (turn.exchanges, turn.max_exchanges, turn.agent_temperature, turn.user_temperature) == (2, 5, 0.1, 0.9)
    assert (turn.seed, turn.consent) == (7, {"pay": "deny"})
    assert turn.chaos.tool_failures[0].mode == "timeout"
    assert turn.checks[0].when.any_tool_called is True
    assert found.turns[1].perturbations == {"greeting": ("hi", "hello")}
    assert (found.agents, found.trials, found.background.domain) == (("m",), 3, "shops")
    assert found.checks[0].type == "tools_not_called"
    assert found.context_policy.strategy == "fail"


def test_inline_specs_globals_and_the_newest_sections_are_read(arena):
    suite = arena(
        arena="""\
  provider_specs:
    m: {type: claude, model: tiny}
    speaker: {type: openai, role: tts}
  prompt_specs:
    support: {task_type: help, system_template: Hi}
  scenario_specs:
    s: {task_type: help, turns: [{role: user, content: hi}]}
  eval_specs:
    old:
      recording: {path: r.yaml, type: session}
      turns: [{all_turns: {assertions: [{type: contains, params: {patterns: [a]}}]}}]
  tool_specs:
    find: {description: finds, mock_result: {a: 1}}
  judge_specs:
    strict: {provider: m}
  self_play: {persona_specs: {anna: {description: d, system_prompt: x}}, roles: [{id: customer, provider: m}]}
  globals: {conversation_assertions: [{type: tools_not_called, params: {tools: [x]}}]}
  voices: [{id: deep, provider: speaker}]
  mcp_servers: [{name: files, command: run, args: [a]}]
  a2a_agents: [{name: other, url: "http://127.0.0.1:1"}]
  workflow: {entry: a, states: {a: {prompt_task: help, on_event: {go: b}}, b: {terminal: true, prompt_task: help}}}
  defaults: {output: {dir: o, formats: [junit], junit: {file: j.xml}, recording: {enabled: true}}}
  skills: [{path: x}]
""",
        r="{}",
        read=validate,
    )
    assert errors(suite) == []
    assert any("spec.skills: is kept, but not used" in text for text in warnings(suite))
    suite = suite.suite
    assert [model.provider for model in suite.models] == ["anthropic", "openai"]
    assert [agent.name for agent in suite.agents] == ["m"]  # what speaks is not rehearsed
    assert suite.replays[0].turn_checks[0].type == "contains"
    assert (suite.judges[0].name, suite.judges[0].model) == ("strict", "m")
    assert suite.checks[0].type == "tools_not_called"
    assert suite.workflow.states["b"].terminal
    assert (suite.defaults.output.files, suite.defaults.output.recording) == ({"junit": "j.xml"}, "recordings")
    assert suite.extensions == {"skills": [{"path": "x"}]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "task_type: help",
            "task_typ: help",
            "s.yaml:7:3: spec.task_typ: unknown field 'task_typ'; did you mean 'task_type'?",
        ),
        (
            "task_type: help",
            "task_type: hepl",
            "s.yaml:7:14: spec.task_type: no prompt is called 'hepl'; did you mean 'help'?",
        ),
        (
            "role: user",
            "role: custmer",
            "s.yaml:10:14: spec.turns[0].role: no self-play role is called 'custmer'; did you mean 'customer'?",
        ),
        ("role: user", "role: assistant", "turns of the role assistant cannot be played; expected user, customer"),
        ("role: user, content: hi", "role: customer, persona: ana", "no persona is called 'ana'; did you mean 'anna'?"),
        (
            "role: user, content: hi",
            "role: customer, turns: -1",
            "s.yaml:10:31: spec.turns[0].turns: found -1 (a number); expected greater",
        ),
        ("  turns:", "  providers: [mm]\n  turns:", "s.yaml:9:15: spec.providers[0]: no agent is called 'mm'"),
        (
            "  turns:",
            "  conversation_assertions: [{type: composition_output, params: {contains: x}}]\n  turns:",
            "check type 'composition_output' is not supported: it is about a composition of prompts",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_and_places_of_the_file(arena, old, new, message):
    found = errors(arena(read=validate, scenario=SCENARIO.replace(old, new)))
    assert any(message in text for text in found), found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scenario": SCENARIO + "  mode: chat\n  constraints: {a: 1}\n"},
            "spec.mode: has no effect in PromptKit, and none here",
        ),
        ({"scenario": SCENARIO.replace("id: s", "id: other")}, "'other' is not used: metadata.name is 's'"),
        ({"scenario": SCENARIO.replace("hi}", "hi, persona: anna}")}, "has no effect in a turn of the role user"),
        (
            {"arena": ARENA.replace("temperature: 0.5", "out_dir: o")},
            "spec.defaults.out_dir: is an old name; write output.dir",
        ),
        (
            {"arena": ARENA.replace("temperature: 0.5", "monitor: {a: 1}")},
            "spec.defaults.monitor: is not used by this version",
        ),
        ({"arena": ARENA.replace("who: you", "whom: you")}, "says {{who}}, which nothing gives a value"),
    ],
)
def test_what_has_no_effect_is_a_warning(arena, change, message):
    report = arena(read=validate, **change)
    assert errors(report) == []
    assert any(message in text for text in warnings(report)), warnings(report)


def test_files_are_found_from_the_arena_or_its_config_dir(arena, tmp_path):
    report = arena(read=validate, arena=ARENA.replace("m.yaml", "n.yaml"))
    assert "config.arena.yaml:9:14: spec.providers[0].file: there is no file 'n.yaml'" in str(report)
    arena()
    for name in ("m", "prompt", "anna", "answers", "s"):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").rename(tmp_path / "parts" / f"{name}.yaml")
    (tmp_path / "config.arena.yaml").write_text(
        manifest("Arena", "shop", ARENA.replace("{temperature: 0.5}", "{config_dir: parts}"))
    )
    assert load(".").models[0].mock_file == "parts/answers.yaml"


def test_ids_that_are_not_the_name_are_understood_with_a_warning(arena):
    other = PERSONA.replace("id: anna", "id: ann")
    report = arena(read=validate, anna=other, scenario=SCENARIO.replace("user, content: hi", "customer, persona: ann"))
    assert errors(report) == []
    assert any("'ann' is the id of 'anna'; names are what counts" in text for text in warnings(report))


def test_a_prompt_that_is_refused_is_still_the_one_for_its_task(arena):
    report = arena(read=validate, prompt=PROMPT.replace("  version: v1\n", "  versoin: v1\n"))
    [error] = errors(report)
    assert "unknown field 'versoin'" in error


def test_a_persona_of_a_version_that_is_gone_is_an_error(arena):
    old = PERSONA.replace("system_prompt:", "prompt_activity:")
    assert "prompt_activity is no longer supported; expected system_template" in str(arena(read=validate, anna=old))


@pytest.mark.parametrize(
    ("kind", "spec", "section"),
    [
        ("Scenario", SCENARIO, "scenarios"),
        ("Provider", "  type: openai\n  model: x\n", "models"),
        ("Persona", "  description: d\n", "personas"),
        ("PromptConfig", "  task_type: a\n  system_template: b\n", "prompts"),
        ("Tool", "  description: d\n", "tools"),
        ("Eval", "  recording: {path: nowhere.json}\n", "replays"),
    ],
)
def test_a_resource_by_itself_is_read_by_itself(tmp_path, kind, spec, section):
    path = tmp_path / "one.yaml"
    path.write_text(manifest(kind, "it", spec))
    assert [item.name for item in getattr(load(path), section)] == ["it"]


def test_limits_of_zero_and_empty_texts_are_not_set(arena):
    policy = (
        "  tool_policy: {tool_choice: auto, max_tool_calls_per_turn: 0, max_total_tool_calls: 0, max_cost_usd: 0}\n"
    )
    servers = """\
  mcp_servers: [{name: files, command: run, transport: ""}]
  judge_defaults: {prompt: "", prompt_registry: ""}
  pack_file: ""
"""
    suite = arena(
        arena=ARENA.replace("temperature: 0.5", "max_tokens: 0") + servers,
        scenario=SCENARIO + policy + '  voice: ""\n',
        m=PROVIDER + '  defaults: {temperature: 0, top_p: 1, max_tokens: 0}\n  request_timeout: ""\n',
        prompt=PROMPT + "  tool_policy: {max_rounds: 0, max_tool_calls_per_turn: 2}\n  parameters: {max_tokens: 0}\n",
    )
    [scenario], [model], [prompt], [server] = suite.scenarios, suite.models, suite.prompts, suite.mcp_servers
    assert set(vars(scenario.tool_policy).values()) == {"auto", None, ()}
    assert (prompt.tool_policy.max_rounds, prompt.tool_policy.max_tool_calls_per_turn) == (None, 2)
    assert (model.sampling.temperature, model.sampling.max_tokens, model.request_timeout) == (0, None, None)
    assert (suite.defaults.max_tokens, prompt.parameters.max_tokens) == (None, None)
    assert (server.transport, suite.pack_file, suite.judge_defaults.prompt) == (None, None, None)


@pytest.mark.parametrize("section", ["judge_defaults", "self_play", "globals", "defaults", "tools", "workflow"])
def test_a_section_with_nothing_in_it_is_read_or_refused_where_it_is(arena, section):
    text = ARENA.replace(
        "  self_play:\n    personas: [{file: anna.yaml}]\n    roles: [{id: customer, provider: m}]\n", ""
    )
    report = arena(read=validate, arena=text.replace("  defaults: {temperature: 0.5}\n", "") + f"  {section}:\n")
    assert all(f"spec.{section}: found nothing; expected a list" in text for text in errors(report)), errors(report)


def test_sizes_of_pictures_that_tools_answer_with_are_understood(arena, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.png").write_bytes(b"png")
    tools = """\
  tool_specs:
    look:
      description: looks
      mode: mock
      mock_parts: [{type: image, media: {mime_type: image/png, file_path: a.png, width: 640, height: 480}}]
"""
    for name in ("m", "prompt", "anna", "answers", "s"):
        text = {"m": PROVIDER, "prompt": PROMPT, "anna": PERSONA, "answers": "{}"}.get(name)
        (tmp_path / "parts" / f"{name}.yaml").write_text(text or manifest("Scenario", "s", SCENARIO))
    suite = arena(arena=ARENA.replace("temperature: 0.5", "config_dir: parts") + tools)
    part = suite.tools[0].mock_parts[0]
    assert part["media"] == {"mime_type": "image/png", "file_path": "parts/a.png", "width": 640, "height": 480}


def test_fields_that_do_nothing_are_dropped_and_each_is_a_warning(arena):
    report = arena(
        arena=ARENA.replace("temperature: 0.5", "fail_on: [x], verbose: true, output: {html: {dark: true}}")
        + "  state_store: {type: redis}\n  voices: [{id: deep, provider: m}]\n"
        + "  pack_evals: [{id: e, type: contains, trigger: every_turn, params: {patterns: [x]}, groups: [nightly]}]\n"
        + "  workflow: {entry: a, states: {a: {prompt_task: help, persistence: full}}}\n",
        scenario=SCENARIO.replace("content: hi", "content: hi, streaming: true, tts: {provider: m}")
        + "  voice: deep\n  steps: [{input: hi}]\n  pack: x.json\n"
        + "  context_policy: {cache_breakpoints: true, relevance: {provider: x, cache_embeddings: true}}\n",
        m=PROVIDER + "  include_raw_output: true\n  defaults: {prompt_caching: true}\n",
        prompt=PROMPT + "  variables: [{name: v, default: 1, validation: {min: 1}, binding: {kind: env}}]\n",
        anna=PERSONA + "  voice: deep\n  style: {expressive: true, characterization_rubric: r}\n",
        read=validate,
    )
    assert errors(report) == []
    told = [problem for problem in report.warnings if "has no effect here: " in problem.message]
    assert {problem.position.field.rpartition(".")[2] for problem in told} == {
        *("fail_on", "verbose", "html", "state_store", "voices", "groups", "persistence"),
        *("streaming", "tts", "voice", "pack", "cache_breakpoints", "cache_embeddings"),
        *("include_raw_output", "prompt_caching", "validation", "binding", "expressive", "characterization_rubric"),
    }
    assert all(problem.position.line for problem in told)
    [steps] = [problem for problem in report.warnings if problem.position.field == "spec.steps"]
    assert "steps are not played by this version" in steps.message


def test_a_scenario_that_has_only_steps_is_refused(arena):
    report = arena(scenario="  task_type: help\n  steps: [{input: hi}]\n", read=validate)
    assert errors(report) == ["s.yaml:7:3: spec.steps: steps are not played by this version; write them as 'turns'"]
