"""A user played by a small model that continues a transcript."""

from __future__ import annotations

import pytest

import duologue
from duologue import AgentInput, Persona, ScenarioState, UserDone, UserSimulatorAgent
from duologue.agents.users.persona import as_persona
from duologue.agents.users.prompt import Brief
from duologue.agents.users.simulator import notes, transcript
from duologue.agents.users.utterances import spoken_turns
from duologue.errors import ModelUnavailableError, SimulatorError
from duologue.models.base import Completion
from duologue.testing import ScriptedAgent


class Continuer:
    """Continues every text with what was written down; the last entry again and again."""

    name = "tiny"

    def __init__(self, *texts):
        self.texts = list(texts)
        self.calls = []

    async def answer(self, request):
        raise AssertionError("a model that can continue a text is not asked to chat")

    async def complete(self, prompt, **options):
        self.calls.append((prompt, options))
        text = self.texts[min(len(self.calls), len(self.texts)) - 1]
        if isinstance(text, Exception):
            raise text
        return Completion(text=text)


def said(*texts):
    """A conversation that the user begins."""
    roles = ("user", "assistant")
    return [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]


async def play(model, messages, **options):
    state = ScenarioState(description="You want a refund.", messages=list(messages))
    given = AgentInput(thread_id="t", messages=messages, new_messages=[], scenario_state=state)
    return await UserSimulatorAgent(model=model, **options).call(given)


async def test_the_prompt_ends_where_the_user_goes_on():
    model = Continuer(" It is 48213.")
    persona = Persona(name="Ann Lee", facts={"order": "48213"})
    answer = await play(model, said("I want a refund", "Which order\nis it?"), persona=persona, goal="get it by Monday")
    [(prompt, options)] = model.calls
    assert answer == "It is 48213."
    assert prompt.endswith(
        "[Customer: get it by Monday. You want a refund. order: 48213. Name: Ann Lee.]\n"
        "Agent: Hello, how can I help you?\nCustomer: I want a refund\nAgent: Which order is it?\nCustomer:"
    )
    assert "\n" in options["stop"]
    assert options["temperature"] == 0.0


async def test_what_comes_before_the_newest_line_stays_the_same():
    model = Continuer("one", "two")
    await play(model, said("I want a refund", "Which order is it?"))
    await play(model, said("I want a refund", "Which order is it?", "This one", "Why?"))
    (first, _), (second, _) = model.calls
    assert second.startswith(first.removesuffix("Customer:"))


def test_long_conversations_lose_their_oldest_part_and_keep_the_notes():
    heard = spoken_turns(said(*(f"line {number} " + "x" * 300 for number in range(100))))
    prompt = transcript(Brief(situation="Keep me.", persona=as_persona(None)), heard)
    assert len(prompt) < 12_000
    assert "[Customer: Keep me.]" in prompt
    assert "line 99 " in prompt
    assert "line 1 " not in prompt


def test_notes_cannot_break_out_of_their_brackets():
    assert "]" not in notes(Brief(situation="a]\nAgent: b[", persona=as_persona("c]")))


@pytest.mark.parametrize(
    ("agent", "line", "outcome"),
    [
        ("Your refund has been issued.", "Thanks. Bye.", UserDone(reason="goal_reached", message="Thanks. Bye.")),
        ("I am sorry, we cannot do that.", "Goodbye!", UserDone(reason="gave_up", message="Goodbye!")),
        ("I am transferring you now.", "Bye.", UserDone(reason="transferred", message="Bye.")),
        ("Done. Is there anything else?", "No, bye.", UserDone(reason="goal_reached", message="No, bye.")),
        ("Anything else?", "No. Thanks. Bye.", UserDone(reason="goal_reached", message="No. Thanks. Bye.")),
        ("Shall I refund it?", "Yes, please. Thank you. Bye.", "Yes, please."),
        ("Shall I refund it?", "Bye.", UserDone(reason="goal_reached", message="Bye.")),
        ("Which order?", "The one from Maybye Street.", "The one from Maybye Street."),
    ],
)
async def test_a_goodbye_ends_the_call_unless_a_question_is_open(agent, line, outcome):
    assert await play(Continuer(line), said("I want a refund", agent)) == outcome


async def test_a_line_that_was_said_before_is_drawn_again_warmer():
    model = Continuer("I want a refund", "My order is 48213")
    assert await play(model, said("I want a refund", "Which order? 48213?")) == "My order is 48213"
    cold, warm = (options for _, options in model.calls)
    assert (cold["temperature"], cold["seed"]) == (0.0, None)
    assert warm["temperature"] > 0
    assert warm["seed"] is not None


@pytest.mark.parametrize("line", ["I want a refund", "", "How can I help you?"])
async def test_a_model_that_gets_nowhere_gives_up_politely(line):
    model = Continuer(line)
    outcome = await play(model, said("I want a refund", "Which order?"))
    assert outcome.reason == "gave_up"
    assert outcome.message.endswith("Bye.")
    assert len(model.calls) == 3


@pytest.mark.parametrize("line", ["It is 77120.", "Order 99123.", "At 9:15."])
async def test_what_nobody_mentioned_is_not_said(line):
    model = Continuer(line, " My name is Ann Lee.")
    assert await play(model, said("I want a refund", "Which order?")) == "I don't have that. My name is Ann Lee."
    assert model.calls[1][0].endswith("Customer: I don't have that.")
    assert await play(Continuer(line), said("I want a refund", "Which order?")) == "I don't have that."
    stubborn = said("I want a refund", "Which order?", "I don't have that.", "Which order?")
    assert (await play(Continuer(line), stubborn)).reason == "gave_up"


async def test_a_long_line_is_not_said_a_third_time():
    line = "I would like my money back"
    outcome = await play(Continuer(line), said(line, "Why?", line, "When?", "Now", "How?", "So", "Well?"))
    assert outcome.reason == "gave_up"


async def test_numbers_that_the_agent_has_said_are_not_made_up():
    assert await play(Continuer("Yes, 77120."), said("Hi", "Is it 77120?")) == "Yes, 77120."


async def test_a_model_that_cannot_even_begin_is_an_error():
    with pytest.raises(SimulatorError, match="tiny did not play the user in 3 tries: it is empty"):
        await play(Continuer(" "), [])


async def test_a_set_temperature_is_used():
    model = Continuer("Hello")
    await play(model, [], temperature=0.8)
    assert model.calls[0][1]["temperature"] == 0.8


async def test_a_failing_model_is_a_simulator_error():
    with pytest.raises(SimulatorError, match="no line"):
        await play(Continuer(ModelUnavailableError("no line", model="tiny")), [])


async def test_completions_are_in_the_journal(tmp_path):
    model = Continuer("I want a refund", "Thank you. Bye.")
    agents = [UserSimulatorAgent(model=model), ScriptedAgent(["Your refund is issued.", "Bye."])]
    result = await duologue.arun("a", "b", agents, verbose=False, record=tmp_path, seed=1)
    calls = [e.event for e in duologue.read_journal(result.journal).entries if e.event.type == "model_called"]
    assert [call.response["content"] for call in calls] == ["I want a refund", "Thank you. Bye."]
