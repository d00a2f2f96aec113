"""A user played by a model: what the model is told, how its answers are read, what happens when it does not play."""

from __future__ import annotations

import asyncio
import json

import pytest

import duologue
from duologue import AgentInput, Persona, ScenarioState, Termination, UserDone, UserSimulatorAgent
from duologue.conversation.adapter import JudgmentRequest
from duologue.errors import ConfigurationError, ModelUnavailableError, SimulatorError
from duologue.models.base import ModelAnswer
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent, ScriptedJudge, context

SITUATION = "The headphones arrived broken."


def says(message, done=False, reason=None):
    return json.dumps({"message": message, "done": done, "reason": reason})


def given(*messages, **options):
    listed = [dict(message) for message in messages]
    state = ScenarioState(description=SITUATION, messages=list(listed))
    return AgentInput(thread_id="t", messages=listed, new_messages=[], scenario_state=state, **options)


def user(text):
    return {"role": "user", "content": text}


def agent(text, **more):
    return {"role": "assistant", "content": text, **more}


async def asked(*messages, answers=(), **options):
    """What the user says, and what its model was asked."""
    model = ScriptedModel(answers or [says("I want my money back.")])
    said = await UserSimulatorAgent(model=model, **options).call(given(*messages))
    return said, [list(request.messages) for request in model.requests]


def roles(messages):
    return [message["role"] for message in messages]


async def test_the_first_turn_opens_the_conversation():
    said, [messages] = await asked()
    assert said == "I want my money back."
    assert roles(messages) == ["system", "user"]
    assert SITUATION in messages[0]["content"]


async def test_roles_are_flipped_and_alternate_from_input_to_input():
    said, [messages] = await asked(
        user("Hi"), agent("Hello."), agent("What is it?"), user("It broke."), user("Today."), agent("Sorry.")
    )
    assert said
    assert roles(messages) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [m["content"] for m in messages[2:]] == ["Hi", "Hello.\nWhat is it?", "It broke.\nToday.", "Sorry."]


async def test_a_user_who_is_asked_twice_in_a_row_still_gets_input_last():
    _, [messages] = await asked(agent("Hello"), user("Hi"))
    assert roles(messages) == ["system", "user", "assistant", "user"]


async def test_tool_calls_results_and_instructions_stay_behind_the_scenes():
    call = {"id": "1", "type": "function", "function": {"name": "SECRET_refund", "arguments": "{}"}}
    _, [messages] = await asked(
        {"role": "system", "content": "SECRET instruction"},
        user("Hi"),
        agent(None, tool_calls=[call]),
        {"role": "tool", "tool_call_id": "1", "content": "SECRET result"},
        agent("Found it.", tool_calls=[call]),
    )
    assert "SECRET" not in json.dumps(messages)
    assert messages[-1]["content"] == "Found it."


async def test_audio_never_reaches_the_model():
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    _, [messages] = await asked(
        user("Hi"), agent([sound]), user([{"type": "text", "text": "pardon?"}, sound]), agent([sound, sound])
    )
    assert "UklGRg" not in json.dumps(messages)
    assert [m["content"] for m in messages[2:]] == ["Hi", "[audio message]", "pardon?", "[audio message]"]


async def test_persona_goal_style_and_facts_are_told():
    persona = Persona(name="Ann Lee", style="formal", facts={"order": "48213"})
    _, [messages] = await asked(persona=persona, goal="get a refund", style="all in lower case")
    prompt = messages[0]["content"]
    assert all(text in prompt for text in ("Ann Lee", "order: 48213", "get a refund", "all in lower case"))
    assert "formal" not in prompt


async def test_own_system_prompt_replaces_the_rules_and_keeps_the_brief():
    _, [messages] = await asked(system_prompt="Play a pirate.", persona="A sailor")
    prompt = messages[0]["content"]
    assert prompt.startswith("Play a pirate.")
    assert SITUATION in prompt
    assert "A sailor" in prompt
    assert "How to play" not in prompt


