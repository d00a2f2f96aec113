"""What test suites of LangWatch Scenario do, beyond its own documentation."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import pytest
from opentelemetry import trace

import duologue as scenario
from duologue.compat.scenario.types import JudgmentRequest
from duologue.errors import ConfigurationError, ModelError
from duologue.journal.events import CriterionDecision
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedModel
from duologue.vocabulary import Decision


async def played(*steps):
    agents = [ScriptedAgent(["Hello.", "Bye."]), scenario.ScriptedUser(["a", "b"])]
    script = [scenario.user("hi"), scenario.agent(), *steps, scenario.succeed()]
    return await scenario.arun(name="n", description="d", agents=agents, script=script)


@pytest.mark.parametrize("value", [[], 3, "text", {"a": 1}, object()])
async def test_what_a_script_step_returns_is_passed_over(value):
    assert (await played(lambda state: value)).success
    assert (await played(lambda state: state.rollback_messages_to(1))).success


@pytest.mark.parametrize("value", [True, False, print])
async def test_a_step_that_returns_a_bool_or_a_function_is_warned_of(value):
    with pytest.warns(UserWarning, match="forgotten"):
        assert (await played(lambda state: value)).success


async def test_tool_calls_are_looked_for_by_the_name_of_the_parameter():
    found = []
    await played(lambda state: found.append((state.has_tool_call(tool_name="x"), state.last_tool_call(tool_name="x"))))
    assert found == [(False, None)]


@pytest.mark.parametrize("kind", [scenario.JudgeAgent, scenario.UserSimulatorAgent])
def test_judges_and_simulators_show_their_settings(kind):
    settings = {"api_base": "http://h/v1", "temperature": 0.5, "max_tokens": 9, "system_prompt": "p"}
    made = kind(model="openai/gpt-5-mini", api_key="k", **settings)
    assert (made.model, made.api_base) == ("openai/gpt-5-mini", "http://h/v1")
    assert (made.temperature, made.max_tokens, made.system_prompt) == (0.5, 9, "p")


def test_criteria_can_be_set_and_appended_before_a_run():
    judge = scenario.JudgeAgent(model="openai/gpt-5-mini", criteria=["a"])
    judge.criteria.append("b")
    assert judge.criteria == ["a", "b"]
    judge.criteria = ["c"]
    assert judge.describe()["criteria"] == ["c"]


CHANGES = {
    "append": lambda messages: messages.append({"role": "user", "content": "x"}),
    "extend": lambda messages: messages.extend([{"role": "user", "content": "x"}]),
    "insert": lambda messages: messages.insert(0, {"role": "user", "content": "x"}),
    "remove": lambda messages: messages.remove(messages[0]),
    "pop": lambda messages: messages.pop(),
    "clear": lambda messages: messages.clear(),
    "sort": lambda messages: messages.sort(),
    "reverse": lambda messages: messages.reverse(),
    "+=": lambda messages: messages.__iadd__([{"role": "user", "content": "x"}]),
    "*=": lambda messages: messages.__imul__(2),
    "[…] = …": lambda messages: messages.__setitem__(0, {"role": "user", "content": "x"}),
    "del […]": lambda messages: messages.__delitem__(slice(None)),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_of_the_shown_messages_is_an_error_that_says_what_to_use(name):
    def change(state):
        with pytest.raises(ConfigurationError) as caught:
            CHANGES[name](state.messages)
        assert name in str(caught.value)
        assert "add_message" in str(caught.value)
        assert "duologue.message(" in str(caught.value)

    assert len((await played(change)).messages) == 2


async def test_the_shown_messages_are_a_list_for_everything_else():
    def read(state):
        shown = state.messages
        assert isinstance(shown, list)
        assert json.loads(json.dumps(shown)) == shown == [dict(message) for message in shown]
        for own in (
            list(shown),
            shown[:],
            shown.__add__([]),
            shown.copy(),
            copy.copy(shown),
            copy.deepcopy(shown),
            pickle.loads(pickle.dumps(shown)),
        ):
            own.append({"role": "user", "content": "mine"})
            assert len(own) == 3

    await played(read)


async def test_what_a_function_was_answered_is_shared_by_scenarios_of_one_cache_key(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENARIO_CACHE_DIR", str(tmp_path))
    calls = []

    @scenario.cache()
    async def price(dish):
        calls.append(dish)
        return f"price of {dish}"

    class Agent(scenario.AgentAdapter):
        async def call(self, input):
            return await price("soup")

    for name in ("a", "b", "c"):
        script = [scenario.user("hi"), scenario.agent(), scenario.succeed()]
        await scenario.arun(
            name, f"about {name}", [Agent(), scenario.ScriptedUser(["a"])], script=script, cache_key="k", verbose=False
        )
    assert calls == ["soup"]


async def test_a_call_with_an_input_is_remembered_for_its_situation(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENARIO_CACHE_DIR", str(tmp_path))
    calls = []

    class Agent(scenario.AgentAdapter):
        @scenario.cache(ignore=["self"])
        async def call(self, input):
            calls.append(input.scenario_state.description)
            return "hello"

    for description in ("a", "b", "a"):
        script = [scenario.user("hi"), scenario.agent(), scenario.succeed()]
        await scenario.arun(
            "n", description, [Agent(), scenario.ScriptedUser(["a"])], script=script, cache_key="k", verbose=False
        )
    assert calls == ["a", "b"]


@pytest.mark.parametrize("function", [scenario.run, scenario.arun, scenario.stream])
async def test_wrong_arguments_are_told_of_the_function_that_was_called(function):
    async def call(*args, **kwargs):
        made = function(*args, **kwargs)
        return await made if inspect.isawaitable(made) else made

    name = function.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected .*'max_turn'\. Did you mean 'max_turns'\?"):
        await call("n", "d", max_turn=1)
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing 1 required positional argument: 'description'"):
        await call("n")
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes"):
        await call(*"abcdefghijklmn")


@pytest.mark.parametrize(
    ("function", "returns"),
    [
        (scenario.run, "ScenarioResult"),
        (scenario.arun, "ScenarioResult"),
        (scenario.stream, "AsyncIterator[StreamChunk]"),
        (scenario.prepare, "ScenarioExecutor"),
    ],
)
def test_help_shows_what_a_function_takes_and_returns(function, returns):
    shown = inspect.signature(function)
    assert shown.return_annotation == returns
    assert list(shown.parameters) == list(inspect.signature(scenario.prepare).parameters)


async def test_the_second_level_of_the_transcript_shows_more(capsys):
    async def printed(verbose):
        user = scenario.UserSimulatorAgent(model=ScriptedModel(["hello"]))
        judge = ScriptedJudge([scenario.ScenarioResult(success=True, passed_criteria=["polite"])])
        await scenario.arun("n", "d", [user, ScriptedAgent(["hi"]), judge], verbose=verbose)
        return capsys.readouterr().out

    assert await printed(0) == ""
    first, second = await printed(1), await printed(2)
    assert "polite" not in first
    assert "tokens" not in first
    for part in ("polite", "scripted for UserSimulatorAgent: ", "tokens", "ScriptedAgent: "):
        assert part in second


def test_attackers_show_their_settings():
    attacker = scenario.RedTeamAgent.crescendo(
        target="a secret",
        total_turns=7,
        model="openai/gpt-5-mini",
        metaprompt_model="openai/gpt-5",
        fast_refusal_detection=False,
        success_score=8,
        success_confirm_turns=1,
    )
    assert (attacker.total_turns, attacker.model, attacker.metaprompt_model) == (7, "openai/gpt-5-mini", "openai/gpt-5")
    assert (attacker.score_responses, attacker.fast_refusal_detection) == (True, False)
    assert (attacker.success_score, attacker.success_confirm_turns) == (8, 1)
    alone = scenario.RedTeamAgent.goat(target="a secret", model="openai/gpt-5-mini", score_responses=False)
    assert (alone.metaprompt_model, alone.score_responses) == ("openai/gpt-5-mini", False)


def test_executors_show_batch_and_metadata(monkeypatch):
    made = scenario.ScenarioExecutor("n", "d", metadata={"team": "a"}, batch_run_id="b")
    assert (made.batch_run_id, made.metadata) == ("b", {"team": "a"})
    monkeypatch.setenv("SCENARIO_BATCH_RUN_ID", "night")
    assert scenario.ScenarioExecutor("n", "d").batch_run_id == "night"


async def test_additional_context_reaches_the_judge():
    model = ScriptedModel([ModelError("no answer")])
    agents = [ScriptedAgent(["Booked."]), scenario.ScriptedUser([]), scenario.JudgeAgent(model=model, criteria=["a"])]
    script = [scenario.user("hi"), scenario.agent(), scenario.judge(additional_context="The table is taken.")]
    with pytest.raises(scenario.errors.JudgeError):
        await scenario.arun("n", "d", agents, script=script, verbose=False)
    assert "The table is taken." in str(model.requests[0].messages)


def test_both_names_of_the_context_are_read():
    for given in ({"context": "x"}, {"additional_context": "x"}, {"context": "y", "additional_context": "x"}):
        request = JudgmentRequest(**given)
        assert (request.context, request.additional_context) == ("x", "x")
    assert JudgmentRequest().additional_context is None


async def test_a_judge_reads_the_spans_of_the_process_without_being_given_a_collector():
    class Agent(scenario.AgentAdapter):
        async def call(self, input):
            with trace.get_tracer("desk").start_as_current_span("find_table", attributes={"people": 4}):
                pass
            assert [span.name for span in input.scenario_state.spans] in ([], ["find_table"])
            found.extend(input.scenario_state.spans)
            return "Booked."

    found = []

    async def asked(**options):
        model = ScriptedModel([ModelError("no answer")])
        judge = scenario.JudgeAgent(model=model, criteria=["a"], **options)
        with pytest.raises(scenario.errors.JudgeError):
            await scenario.arun("n", "d", [scenario.ScriptedUser(["hi"]), Agent(), judge], max_turns=1, verbose=False)
        return str(model.requests[0].messages)

    assert "find_table" not in await asked(include_traces=False)
    assert not found
    assert "find_table" in await asked()
    assert [span.name for span in found] == ["find_table"]
    found.clear()
    tracing = scenario.setup_scenario_tracing()
    try:
        assert "find_table" in await asked()
        assert found[0].attributes == {"people": 4}
        assert "find_table" in await asked(include_traces=True)
        assert "find_table" not in await asked(include_traces=False)
    finally:
        tracing.close()


@pytest.mark.parametrize(
    "written",
    [
        "<think>I play a guest.</think>A table, please.",
        "<thinking>\nI play a guest.\n</thinking>\n\nA table, please.",
        '{"reasoning": "I play a guest.", "message": "A table, please."}',
        '```json\n{"thought": "I play a guest.", "message": "A table, please."}\n```',
        '<think>I play a guest.</think>{"message": "A table, please.", "done": false}',
        '{"message": "A table, please."}\n\nI play a guest.',
    ],
)
async def test_what_the_simulated_user_thinks_is_never_spoken(written):
    user = scenario.UserSimulatorAgent(model=ScriptedModel([written]))
    result = await scenario.arun("n", "d", [user], script=[scenario.user(), scenario.succeed()], verbose=False)
    assert result.messages == [{"role": "user", "content": "A table, please."}]


@pytest.mark.parametrize("empty", ["", " ", '{"message": ""}', '{"message": " "}'])
async def test_a_user_who_falls_silent_leaves_the_decision_to_the_judge(empty):
    user = scenario.UserSimulatorAgent(model=ScriptedModel(["A table, please.", empty, empty]))
    judge = ScriptedJudge([None, True])
    result = await scenario.arun("n", "d", [user, ScriptedAgent(["Booked."], repeat=True), judge], verbose=False)
    assert result.success
    assert judge.inputs[-1].judgment_request is not None


@pytest.mark.parametrize(
    ("strategy", "ids"),
    [
        ("RESPONSE_PRIMING", ["RESPONSE_PRIMING"]),
        ("I use Response Priming now.", ["RESPONSE_PRIMING"]),
        (["response-priming"], ["RESPONSE_PRIMING"]),
        ({"use": "response priming"}, ["RESPONSE_PRIMING"]),
        (None, []),
        (3, []),
    ],
)
def test_moves_of_an_attack_are_known_however_they_are_written(strategy, ids):
    attack = scenario.GoatStrategy()
    read = attack.parse_attacker_output(
        json.dumps({"observation": ["a", "b"], "strategy": strategy, "reply": "Hello."})
    )
    assert (read.reply, read.observation) == ("Hello.", "a, b")
    assert list(attack.chosen_technique_ids(read.strategy)) == ids


def test_an_attacker_that_chooses_its_moves_has_no_plan_in_its_prompt():
    attack = scenario.GoatStrategy()
    assert "plan to follow" not in attack.build_system_prompt("a secret", 1, 3, "a shop")
    assert not attack.needs_metaprompt_plan


@pytest.mark.parametrize("techniques", [scenario.DEFAULT_TECHNIQUES, scenario.DEFAULT_GOAT_TECHNIQUES])
def test_the_default_techniques_can_be_added_to(techniques):
    assert len(techniques.__add__([techniques[0]])) == len(techniques) + 1


async def test_the_state_tells_of_turns_criteria_and_the_conversation_as_text():
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    answer = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "table 12"},
        {"role": "assistant", "content": "Booked."},
    ]
    seen = []

    def look(state):
        seen.append(state)
        assert [(turn.index, len(turn.messages), len(turn.tool_calls("find"))) for turn in state.turns] == [
            (0, 4, 1),
            (1, 1, 0),
        ]
        assert state.turns[0].tool_calls("other") == []
        assert state.criteria == ["polite", "short"]
        assert state.spans == []
        assert state.transcript().splitlines() == [
            "user: hi",
            "assistant: find({})",
            "tool: table 12",
            "assistant: Booked.",
            "user: thanks",
        ]

    judge = scenario.JudgeAgent(model=ScriptedModel([]), criteria=["polite", "short"])
    agents = [ScriptedAgent([answer]), scenario.ScriptedUser(["a"]), judge]
    script = [scenario.user("hi"), scenario.agent(), scenario.user("thanks"), look, scenario.succeed()]
    await scenario.arun("n", "d", agents, script=script, verbose=False)
    assert seen


async def test_results_tell_of_each_criterion():
    given = scenario.ScenarioResult(success=False, passed_criteria=["polite"], failed_criteria=["short"])
    result = await scenario.arun(
        "n", "d", [scenario.ScriptedUser(["hi"]), ScriptedAgent(["hi"]), ScriptedJudge([given])], verbose=False
    )
    assert [(item.criterion, item.status) for item in result.criteria] == [("polite", "passed"), ("short", "failed")]
    decided = scenario.ScenarioResult(
        success=False,
        decisions=[CriterionDecision(criterion="true", decision=Decision.INCONCLUSIVE, reason="nothing shows it")],
    )
    assert [(item.status, item.reasoning) for item in decided.criteria] == [("inconclusive", "nothing shows it")]


def test_a_simulator_shows_the_temperature_of_the_default_model(monkeypatch):
    model = scenario.ModelConfig(model="openai/gpt-5-mini", temperature=0.7, max_tokens=9)
    monkeypatch.setattr(scenario.ScenarioConfig, "default_config", scenario.ScenarioConfig(default_model=model))
    made = scenario.UserSimulatorAgent()
    assert (made.temperature, made.max_tokens) == (0.7, 9)


@pytest.mark.parametrize(("score", "steps"), [(None, 7), (9, 10)])
def test_an_attack_without_a_score_of_success_never_ends_early(score, steps):
    attacker = scenario.RedTeamAgent.crescendo(
        target="t", model="openai/gpt-5-mini", total_turns=3, success_score=score
    )
    assert len(attacker.marathon_script()) == steps
