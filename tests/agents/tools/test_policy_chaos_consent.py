import asyncio
from typing import Any

import pytest
from journal_notes import note_fields

from duologue.agents.tools.toolbox import Toolbox
from duologue.messages import tool_call
from duologue.models.scope import RunScope
from duologue.specs.prompts import Tool
from duologue.specs.scenario import Chaos, ToolFailure, ToolPolicy, Turn
from duologue.specs.suite import Suite
from duologue.testing import context, run_virtual

SEARCH = Tool(name="search", description="d", mock_result=[1])


def turn(*failures: ToolFailure, **fields: Any) -> Turn:
    return Turn(content="hello", chaos=Chaos(tool_failures=failures), **fields)


async def test_one_call_more_than_a_turn_allows_is_refused_and_the_next_turn_begins_anew(desk_of: Any) -> None:
    desk = desk_of(SEARCH)
    policy = ToolPolicy(max_tool_calls_per_turn=2)
    answers = [await desk("search", {"n": n}, policy=policy) for n in range(3)]
    assert [answer.error is None for answer in answers] == [True, True, False]
    assert answers[2].error == (
        "Tool search is refused by policy: max_tool_calls_per_turn is 2, and 2 such calls were made"
    )
    assert answers[2].content == f"Error: {answers[2].error}"
    desk.next_turn()
    assert (await desk("search", policy=policy)).error is None
    assert [event.error is None for event in desk.calls] == [True, True, False, True]


async def test_total_is_counted_over_all_turns(desk_of: Any) -> None:
    desk, policy, errors = desk_of(SEARCH), ToolPolicy(max_total_tool_calls=2), []
    for _ in range(3):
        errors.append((await desk("search", policy=policy)).error)
        desk.next_turn()
    assert errors[:2] == [None, None]
    assert "max_total_tool_calls is 2" in errors[2]


async def test_limit_of_zero_refuses_every_call(desk_of: Any) -> None:
    assert (
        "max_total_tool_calls is 0"
        in (await desk_of(SEARCH)("search", policy=ToolPolicy(max_total_tool_calls=0))).error
    )


async def test_the_same_call_again_and_again_is_refused_however_it_is_written(desk_of: Any) -> None:
    desk, policy = desk_of(SEARCH), ToolPolicy(max_identical_tool_calls=2)
    assert (await desk("search", '{"a": 1, "b": 2}', policy=policy)).error is None
    assert (await desk("search", '{"b":2,"a":1}', policy=policy)).error is None
    assert (await desk("search", {"a": 1}, policy=policy)).error is None
    assert "max_identical_tool_calls is 2" in (await desk("search", {"a": 1, "b": 2}, policy=policy)).error
    desk.next_turn()
    assert (await desk("search", {"a": 1, "b": 2}, policy=policy)).error is None


async def test_blocked_tool_is_refused_and_does_not_count(desk_of: Any) -> None:
    desk = desk_of(SEARCH, Tool(name="bad", description="d"))
    policy = ToolPolicy(blocklist=["bad"], max_total_tool_calls=1)
    answer = await desk("bad", policy=policy)
    assert (answer.error, answer.content) == ("Tool bad is blocked by policy", "Error: Tool bad is blocked by policy")
    assert (await desk("search", policy=policy)).error is None


async def test_each_run_has_counts_of_its_own(make_suite: Any) -> None:
    box, policy = Toolbox(make_suite(SEARCH)), ToolPolicy(max_total_tool_calls=1)
    for _ in range(2):
        session = box.session()
        assert (await session.call(tool_call("search", {}, "c"), policy=policy)).error is None
        assert (await session.call(tool_call("search", {}, "c"), policy=policy)).error


@pytest.mark.parametrize(
    ("mode", "message", "told"),
    [
        ("error", None, "chaos: tool search failed with injected error"),
        ("timeout", None, "chaos: tool search timed out (injected)"),
        ("error", "the database is down", "the database is down"),
    ],
)
async def test_injected_failure_is_told_and_noted(desk_of: Any, mode: Any, message: Any, told: str) -> None:
    desk = desk_of(SEARCH)
    answer = await desk("search", turn=turn(ToolFailure(tool="search", mode=mode, message=message)))
    assert (answer.error, answer.content, answer.value) == (told, f"Error: {told}", None)
    [note] = desk.notes
    assert note.kind == "chaos"
    assert note_fields(note.note) == {"tool": "search", "mode": mode, "call_id": "call_1", "probability": 1.0}


async def test_only_the_tool_of_the_rule_fails(desk_of: Any) -> None:
    desk = desk_of(SEARCH, Tool(name="other", description="d"))
    assert (await desk("other", turn=turn(ToolFailure(tool="search", mode="error")))).error is None
    assert not desk.notes