async def test_criteria_never_reach_the_user():
    model = ScriptedModel([says("hello there"), says("bye", done=True, reason="gave_up")])
    judge = ScriptedJudge([None], repeat=True)
    judge.criteria = ["SECRET criterion"]
    result = await duologue.arun(
        "a",
        SITUATION,
        [UserSimulatorAgent(model=model), ScriptedAgent(["hm"], repeat=True), judge],
        script=[duologue.user(), duologue.agent(), duologue.proceed()],
        metadata={"criteria": "SECRET criterion"},
        verbose=False,
        context=context(),
    )
    assert result.termination is Termination.USER_DONE
    request = JudgmentRequest(criteria=["SECRET criterion"], context="SECRET context")
    third = ScriptedModel([says("well")])
    await UserSimulatorAgent(model=third).call(given(judgment_request=request))
    assert "SECRET" not in json.dumps([r.messages for r in [*model.requests, *third.requests]])


@pytest.mark.parametrize("reason", ["goal_reached", "gave_up", "transferred"])
async def test_the_user_says_why_it_is_done(reason):
    said, _ = await asked(agent("Done."), answers=[says("Thanks, bye", done=True, reason=reason)])
    assert said == UserDone(reason=reason, message="Thanks, bye")


async def test_a_user_may_leave_without_a_word():
    said, _ = await asked(agent("Hold on."), answers=[says("", done=True, reason="gave_up")])
    assert said == UserDone(reason="gave_up")


@pytest.mark.parametrize(
    "text",
    [
        "I want a refund",
        'User: "I want a refund"',
        '```json\n{"message": "I want a refund", "done": false, "reason": null}\n```',
        '{"message": "Customer: I want a refund"} That is what the customer says.',
        '{"message": "I want a refund", "done": "yes"}',
    ],
)
async def test_answers_of_providers_that_ignore_the_schema_are_understood(text):
    said, requests = await asked(answers=[text])
    assert said == "I want a refund"
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        (says("   "), "it is empty"),
        (says("As a simulated user I want a refund."), "speaks of the role"),
        (says("hi\nAgent: hello\nUser: a refund"), "more than one turn"),
        (says("We will send you a new pair on Monday."), "repeats what the agent has just said"),
        ('{"message": "I want', "not valid JSON"),
        ('{"text": "I want a refund"}', 'no text in "message"'),
    ],
)
async def test_what_no_user_would_say_is_asked_again_with_the_reason(text, why):
    before = agent("We will send you a new pair on Monday!")
    said, [_, again] = await asked(before, answers=[text, says("I want a refund.")])
    assert said == "I want a refund."
    assert why in again[-1]["content"]
    with pytest.raises(SimulatorError, match=f"(?s)asked twice: .*{why}"):
        await asked(before, answers=[text, text])


async def test_a_refusal_is_asked_again_and_then_an_error():
    refusal = ModelAnswer(message=agent(""), refusal="I must not")
    assert (await asked(answers=[refusal, "fine"]))[0] == "fine"
    with pytest.raises(SimulatorError, match="I must not"):
        await asked(answers=[refusal, refusal])


async def test_short_answers_in_the_agents_words_are_no_echo():
    said, _ = await asked(agent("Friday at eight?"), answers=[says("Friday at eight.")])
    assert said == "Friday at eight."


