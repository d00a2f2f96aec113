"""A user played by rules: what it hears, what it says, and that it always comes to an end."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import duologue
from duologue import AgendaUser, AgentInput, ScenarioState, Slot, Termination, UserDone
from duologue.agents.users.agenda import Phrases
from duologue.agents.users.agenda_parser import AgentTurnParser, Kind, kind_of, says
from duologue.agents.users.utterances import SUCCESS_PATTERNS, announces
from duologue.context import Context
from duologue.demo.restaurant.dialogue import Dialogue
from duologue.demo.restaurant.store import Store
from duologue.demo.restaurant.tools import Toolbox
from duologue.demo.scenarios import SCENARIOS, TODAY
from duologue.errors import ConfigurationError
from duologue.models.scope import RunScope
from duologue.testing import ScriptedAgent, context

TABLE = {"date": "Friday", "time": "half past seven", "party size": "four", "name": "Anna Berg"}
GOAL = "Book a table."


def user(**options):
    return AgendaUser(GOAL, TABLE, **{"verbosity": "terse", **options})


def conversation(*texts, first="user"):
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]


async def reply(agenda, *texts, first="user", seed=0):
    given_input = AgentInput(
        thread_id="t",
        messages=conversation(*texts, first=first),
        new_messages=[],
        scenario_state=ScenarioState(),
        scope=RunScope(context=Context(seed=seed)),
    )
    return await agenda.call(given_input)


async def test_it_opens_with_its_goal():
    assert await reply(user()) == "Hello, I would like to book a table."
    assert await reply(AgendaUser("I lost my card!")) == "I lost my card."
    assert await reply(user(opening="Hi there")) == "Hi there"


async def test_it_opens_after_a_greeting_and_answers_the_question_in_it():
    assert await reply(user(), "Welcome! How can I help you?", first="agent") == "Hello, I would like to book a table."
    answer = await reply(user(), "Welcome! What is your name?", first="agent")
    assert answer == "Hello, I would like to book a table. Anna Berg"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("At what time would you like to come?", "half past seven"),
        ("For how many people?", "four"),
        ("Which day suits you?", "Friday"),
        ("Under which name may I book it?", "Anna Berg"),
        ("Please tell me the date and the time.", "Friday, half past seven"),
        ("Thank you. I need your name", "Anna Berg"),
        ("When would you like to come?", "Friday, half past seven"),
    ],
)
async def test_it_answers_what_it_is_asked(question, answer):
    assert await reply(user(), "A table please", question) == answer


async def test_own_patterns_templates_and_wordings():
    slot = Slot("time", "19:30", ask=["o'clock"], say="Around {value}, if you can", spoken="half past seven")
    agenda = AgendaUser(GOAL, [slot])
    assert await reply(agenda, "A table", "What o’clock?") == "Around half past seven, if you can"
    again = await reply(agenda, "A table", "What o'clock?", "Around half past seven", "Sorry, what o'clock?")
    assert again == "Around 19:30, if you can"


async def test_what_it_has_said_in_other_words_is_told():
    answer = await reply(user(), "A table for 4 on Friday at 7:30 pm", "Okay, what else?")
    assert answer == "The name is Anna Berg."


@pytest.mark.parametrize("summary", ["So that is a table for 4 on Friday 12 June at 7:30 pm, name Anna Berg."])
@pytest.mark.parametrize("question", ["Shall I book it?", "Is that correct?", "Would you like me to book it?"])
async def test_it_agrees_when_all_is_right(summary, question):
    said = "four on Friday at half past seven, Anna Berg"
    assert await reply(user(), said, f"{summary} {question}") == "Yes, please."
    refused = await reply(user(confirm=False), said, f"{summary} {question}")
    assert refused.reason == "gave_up"
    assert "changed my mind" in refused.message


@pytest.mark.parametrize(
    ("summary", "correction"),
    [
        ("So that is a table for 4 on Friday at 8:30 pm, name Anna Berg. Shall I book it?", "time is half past seven"),
        ("So that is a table for two on Friday. Is that right?", "party size is four"),
        ("You said Saturday, at 7:30 pm. Correct?", "date is Friday"),
        ("Your table is booked for Friday at 7:30 pm, name Hannah Beck.", "name is Anna Berg"),
    ],
)
async def test_it_corrects_what_is_restated_wrongly(summary, correction):
    said = "four on Friday at half past seven, Anna Berg"
    assert await reply(user(), said, summary) == f"No, the {correction}."


async def test_offers_of_other_values_are_no_mistakes():
    offer = "I am sorry, at 7:30 pm we are fully booked. I could offer 6 pm or 9 pm. What time suits you?"
    assert await reply(user(), "four on Friday at half past seven", offer) == "half past seven"


async def test_what_the_agent_assumes_wrongly_is_corrected_before_it_is_told():
    summary = "So that is a table for 2 on Friday. Shall I book it?"
    assert await reply(user(), "A table", summary) == "No, the party size is four."


async def test_what_the_agent_rules_out_is_no_mistake():
    said = "four on Friday at half past seven, Anna Berg"
    assert await reply(user(), said, "Sorry, 8:30 pm is taken. Shall I book it?") == "Yes, please."


async def test_saying_the_same_again_is_of_no_use():
    agenda = user(patience=1)
    assert await reply(agenda, "A table", "Hm.") == "The date is Friday."
    assert await reply(agenda, "A table", "Hm.", "Friday", "Well.") == "The time is half past seven."
    assert (await reply(agenda, "A table", "Hm.", "Friday", "Hm.")).reason == "gave_up"


async def test_chance_is_drawn_anew_for_each_turn():
    agenda, talk = AgendaUser(GOAL, TABLE), ["A table"]
    answers = set()
    for number in range(12):
        answers.add(await reply(agenda, *talk, "Your name?"))
        talk += ["I see.", f"Well, {number}"]
    assert len(answers) > 1


async def test_own_patterns_find_restated_values():
    agenda = AgendaUser(GOAL, [Slot("size", "large", restated=[r"a (\w+) pizza"])])
    assert await reply(agenda, "a large pizza", "So that is a small pizza. Right?") == "No, the size is large."
    assert await reply(agenda, "a large pizza", "So that is a large pizza. Right?") == "Yes, please."


@pytest.mark.parametrize(
    "text",
    [
        "Your table is booked.",
        "Your booking has been confirmed: Friday.",
        "All booked!",
        "I've just reserved it for you.",
    ],
)
async def test_it_says_goodbye_when_the_goal_is_reached(text):
    outcome = await reply(user(), "A table", text)
    assert outcome == UserDone(reason="goal_reached", message="Thank you, bye.")


@pytest.mark.parametrize(
    "text",
    [
        "Shall I say that it is booked?",
        "We are fully booked on Friday.",
        "Your table is not confirmed.",
        "Once it is confirmed, you will get a mail.",
        "I'm sorry, that table is reserved.",
    ],
)
def test_what_is_asked_denied_or_supposed_is_no_success(text):
    assert not announces(text, SUCCESS_PATTERNS)


async def test_own_success_patterns():
    agenda = AgendaUser("order a pizza", success_patterns=["on the way"])
    assert (await reply(agenda, "A pizza", "It is on the way.")).reason == "goal_reached"
    assert await reply(agenda, "A pizza", "It is booked.") == "Okay."


async def test_after_success_there_is_nothing_else():
    outcome = await reply(user(), "A table", "It is booked. What is your name?", "Anna Berg", "Anything else?")
    assert outcome.reason == "goal_reached"
    assert await reply(AgendaUser(GOAL), "A table", "Anything else?") == "I would still like to book a table."


async def test_it_knows_when_it_is_handed_over():
    outcome = await reply(user(), "A table", "I am transferring you to a colleague.")
    assert outcome.reason == "transferred"
    assert await reply(user(), "A table", "Shall I transfer you to a colleague?") == "Yes, please."


async def test_it_loses_patience_after_useless_answers():
    texts = ["A table for four on Friday at half past seven for Anna Berg", "Hm."]
    assert await reply(user(patience=2), *texts) == "Okay."
    assert (await reply(user(patience=2), *texts, "Okay.", "Well.")).reason == "gave_up"
    assert await reply(user(patience=2), *texts, "Okay.", "Shall I book it?") == "Yes, please."


async def test_it_does_not_know_what_it_was_not_told():
    assert await reply(AgendaUser(GOAL), "A table", "What is your shoe size?") == "I don't know."


async def test_a_user_who_does_not_cooperate_asks_why_once_and_offers_nothing():
    agenda = user(cooperation=0.0)
    assert await reply(agenda, "A table", "What is your name?") == "Why do you need that?"
    answer = await reply(
        agenda, "A table", "What is your name?", "Why do you need that?", "For the booking. Your name?"
    )
    assert answer == "Anna Berg"
    assert await reply(agenda, "A table", "I see.") == "Okay."


async def test_a_chatty_user_adds_what_was_not_asked_for():
    assert await reply(user(verbosity="chatty"), "A table", "Your name?") in {
        f"{said} The date is Friday." for said in ("Anna Berg.", "It's Anna Berg.", "Anna Berg, please.")
    }


async def test_phrases_for_another_language():
    german = Phrases(opening="Guten Tag, ich möchte {goal}.", answers=["{value}, bitte."])
    agenda = AgendaUser("einen Tisch", [Slot("Name", "Anna Berg", ask=["wie heißen"])], phrases=german)
    assert await reply(agenda) == "Guten Tag, ich möchte einen Tisch."
    assert await reply(agenda, "Guten Tag", "Wie heißen Sie?") == "Anna Berg, bitte."


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AgendaUser(" "), "goal is empty"),
        (lambda: user(patience=0), "patience must be 1"),
        (lambda: user(cooperation=1.5), "cooperation must be from 0 to 1"),
        (lambda: user(verbosity="loud"), "verbosity must be"),
        (lambda: user(success_patterns=["("]), "success_patterns: '\\(' is not a regular expression"),
        (lambda: user(success_patterns="booked"), "expected a list of regular expressions"),
        (lambda: Slot("", "x"), "needs a name and a value"),
        (lambda: Slot("a", "x", ask=["["]), "slot 'a': "),
        (lambda: Slot("a", "x", restated=["gate"]), "slot 'a': 'gate' has no group around the value"),
        (lambda: Slot("a", "x", restated=["(?:gate) x"]), "has no group around the value"),
        (lambda: Slot("a", "x", say="{valu}"), "cannot be filled in"),
        (lambda: AgendaUser("x", [Slot("a", "1"), Slot("a", "2")]), "a given more than once"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=message):
        build()


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.TIME, "half past seven", "at 19:30"),
        (Kind.TIME, "7 pm", "seven o'clock"),
        (Kind.TIME, "quarter to eight", "7.45 p.m."),
        (Kind.COUNT, "four", "a table for 4"),
        (Kind.COUNT, "2", "two of us"),
        (Kind.PHONE, "555-0199 22", "call 555 0199 22"),
        (Kind.EMAIL, "Sam@Example.com", "it is sam@example.com."),
        (Kind.OTHER, "12 Harbour Street", "to 12 harbour street, please"),
    ],
)
def test_values_mean_the_same_in_other_words(kind, value, text):
    assert says(text, kind, value)
    assert not says("nothing of the kind", kind, value)


def test_a_value_that_is_not_what_its_name_says_is_compared_as_words():
    assert kind_of("date", "tomorrow") is Kind.OTHER
    assert kind_of("partySize", "four") is Kind.COUNT
    assert kind_of("booking_time", "whenever") is Kind.OTHER


class Restaurant(duologue.AgentAdapter):
    def __init__(self):
        self.dialogue = Dialogue(Toolbox(Store(TODAY)), TODAY)

    async def call(self, input):
        return self.dialogue.reply(input.last_new_user_message_str())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("verbosity", ["terse", "normal", "chatty"])
async def test_it_gets_what_it_wants_from_a_real_agent(scenario, verbosity):
    opening = [step for line in scenario.lines for step in (duologue.user(line), duologue.agent())]
    result = await duologue.arun(
        scenario.name,
        scenario.description,
        [Restaurant(), AgendaUser(scenario.goal, scenario.slots, verbosity=verbosity)],
        script=[*opening, duologue.proceed()],
        max_turns=20,
        verbose=False,
        context=context(),
    )
    assert result.termination is Termination.USER_DONE
    assert "Thank you, bye." in [message["content"] for message in result.messages]


PHRASES = st.sampled_from(
    [
        "What is your name?",
        "Your name?",
        "For how many people?",
        "Which date?",
        "What time, and which day?",
        "So that is a table for 2 on Monday at 9 pm, name Bob Dole. Shall I book it?",
        "Shall I book it?",
        "Is that right?",
        "I am sorry, we are fully booked.",
        "Is there anything else?",
        "Hm.",
        "One moment.",
        "Your table for nine is booked.",
        "Do you have a dog?",
        "",
    ]
)


async def played_out(agenda, next_text, seed, limit):
    """The conversation with an agent that says whatever it says, and how it ended."""
    messages = []
    scope = RunScope(context=Context(seed=seed))
    for turn in range(limit):
        given_input = AgentInput(
            thread_id="t", messages=list(messages), new_messages=[], scenario_state=ScenarioState(), scope=scope
        )
        said = await agenda.call(given_input)
        if isinstance(said, UserDone):
            return messages, said
        assert said
        messages.append({"role": "user", "content": said})
        messages.append({"role": "assistant", "content": next_text(turn)})
    raise AssertionError(f"no end after {limit} turns")


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(), seed=st.integers(0, 2**32), patience=st.integers(1, 4), cooperation=st.sampled_from([0.0, 0.5, 1.0])
)
def test_it_comes_to_an_end_whatever_the_agent_says(data, seed, patience, cooperation):
    pool = data.draw(st.lists(st.one_of(PHRASES, st.text(max_size=40)), min_size=1, max_size=8))
    agenda = user(patience=patience, cooperation=cooperation, verbosity=data.draw(st.sampled_from(["terse", "chatty"])))
    # Numbered, so that no turn of the agent is like another.
    limit = (3 * len(TABLE) + 4) * patience + patience + 1
    messages, end = asyncio.run(played_out(agenda, lambda turn: f"{pool[turn % len(pool)]} ({turn})", seed, limit))
    again = asyncio.run(played_out(agenda, lambda turn: f"{pool[turn % len(pool)]} ({turn})", seed, limit))
    assert again == (messages, end)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_parsing_survives_any_text(text):
    slots = tuple(Slot(name, value) for name, value in TABLE.items())
    AgentTurnParser(slots=slots).parse(text)


async def test_a_silent_agent_is_left():
    agents = [user(patience=3), ScriptedAgent([[]], repeat=True)]
    result = await duologue.arun("a", "b", agents, max_turns=10, verbose=False, context=context())
    said = [message["content"] for message in result.messages]
    assert said[1:3] == ["Hello?", "Hello?"]
    assert len(said) == 4
    assert result.termination is Termination.USER_DONE


async def test_another_seed_may_speak_in_other_words():
    agenda = AgendaUser(GOAL, TABLE)
    answers = {await reply(agenda, "A table", "Your name?", seed=seed) for seed in range(20)}
    assert answers == {"Anna Berg.", "It's Anna Berg.", "Anna Berg, please."}


async def test_one_object_serves_many_runs_at_once():
    agenda = AgendaUser(GOAL, TABLE, verbosity="terse")
    numbers = count()

    class Asking(duologue.AgentAdapter):
        def __init__(self):
            self.questions = ["Which day?", "What time?", "How many people?", "What name?", "It is booked."]
            self.shift = next(numbers) % 4

        async def call(self, input):
            await asyncio.sleep(0)
            turn = sum(message["role"] == "assistant" for message in input.messages)
            return self.questions[(turn + self.shift) % 4] if turn < 4 else self.questions[min(turn, 4)]

    results = await asyncio.gather(
        *(duologue.arun("a", "b", [agenda, Asking()], verbose=False, seed=seed) for seed in range(20))
    )
    values = list(TABLE.values())
    for index, result in enumerate(results):
        said = [message["content"] for message in result.messages if message["role"] == "user"]
        shift = index % 4
        assert said[1:] == [*values[shift:], *values[:shift], "Thank you, bye."]


@pytest.mark.parametrize(
    "given",
    [
        {"slots": [Slot("gate", "B7", ask=["(a|aa)+$"])]},
        {"slots": [Slot("gate", "B7", restated=["(a|aa)+$"])]},
        {"success_patterns": ["(a|aa)+$"]},
        {"transfer_patterns": ["(a|aa)+$"]},
        {"question_patterns": ["(a|aa)+$"]},
    ],
)
async def test_a_pattern_that_needs_years_on_the_agents_words_ends_the_run_with_its_name(given):
    endless = f"So that is {'a' * 60}! And {'a' * 60}! What is {'a' * 60}, sir?"
    with pytest.raises(ConfigurationError, match=r"pattern '\(a\|aa\)\+\$' took longer than"):
        await reply(AgendaUser("fly", **{"slots": {}, **given}), "Hello?", endless)


async def test_a_group_that_takes_no_part_finds_nothing():
    slot = Slot("gate", "B7", restated=[r"gate (?:none|(\w\d))"])
    assert "no" not in (await reply(AgendaUser("fly", [slot]), "Hello?", "So that is gate none, right?")).lower()
