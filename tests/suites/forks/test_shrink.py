"""The shortest script that still fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from forked_agents import Keeper

from duologue.errors import ConfigurationError
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.forks.facts import facts_of, with_facts
from duologue.suites.forks.shrink import ShrinkOptions, failures_in, shrink
from duologue.suites.manifests.loader import load
from duologue.suites.manifests.writer import write_suite
from duologue.vocabulary import Verdict

TALK = [
    "Hello, I would like a table for four",
    "On Friday at half past seven",
    "My son has an allergy to nuts",
    "Is there parking near you?",
    "Do you have a high chair?",
    "What is the soup of the day?",
    "May we bring our dog?",
    "Please change the time to eight",
    "Is there a menu for children?",
    "Could you confirm everything now?",
    "Do you take cards?",
    "Thank you, bye",
]
EXCLUDES = {"type": "content_excludes", "params": {"patterns": ["nut cake"]}, "message": "no nuts"}


class Forgetful(Keeper):
    """Forgets the allergy when the time is changed after it."""

    async def call(self, input: Any) -> str:
        said = " / ".join(str(item.get("content")) for item in input.messages if item["role"] == "user").lower()
        return "We have nut cake." if re.search(r"allergy.*change", said) else "Fine."


def scenario(**fields: Any) -> dict[str, Any]:
    return {"name": "dinner", "turns": [{"content": line} for line in TALK], "checks": [EXCLUDES], **fields}


async def reduced(recorded: Any, **options: Any) -> Any:
    return await shrink(
        recorded.engine,
        recorded.run.case,
        recorded.entries,
        failures_in(recorded.run),
        ShrinkOptions(**{"trials": 2, **options}),
    )


def lines(found: Any) -> list[str]:
    return [turn.content for turn in found.scenario.turns]


async def test_twelve_turns_are_reduced_to_the_two_that_matter(record: Any, tmp_path: Path) -> None:
    recorded = await record(Forgetful, scenarios=[scenario()])
    found = await reduced(recorded, words=False)
    assert lines(found) == [TALK[2], TALK[7]]
    assert (found.turns_before, found.turns) == (12, 2)
    assert found.failures == (("check", "no nuts"),)
    assert (found.failing.successes, found.failing.total) == (2, 2)
    assert not found.notes
    assert found.runs < 150


async def test_words_are_left_out_and_what_is_written_fails_again(record: Any, tmp_path: Path) -> None:
    recorded = await record(Forgetful, agents=[{"name": "bot", "target": "x:y"}], scenarios=[scenario()])
    found = await reduced(recorded)
    assert lines(found) == ["allergy", "change"]
    assert (found.words_before, found.words) == (sum(len(line.split()) for line in TALK), 2)
    path = tmp_path / "kept" / "case.suite.yaml"
    path.parent.mkdir()
    write_suite(found.suite, path)
    suite = load(path)
    assert [item.tags for item in suite.scenarios] == [("regression",)]
    assert "null" not in path.read_text()
    engine = Engine.from_parts(suite, agents={"bot": Forgetful})
    [run] = (await engine.execute()).runs
    assert failures_in(run) == {("check", "no nuts")}


async def test_turns_with_a_text_are_kept(record: Any) -> None:
    recorded = await record(Forgetful, scenarios=[scenario()])
    found = await reduced(recorded, words=False, keep=["parking", "cards"])
    assert lines(found) == [TALK[2], TALK[3], TALK[7], TALK[10]]


async def test_a_recorded_simulated_user_becomes_lines(record: Any) -> None:
    guest = {"name": "guest", "lines": TALK, "headers": {}}
    recorded = await record(
        Forgetful, personas=[guest], scenarios=[{"name": "dinner", "personas": ["guest"], "checks": [EXCLUDES]}]
    )
    found = await reduced(recorded, words=False)
    assert lines(found) == [TALK[2], TALK[7]]
    assert (found.scenario.personas, found.suite.personas) == ((), ())


async def test_checks_stay_with_their_turns(record: Any) -> None:
    turns = [{"content": line} for line in TALK]
    turns[9]["checks"] = [EXCLUDES]
    recorded = await record(Forgetful, scenarios=[scenario(turns=turns, checks=[])])
    found = await reduced(recorded, words=False)
    assert lines(found) == [TALK[2], TALK[7], TALK[9]]


@pytest.mark.parametrize(
    ("persona", "keys"),
    [
        (
            {"description": "A. B!", "facts": {"x": "1"}, "goals": ["g"], "constraints": ["c"]},
            ["A.", "B!", "x", "g", "c"],
        ),
        ({"style": {"friction_tags": ["slow", "deaf"]}}, ["slow", "deaf"]),
        ({"lines": ["a", "b"]}, ["0", "1"]),
        ({"agenda": {"goal": "g", "slots": {"s": "1"}}}, ["s"]),
    ],
)
def test_every_fact_of_a_persona_can_be_left_out(persona: dict[str, Any], keys: list[str]) -> None:
    suite = Suite.model_validate(
        {
            "name": "s",
            "personas": [{"name": "p", **persona}],
            "scenarios": [{"name": "d", "personas": ["p"], "description": "Now. Then."}],
        }
    )
    [scenario], [who] = suite.scenarios, suite.personas
    facts = facts_of(scenario, who)
    assert [fact.key for fact in facts] == ["Now.", "Then.", *keys]
    assert with_facts(scenario, who, facts) == {"scenario": scenario, "persona": who}
    for fact in facts:
        left = [item for item in facts if item != fact]
        told = with_facts(scenario, who, left)
        assert facts_of(told["scenario"], told["persona"]) in (left, [*facts[:2], facts[2]])


async def test_facts_of_a_simulated_user_are_reduced(record: Any) -> None:
    class OnlyNow(Keeper):
        """Fails with a user who is asked each time, and never with lines from the script."""

        async def call(self, input: Any) -> str:
            view = input.scenario_state.view
            simulated = any(record.author is not None and record.message["role"] == "user" for record in view.records)
            said = " ".join(str(item.get("content")) for item in input.messages if item["role"] == "user")
            return "We have nut cake." if simulated and "nuts" in said else "What else may I know?"

    slots = {"allergy": "nuts", "party size": "four", "parking": "yes", "dog": "small"}
    guest = {"name": "guest", "agenda": {"goal": "eat", "slots": slots}}
    recorded = await record(
        OnlyNow,
        personas=[guest],
        scenarios=[
            {"name": "dinner", "description": "A family. They eat.", "personas": ["guest"], "checks": [EXCLUDES]}
        ],
    )
    assert recorded.run.verdict is Verdict.FAIL
    found = await reduced(recorded)
    [persona] = found.suite.personas
    assert [slot.name for slot in persona.agenda.slots] == ["allergy"]
    assert (found.facts_before, found.facts, found.turns, found.scenario.description) == (6, 1, None, "")


async def test_another_failure_is_not_taken_for_the_same(record: Any) -> None:
    wants = {"type": "content_includes_any", "params": {"patterns": ["Fine"]}, "message": "is fine"}

    class Broken(Forgetful):
        async def call(self, input: Any) -> str:
            answer = await super().call(input)
            return "Fine." if len(input.messages) < 3 else answer

    recorded = await record(Broken, scenarios=[scenario(checks=[EXCLUDES, wants])])
    assert failures_in(recorded.run) == {("check", "no nuts")}
    assert lines(await reduced(recorded, words=False)) == [TALK[2], TALK[7]]


async def test_something_missing_is_said_and_a_right_agent_keeps_the_request(record: Any) -> None:
    wants = {"type": "content_includes_any", "params": {"patterns": ["confirmed"]}, "message": "confirms"}

    class Right(Keeper):
        async def call(self, input: Any) -> str:
            said = " ".join(str(item.get("content")) for item in input.messages if item["role"] == "user").lower()
            return "It is confirmed." if "confirm" in said else "Fine."

    recorded = await record(
        Forgetful, agents=[{"name": "right", "target": "x:y"}], scenarios=[scenario(checks=[wants], agents=["bot"])]
    )
    found = await reduced(recorded, words=False)
    assert found.turns == 1
    assert "says nothing fails in the same way" in found.notes[0]
    from duologue.suites.execution.parts import parts_of

    engine = recorded.engine
    engine.parts = type(engine.parts)(agents={**engine.parts.agents, **parts_of({"right": Right}, {}).agents})
    found = await reduced(recorded, words=False, reference="right")
    assert lines(found) == [TALK[9]]
    assert not found.notes


@pytest.mark.parametrize(("share", "again"), [(0.3, True), (1.0, False)])
async def test_a_failure_must_come_again_often_enough(record: Any, share: float, again: bool) -> None:
    class Flaky(Keeper):
        async def call(self, input: Any) -> str:
            Keeper.seen.append([])
            return "nut cake" if len(Keeper.seen) % 2 else "Fine."

    Keeper.seen.clear()
    recorded = await record(Flaky, scenarios=[scenario(turns=[{"content": "a b"}])])
    if not again:
        with pytest.raises(ConfigurationError, match=r"does not come again .* in 6 of 6 trials"):
            await reduced(recorded, share=share, trials=6)
        return
    found = await reduced(recorded, share=share, trials=6)
    assert found.scenario.trials == 6


async def test_runs_that_end_in_an_error_are_reduced_too(record: Any) -> None:
    class Breaks(Keeper):
        async def call(self, input: Any) -> str:
            if "dog" in str(input.messages[-1].get("content")):
                raise KeyError("dog")
            return "Fine."

    found = await reduced(await record(Breaks, scenarios=[scenario()]))
    assert (lines(found), found.failures) == (["dog?"], (("error", "AgentError"),))


async def test_the_number_of_runs_is_limited_and_said(record: Any) -> None:
    found = await reduced(await record(Forgetful, scenarios=[scenario()]), most_runs=10)
    assert found.runs < 20
    assert found.turns <= 12
    assert "Stopped after" in found.notes[0]


async def test_what_cannot_be_reduced_is_refused(record: Any) -> None:
    passed = await record(Keeper, scenarios=[scenario()])
    with pytest.raises(ConfigurationError, match="did not fail"):
        await reduced(passed)
    failed = await record(Forgetful, scenarios=[scenario()])
    with pytest.raises(ConfigurationError, match=r"'else' did not fail in this run\. What failed: no nuts"):
        await reduced(failed, failures=["else"])