async def test_a_failing_model_is_a_simulator_error_with_its_cause():
    model = ScriptedModel([ModelUnavailableError("no line", model="m")])
    with pytest.raises(SimulatorError, match="no line") as caught:
        await duologue.arun(
            "a", "b", [UserSimulatorAgent(model=model), ScriptedAgent([])], verbose=False, context=context()
        )
    assert isinstance(caught.value.__cause__, ModelUnavailableError)
    assert caught.value.who == "UserSimulatorAgent"
    assert not caught.value.result.messages


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"voice": "alloy"}, "voice='alloy': expected provider/name, such as 'local/heart'"),
        ({"voice": "openai/"}, "voice='openai/': expected provider/name"),
        ({"voice": 7}, "voice=7: expected provider/name"),
        ({"audio_effects": ["phone"]}, "audio_effects: expected functions from PCM16 to PCM16, .* found 'phone'"),
    ],
)
def test_a_voice_and_effects_that_are_none_are_refused(option, told):
    with pytest.raises(ConfigurationError, match=told):
        UserSimulatorAgent(model=ScriptedModel([]), **option)


async def test_a_user_with_a_voice_is_told_to_speak():
    model = ScriptedModel(['{"message": "Hello there.", "done": false, "reason": null}'])
    user = UserSimulatorAgent(model=model, voice="local/heart")
    result = await duologue.arun(
        "a", "b", [user, ScriptedAgent(["Hi"])], script=[duologue.user(), duologue.agent(), duologue.succeed()]
    )
    assert "You are on the telephone" in model.requests[0].messages[0]["content"]
    assert result.messages[0]["content"] == "Hello there."


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_interrupt_probability_is_a_probability(probability):
    with pytest.raises(ValueError, match="interrupt_probability must be from 0 to 1"):
        UserSimulatorAgent(model=ScriptedModel([]), interrupt_probability=probability)


def test_a_user_without_a_model_says_what_to_do():
    with pytest.raises(ConfigurationError, match="UserSimulatorAgent needs a language model"):
        UserSimulatorAgent()


async def test_settings_and_schema_go_with_every_request():
    model = ScriptedModel([says("hi")])
    simulator = UserSimulatorAgent(model=model, temperature=0.7, max_tokens=99, top_p=0.5)
    await simulator.call(given())
    [request] = model.requests
    assert (request.temperature, request.max_tokens, request.extra) == (0.7, 99, {"top_p": 0.5})
    assert request.response_schema["required"] == ["message", "done", "reason"]


def test_the_snapshot_says_who_played():
    simulator = UserSimulatorAgent(model=ScriptedModel([], name="m"), persona="A sailor", goal="go home")
    assert simulator.describe() == {"model": "m", "persona": {"description": "A sailor"}, "goal": "go home"}


async def test_one_object_serves_many_conversations_at_once():
    async def reply(request):
        await asyncio.sleep(0)
        heard = [m["content"] for m in request.messages[1:] if m["role"] == "user"]
        return says(f"I heard {heard[-1]}") if len(heard) < 3 else says("bye", done=True, reason="goal_reached")

    class Numbered(duologue.AgentAdapter):
        def __init__(self, number):
            self.number = number

        async def call(self, input):
            await asyncio.sleep(0)
            return f"number {self.number}"

    simulator = UserSimulatorAgent(model=ScriptedModel([reply], repeat=True))
    results = await asyncio.gather(
        *(duologue.arun("a", "b", [simulator, Numbered(i)], verbose=False, seed=i) for i in range(20))
    )
    for number, result in enumerate(results):
        said = [m["content"] for m in result.messages if m["role"] == "user"]
        assert said[1:] == [f"I heard number {number}", "bye"]


async def test_model_calls_are_in_the_journal(tmp_path):
    model = ScriptedModel(["hello", "hello again"], name="m")
    result = await duologue.arun(
        "a",
        "b",
        [UserSimulatorAgent(model=model), ScriptedAgent(["x"], repeat=True)],
        max_turns=2,
        verbose=False,
        record=tmp_path,
    )
    calls = [e.event for e in duologue.read_journal(result.journal).entries if e.event.type == "model_called"]
    assert [(call.asker, call.model, call.turn) for call in calls] == [
        ("UserSimulatorAgent", "m", 0),
        ("UserSimulatorAgent", "m", 1),
    ]
