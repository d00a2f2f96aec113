"""Personas with lines or an agenda: who speaks, what a suite without models may say, and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from duologue.agents.users.agenda import AgendaUser, Phrases, Slot
from duologue.specs.suite import Suite
from duologue.specs.users import Agenda, AgendaPhrases, AgendaSlot
from duologue.suites.execution.preflight import looked_up
from duologue.suites.manifests.loader import validate
from duologue.suites.plan.build import generate_plan
from duologue.suites.plan.estimate import estimate
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import Definitions, RunOptions

Put = Callable[[str, str], Path]
BOT = {"name": "bot", "target": "bot.py:answer"}
CHECK = {"type": "content_excludes", "params": {"patterns": ["traceback"]}}
CODE = """
ANSWERS = ["For how many people, and at what time?", "So that is a table for 4 at 8:30 pm. Shall I book it?",
           "Sorry. A table for 4 at 7:30 pm. Is that right?", "Your table is booked.", "Goodbye."]
def answer(input):
    said = sum(message["role"] == "assistant" for message in input.messages)
    return ANSWERS[min(said, 4)]
"""
GUEST: dict[str, Any] = {"name": "guest", "agenda": {"goal": "book a table", "verbosity": "terse"}}
SLOTS = {"party size": "four", "time": "half past seven"}
READER: dict[str, Any] = {"name": "reader", "lines": ["One.", "Two.", "Three."]}


@pytest.fixture(autouse=True)
def _bot(put: Put) -> None:
    put("bot.py", CODE)


def suite(*personas: dict[str, Any], **scenario: Any) -> dict[str, Any]:
    held = {"personas": [item["name"] for item in personas], "checks": [CHECK], **scenario}
    return {"agents": [BOT], "personas": list(personas), "scenarios": [{"name": "talk", **held}]}


def lines(run: RunResult) -> list[Any]:
    return [item.message.get("content") for item in run.messages if item.message["role"] == "user"]


@pytest.mark.parametrize("slots", [SLOTS, [{"name": name, "value": value} for name, value in SLOTS.items()]])
async def test_an_agenda_is_followed_without_any_model(play: Any, slots: Any) -> None:
    guest = {"name": "guest", "agenda": {**GUEST["agenda"], "slots": slots}}
    (run,) = (await play(**suite(guest))).runs
    assert lines(run) == [
        "Hello, I would like to book a table.",
        "four, half past seven",
        "No, the time is half past seven.",
        "Yes, please.",
        "Thank you, bye.",
    ]
    assert (run.persona, run.self_play, run.status.value, run.verdict) == ("guest", True, "completed", "pass")


async def test_lines_are_said_in_order_and_then_the_user_is_done(play: Any) -> None:
    (run,) = (await play(**suite(READER))).runs
    assert lines(run) == READER["lines"]
    assert run.termination == "user_done"


async def test_each_persona_has_its_own_place_in_its_lines(play: Any) -> None:
    other = {"name": "other", "lines": ["A.", "B."]}
    said = {"role": "simulated_user"}
    turns = [said, {**said, "persona": "other"}, {"content": "Fixed."}, said, {**said, "persona": "other"}]
    made = suite(READER, turns=turns)
    made["personas"].append(other)
    (run,) = (await play(**made)).runs
    assert lines(run) == ["One.", "A.", "Fixed.", "Two.", "B."]


async def test_more_exchanges_than_lines_end_the_turn_and_the_next_goes_on(play: Any) -> None:
    turns = [{"role": "simulated_user", "exchanges": 9}, {"content": "And now?"}]
    (run,) = (await play(**suite(READER, turns=turns))).runs
    assert lines(run)[:3] == READER["lines"]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"lines": ["x"], "agenda": {"goal": "y"}},
        "personas[0]",
        "only one of lines, agenda and attack; it has lines and agenda",
    ),
    ({"lines": ["x"], "facts": {"a": "b"}}, "personas[0]", "no facts with lines"),
    (
        {"agenda": {"goal": "y"}, "system_prompt": "z", "goals": ["g"]},
        "personas[0]",
        "no goals, system_prompt with agenda",
    ),
    ({"lines": []}, "personas[0].lines", "at least one item"),
    ({"lines": "x"}, "personas[0].lines", "Begin each item with '- '"),
    ({"lines": [1]}, "personas[0].lines[0]", "Put it in quotes"),
    ({"agenda": {}}, "personas[0].agenda.goal", "is missing"),
    ({"agenda": {"goal": " ."}}, "personas[0].agenda.goal", "what the user wants"),
    ({"agenda": {"goal": "x", "patience": 0}}, "personas[0].agenda.patience", "1"),
    ({"agenda": {"goal": "x", "patience": "3"}}, "personas[0].agenda.patience", "expected a whole number"),
    ({"agenda": {"goal": "x", "cooperation": 1.5}}, "personas[0].agenda.cooperation", "1"),
    ({"agenda": {"goal": "x", "verbosity": "loud"}}, "personas[0].agenda.verbosity", "terse"),
    ({"agenda": {"goal": "x", "patiance": 1}}, "personas[0].agenda.patiance", "did you mean 'patience'"),
    ({"agenda": {"goal": "x", "slots": {"size": 4}}}, "personas[0].agenda.slots.size", 'Put it in quotes: "4"'),
    ({"agenda": {"goal": "x", "slots": {"size": None}}}, "personas[0].agenda.slots.size", "Give it a value"),
    ({"agenda": {"goal": "x", "slots": ["size"]}}, "personas[0].agenda.slots[0]", "Fields here: name, value"),
    ({"agenda": {"goal": "x", "slots": [{"name": "a"}]}}, "personas[0].agenda.slots[0].value", "is missing"),
    (
        {"agenda": {"goal": "x", "slots": [{"name": "a", "value": "b", "ask": ["("]}]}},
        "personas[0].agenda.slots[0].ask[0]",
        "a regular expression",
    ),
    (
        {"agenda": {"goal": "x", "slots": [{"name": "a", "value": "b", "restated": ["gate"]}]}},
        "personas[0].agenda.slots[0].restated[0]",
        "a group around the value",
    ),
    (
        {"agenda": {"goal": "x", "slots": [{"name": "a", "value": "b", "say": "{goal}"}]}},
        "personas[0].agenda.slots[0].say",
        "{value} and {name}",
    ),
    ({"agenda": {"goal": "x", "success_patterns": ["*"]}}, "personas[0].agenda.success_patterns[0]", "a regular"),
    ({"agenda": {"goal": "x", "phrases": {"offer": "{x}"}}}, "personas[0].agenda.phrases.offer", "{value} and {name}"),
]


def written(put: Put, made: dict[str, Any]) -> Path:
    spec = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": made}
    return put("suite.yaml", yaml.safe_dump(spec, sort_keys=False))


@pytest.mark.parametrize(("fields", "field", "told"), REFUSED)
def test_a_mistake_is_reported_where_it_is(put: Put, fields: dict[str, Any], field: str, told: str) -> None:
    report = validate(written(put, suite({"name": "guest", **fields})))
    errors = [item for item in report.problems if item.severity == "error"]
    assert [item.position.field for item in errors] == [f"spec.{field}"]
    assert told in errors[0].message
    assert errors[0].position.line > 1


def test_a_simulator_beside_a_persona_that_needs_none_is_refused(put: Put) -> None:
    turns = [{"role": "simulated_user", "simulator": "actor", "user_temperature": 0.5}]
    made = {**suite(READER, turns=turns), "simulators": [{"name": "actor", "model": "mock"}]}
    told = str(validate(written(put, made)))
    assert "turns[0].simulator: the persona 'reader' has lines, so no simulator plays the user here" in told
    assert "turns[0].user_temperature: the persona 'reader' has lines" in told


def test_of_several_simulators_none_needs_to_be_named_where_none_is_used(put: Put) -> None:
    simulators = [{"name": name, "model": "mock"} for name in ("one", "two")]
    made = {**suite(READER, turns=[{"role": "simulated_user"}]), "simulators": simulators}
    assert validate(written(put, made)).ok
    made = {**suite(READER, {"name": "anna"}, turns=[{"role": "simulated_user"}]), "simulators": simulators}
    assert "several simulators" in str(validate(written(put, made)))


@pytest.mark.parametrize("turns", [[], [{"role": "simulated_user"}]])
def test_only_a_persona_that_a_model_plays_needs_a_model(put: Put, turns: list[Any]) -> None:
    assert looked_up(validate(written(put, suite(READER, GUEST, turns=turns)))).ok
    report = looked_up(validate(written(put, suite(READER, {"name": "anna"}, turns=turns))))
    assert "The simulated user needs a model" in str(report)
    assert "a persona with lines or an agenda" in str(report)


def test_the_estimate_counts_no_call_for_them() -> None:
    made = Suite.model_validate({"name": "s", **suite(READER, GUEST, {"name": "anna"})})
    plan = generate_plan(made, seed=1)
    found = estimate(made, plan, concurrency=1, now=0.0)
    assert found.user.calls == 10


@pytest.mark.parametrize(
    ("persona", "change"),
    [
        (READER, {"lines": ["One.", "Two.", "Four."]}),
        (GUEST, {"agenda": {**GUEST["agenda"], "patience": 2}}),
        (GUEST, {"agenda": {**GUEST["agenda"], "slots": SLOTS}}),
        (GUEST, {"agenda": {**GUEST["agenda"], "phrases": {"yes": "Yes."}}}),
    ],
)
def test_a_finished_case_holds_only_as_long_as_its_user_is_the_same(persona: Any, change: dict[str, Any]) -> None:
    def definition(**fields: Any) -> Any:
        made = Suite.model_validate({"name": "s", **suite({**persona, **fields})})
        (case,) = generate_plan(made, seed=1).cases
        return Definitions(made, RunOptions()).of(case)

    assert definition() == definition(labels={"tier": "1"})
    assert definition()["simulated user"] != definition(**change)["simulated user"]


def test_a_file_has_all_that_the_library_has() -> None:
    import inspect

    options = set(inspect.signature(AgendaUser).parameters) - {"name"}
    assert set(Agenda.model_fields) == options
    assert set(AgendaSlot.model_fields) == set(inspect.signature(Slot).parameters)
    assert set(AgendaPhrases.model_fields) == set(inspect.signature(Phrases).parameters)
    defaults = {name: item.default for name, item in inspect.signature(AgendaUser).parameters.items()}
    made = Agenda(goal="x")
    for name in ("patience", "cooperation", "verbosity", "confirm", "closing"):
        assert getattr(made, name) == defaults[name]


def test_the_schema_says_the_phrases_that_are_used(put: Put) -> None:
    from duologue.suites.manifests.schemas import definitions

    described = definitions()["AgendaPhrases"]["properties"]
    for name, value in vars(Phrases()).items():
        for text in [value] if isinstance(value, str) else value:
            assert text in " ".join(described[name]["description"].split())
