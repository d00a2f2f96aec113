"""A test suite as one writes it for the Scenario library; the import is the only line that is different."""

import asyncio
import json

import pytest

import duologue as scenario


class RecipeAgent(scenario.AgentAdapter):
    async def call(self, input: scenario.AgentInput) -> scenario.AgentReturnTypes:
        wish = input.last_new_user_message_str().lower()
        if "vegetarian" not in wish and len(input.messages) == 1:
            return "Do you eat meat?"
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "search_recipes", "arguments": json.dumps({"diet": "vegetarian"})},
        }
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "lentil curry"},
            {"role": "assistant", "content": "How about a lentil curry? You need lentils, rice and coconut milk."},
        ]


class HungryUser(scenario.AgentAdapter):
    role = scenario.AgentRole.USER

    async def call(self, input: scenario.AgentInput) -> scenario.AgentReturnTypes:
        return "something vegetarian please"


class KeywordJudge(scenario.AgentAdapter):
    role = scenario.AgentRole.JUDGE

    def __init__(self, criteria=()):
        self.criteria = list(criteria)

    async def call(self, input: scenario.AgentInput) -> scenario.AgentReturnTypes:
        request = input.judgment_request
        last_turn = input.scenario_state.current_turn >= (input.scenario_state.config.max_turns or 10) - 1
        if request is None and not last_turn and not input.scenario_state.has_tool_call("search_recipes"):
            return []
        criteria = request.criteria if request and request.criteria is not None else self.criteria
        text = json.dumps(input.messages)
        failed = [criterion for criterion in criteria if criterion not in text]
        return scenario.ScenarioResult(
            success=not failed,
            messages=input.messages,
            reasoning="looked for the words",
            passed_criteria=[criterion for criterion in criteria if criterion not in failed],
            failed_criteria=failed,
        )


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_autopilot():
    result = await scenario.run(
        name="dinner idea",
        description="It is saturday evening, the user is hungry and vegetarian.",
        agents=[RecipeAgent(), HungryUser(), KeywordJudge(criteria=["lentil"])],
        set_id="python-examples",
        metadata={"team": "kitchen"},
    )
    assert result.success
    assert result.passed_criteria == ["lentil"]
    assert result.failed_criteria == []


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_simulated_user():
    result = await scenario.run(
        name="dinner idea",
        description="The user wants a vegetarian recipe.",
        agents=[RecipeAgent(), scenario.UserSimulatorAgent(), KeywordJudge(criteria=["lentil"])],
        max_turns=3,
    )
    assert result.success
    assert result.messages[0]["role"] == "user"


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_simulated_user_and_judge(judge_model):
    result = await scenario.run(
        name="dinner idea",
        description="The user wants a vegetarian recipe.",
        agents=[
            RecipeAgent(),
            scenario.UserSimulatorAgent(persona="a student in a hurry"),
            scenario.JudgeAgent(criteria=["The agent names a recipe"], model=judge_model),
        ],
        script=[scenario.user(), scenario.agent(), scenario.judge()],
    )
    assert result.success
    assert result.passed_criteria == ["The agent names a recipe"]
    assert result.reasoning == "a recipe was named"


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_full_script_with_checks():
    def check_tool_call(state: scenario.ScenarioState) -> None:
        assert state.has_tool_call("search_recipes")
        assert json.loads(state.last_tool_call("search_recipes")["function"]["arguments"]) == {"diet": "vegetarian"}

    result = await scenario.run(
        name="vegetarian recipe",
        description="The user wants a vegetarian recipe.",
        agents=[RecipeAgent(), HungryUser(), KeywordJudge()],
        script=[
            scenario.user("I want a vegetarian dinner"),
            scenario.agent(),
            check_tool_call,
            scenario.succeed("a recipe was found"),
        ],
    )
    assert result.success
    assert result.reasoning == "a recipe was found"
    assert [message["role"] for message in result.messages] == ["user", "assistant", "tool", "assistant"]


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_fixed_messages_of_every_role():
    result = await scenario.run(
        name="fixed",
        description="A fixed conversation.",
        agents=[RecipeAgent(), HungryUser()],
        script=[
            scenario.message({"role": "user", "content": "hello"}),
            scenario.message({"role": "assistant", "content": "hi"}),
            scenario.message({"role": "system", "content": "the kitchen closes at ten"}),
            scenario.agent("What do you fancy?"),
            scenario.user(),
            scenario.succeed(),
        ],
    )
    assert [message["content"] for message in result.messages] == [
        "hello",
        "hi",
        "the kitchen closes at ten",
        "What do you fancy?",
        "something vegetarian please",
    ]


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_inline_criteria_checkpoints():
    result = await scenario.run(
        name="checkpoints",
        description="The user wants dinner.",
        agents=[RecipeAgent(), HungryUser(), KeywordJudge()],
        script=[
            scenario.user("dinner?"),
            scenario.agent(),
            scenario.judge(criteria=["Do you eat meat?"]),
            scenario.user("vegetarian"),
            scenario.agent(),
            scenario.judge(criteria=["rice", "lentil"]),
        ],
    )
    assert result.success
    assert result.passed_criteria == ["Do you eat meat?", "rice", "lentil"]
    assert result.reasoning == "All inline criteria checkpoints passed"


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_failed_checkpoint_ends_the_run():
    result = await scenario.run(
        name="checkpoint fails",
        description="The user wants dinner.",
        agents=[RecipeAgent(), HungryUser(), KeywordJudge()],
        script=[
            scenario.user("vegetarian"),
            scenario.agent(),
            scenario.judge(criteria=["lentil", "beef"]),
            scenario.fail("never reached"),
        ],
    )
    assert not result.success
    assert (result.passed_criteria, result.failed_criteria) == (["lentil"], ["beef"])


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_final_judge_keeps_checkpoints():
    result = await scenario.run(
        name="final judge",
        description="The user wants dinner.",
        agents=[RecipeAgent(), HungryUser(), KeywordJudge(criteria=["lentil"])],
        script=[
            scenario.user("dinner?"),
            scenario.agent(),
            scenario.judge(criteria=["meat"]),
            scenario.proceed(turns=1),
            scenario.judge(),
        ],
    )
    assert result.success
    assert "lentil" in result.passed_criteria


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_proceed_calls_back():
    turns, steps = [], []

    async def on_turn(state: scenario.ScenarioState) -> None:
        turns.append(state.current_turn)

    def on_step(state: scenario.ScenarioState) -> None:
        steps.append(len(state.messages))

    result = await scenario.run(
        name="callbacks",
        description="The user wants dinner.",
        agents=[RecipeAgent(), HungryUser()],
        script=[
            scenario.user("dinner?"),
            scenario.proceed(turns=2, on_turn=on_turn, on_step=on_step),
            scenario.succeed(),
        ],
    )
    assert result.success
    assert turns == [1]
    assert steps == [2, 3, 6]


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_assertion_errors_reach_pytest():
    def check(state: scenario.ScenarioState) -> None:
        assert state.has_tool_call("order_pizza"), "no pizza was ordered"

    with pytest.raises(AssertionError, match="no pizza was ordered"):
        await scenario.run(
            name="assertion",
            description="The user wants dinner.",
            agents=[RecipeAgent(), HungryUser()],
            script=[scenario.user("dinner?"), scenario.agent(), check],
        )


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_agent_errors_are_runtime_errors():
    class BrokenAgent(scenario.AgentAdapter):
        async def call(self, input):
            raise ConnectionError("the kitchen is closed")

    with pytest.raises(RuntimeError, match=r"\[BrokenAgent\] the kitchen is closed"):
        await scenario.run(name="broken", description="d", agents=[BrokenAgent(), HungryUser()])


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_missing_roles_are_value_errors():
    with pytest.raises(ValueError, match="Cannot generate a message for role `User`"):
        await scenario.run(name="nobody", description="d", agents=[RecipeAgent()], script=[scenario.user("hi")])


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_reaching_max_turns_is_no_success():
    result = await scenario.run(
        name="endless",
        description="Nobody ever decides.",
        agents=[RecipeAgent(), HungryUser()],
        max_turns=2,
    )
    assert not result.success
    assert "Reached maximum turns (2) without conclusion" in result.reasoning


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_runs_side_by_side():
    results = await asyncio.gather(
        *(
            scenario.arun(
                name=f"run {number}",
                description="The user wants dinner.",
                agents=[RecipeAgent(), HungryUser(), KeywordJudge(criteria=["lentil"])],
            )
            for number in range(5)
        )
    )
    assert all(result.success for result in results)


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_cached_calls_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENARIO_CACHE_DIR", str(tmp_path))
    calls = []

    class CachedAgent(scenario.AgentAdapter):
        async def call(self, input: scenario.AgentInput) -> scenario.AgentReturnTypes:
            return self.invoke(input.last_new_user_message_str(), context="kitchen")

        @scenario.cache(ignore=["context"])
        def invoke(self, message: str, context: str) -> str:
            calls.append(message)
            return f"you said {message}"

    for _ in range(2):
        result = await scenario.run(
            name="cached",
            description="d",
            agents=[CachedAgent(), HungryUser()],
            script=[scenario.user("hi"), scenario.agent(), scenario.succeed()],
            cache_key="kitchen-v1",
        )
        assert result.messages[-1]["content"] == "you said hi"
    assert calls == ["hi"]


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_background_agent_turn():
    result = await scenario.run(
        name="background",
        description="d",
        agents=[RecipeAgent(), HungryUser()],
        script=[
            scenario.user("a vegetarian dinner"),
            scenario.agent(wait=False),
            scenario.user("with rice"),
            scenario.succeed(),
        ],
    )
    assert result.messages[-1] == {"role": "user", "content": "with rice"}
    assert len(result.messages) == 5


@pytest.mark.agent_test
@pytest.mark.asyncio
async def test_reporter(scenario_reporter):
    await scenario.run(name="reported", description="d", agents=[HungryUser()], script=[scenario.succeed()])
    assert scenario_reporter.results[-1]["result"].success
    assert scenario_reporter.results[-1]["scenario"].name == "reported"
    summary = scenario_reporter.get_summary()
    assert summary["total"] == summary["passed"] + summary["failed"] + summary["undecided"] + summary["errors"]