def test_slow_call_takes_two_seconds_of_the_runs_clock_and_then_works() -> None:
    async def call() -> Any:
        session = Toolbox(Suite(name="s", tools=[SEARCH])).session()
        scope = RunScope(context=context())
        slow = turn(ToolFailure(tool="search", mode="slow"), ToolFailure(tool="search", mode="error"))
        return await session.call(tool_call("search", {}, "c"), scope=scope, turn=slow)

    answer = run_virtual(call())
    assert (answer.error, answer.value) == (None, [1])
    assert answer.seconds == pytest.approx(2.0)


async def test_probability_zero_is_never_and_one_is_always(desk_of: Any) -> None:
    desk = desk_of(SEARCH)
    never, always = (turn(ToolFailure(tool="search", mode="error", probability=p)) for p in (0.0, 1.0))
    assert not any([(await desk("search", turn=never)).error for _ in range(200)])
    assert all([(await desk("search", turn=always)).error for _ in range(200)])


async def failures(desk: Any, count: int = 400) -> list[bool]:
    sometimes = turn(ToolFailure(tool="search", mode="error", probability=0.3))
    return [(await desk("search", turn=sometimes)).error is not None for _ in range(count)]


async def test_chance_belongs_to_the_seed_of_the_run(desk_of: Any) -> None:
    first, again, other = [await failures(desk_of(SEARCH, seed=seed)) for seed in (1, 1, 2)]
    assert first == again
    assert first != other
    assert 80 < sum(first) < 160


async def test_first_failure_does_not_begin_chance_anew(desk_of: Any) -> None:
    beginnings = [await failures(desk_of(SEARCH, seed=seed), 2) for seed in range(60)]
    assert [True, False] in beginnings
    assert [True, True] in beginnings


async def test_rule_that_does_not_fire_leaves_the_call_to_the_next(desk_of: Any) -> None:
    desk = desk_of(SEARCH)
    rules = turn(ToolFailure(tool="search", mode="timeout", probability=0.0), ToolFailure(tool="search", mode="error"))
    assert "injected error" in (await desk("search", turn=rules)).error


def asking(**consent: Any) -> Tool:
    rule = {"required": True, "message": "May I look where you are?", **consent}
    return Tool(name="locate", description="d", mode="client", client={"consent": rule}, mock_result={"at": "home"})


async def test_consent_is_granted_where_the_scenario_does_not_say_and_that_is_noted(desk_of: Any) -> None:
    desk = desk_of(asking())
    assert (await desk("locate")).value == {"at": "home"}
    [note] = desk.notes
    assert note.kind == "consent"
    assert note_fields(note.note) == {
        "tool": "locate",
        "call_id": "call_1",
        "answer": "grant",
        "assumed": True,
        "question": "May I look where you are?",
    }


async def test_granted_consent_is_noted_as_given(desk_of: Any) -> None:
    desk = desk_of(asking())
    assert (await desk("locate", turn=turn(consent={"locate": "grant"}))).value == {"at": "home"}
    assert desk.notes[0].note.assumed is False


@pytest.mark.parametrize(
    ("strategy", "content"),
    [
        (None, "Error: the user declined to let the tool locate run"),
        ("error", "Error: the user declined to let the tool locate run"),
        ("fallback", "The user declined to let the tool locate run."),
        ("Ask for the postal code instead.", "Ask for the postal code instead."),
    ],
)
async def test_declined_tool_did_not_work_whatever_the_model_is_told(desk_of: Any, strategy: Any, content: str) -> None:
    desk = desk_of(asking(decline_strategy=strategy))
    answer = await desk("locate", turn=turn(consent={"locate": "deny"}))
    assert answer.content == content
    assert answer.value is None
    assert desk.calls[0].error == "the user declined to let the tool locate run"
    assert desk.notes[0].note.answer == "deny"


async def test_question_that_nobody_answers_is_a_timeout(desk_of: Any) -> None:
    answer = await desk_of(asking())("locate", turn=turn(consent={"locate": "timeout"}))
    assert "timed out" in answer.error


async def test_client_tool_that_needs_no_consent_does_not_ask(desk_of: Any) -> None:
    desk = desk_of(asking(required=False))
    assert (await desk("locate", turn=turn(consent={"locate": "deny"}))).value == {"at": "home"}
    assert not desk.notes


async def test_answer_of_a_client_tool_is_compared_unless_the_suite_says_no(desk_of: Any) -> None:
    schema = {"type": "object", "required": ["nowhere"]}
    compared = Tool(name="a", description="d", mode="client", output_schema=schema, mock_result={})
    free = Tool(
        name="b",
        description="d",
        mode="client",
        output_schema=schema,
        mock_result={},
        client={"validate_output": False},
    )
    desk = desk_of(compared, free)
    assert "result_invalid" in (await desk("a")).error
    assert (await desk("b")).error is None


async def test_cancelled_call_is_cancelled(desk_of: Any) -> None:
    desk = desk_of(SEARCH)
    desk.scope = RunScope()
    task = asyncio.create_task(desk("search", turn=turn(ToolFailure(tool="search", mode="slow"))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
