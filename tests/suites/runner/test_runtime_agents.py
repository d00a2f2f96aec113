"""Agents that a runtime drives, in suites: asked turn by turn by the suite's engine, or holding the conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from own_runtimes import holding, talk
from runtime_peers import peer_of, said, served

from duologue.config.problems import Problems
from duologue.journal.jsonl import JsonlJournal
from duologue.journal.notes import RuntimeReported
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import Draft
from duologue.suites.manifests.validate import validated
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import RunStatus, Termination, Verdict

SAYS = {"type": "contains", "params": {"patterns": ["You said"]}}


def suite_of(runtime: dict[str, Any], scenario: dict[str, Any] | None = None, **parts: Any) -> Suite:
    """A suite of one agent with that runtime."""
    agent = {"name": "bot", "runtime": runtime, **parts.pop("agent", {})}
    case = {"name": "hello", "turns": [{"role": "user", "content": "Hi"}], "checks": [SAYS], **(scenario or {})}
    return Suite.model_validate({"name": "s", "agents": [agent], "scenarios": [case], **parts})


async def played(suite: Suite, **options: Any) -> RunResult:
    async with Engine(suite=suite, **options) as engine:
        [run] = (await engine.execute()).runs
        return run


def endpoint(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "custom_endpoint", "url": f"{url}/agent", "allow_private_addresses": True, **more}


async def test_text_runtime_is_asked_by_the_suites_own_engine(tmp_path: Path) -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        lines = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Bye"}]
        run = await played(suite_of(endpoint(peer.url), {"turns": lines}), recordings=tmp_path)
    assert (run.status, run.verdict) == (RunStatus.COMPLETED, Verdict.PASS)
    assert [item.message.get("content") for item in run.messages if item.author == "bot"] == [
        None,
        "found",
        "You said Hi.",
        None,
        "found",
        "You said Bye.",
    ]
    assert (run.agent.usage.input_tokens, run.agent.usage.output_tokens) == (20, 8)
    assert [said(item)[-1] for item in peer.received] == ["Hi", "Bye"]
    assert (tmp_path / (run.journal or "")).is_file()


async def test_headers_and_url_of_the_agents_endpoint_are_those_of_the_runtime() -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        http = {"url": f"{peer.url}/here", "headers": {"X-Team": "blue"}}
        run = await played(suite_of({"kind": "custom_endpoint", "allow_private_addresses": True}, agent={"http": http}))
    assert run.verdict is Verdict.PASS
    assert peer.received[0].path == "/here"
    assert peer.received[0].headers["x-team"] == "blue"


@pytest.mark.parametrize("fault", ["http 500", "contract", "empty", "50 MB", "redirect"])
async def test_agent_of_a_text_runtime_that_fails_is_an_error_of_the_run(fault: str) -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        peer.fault = fault
        run = await played(suite_of(endpoint(peer.url)))
    assert (run.status, run.verdict) == (RunStatus.ERROR, None)
    assert "sent: 1 message" in (run.reasoning or "") + (run.error.message if run.error else "")
    assert [item.message["role"] for item in run.messages] == ["user"]


async def test_agent_that_hangs_up_ends_the_conversation_and_the_checks_decide() -> None:
    tool = {"name": "hang_up", "description": "Ends the call."}
    runtime = {"kind": "retell", "agent_id": "a", "api_key": "key-0815-of-retell", "allow_private_addresses": True}
    async with served(peer_of("retell")) as peer:
        lines = [{"role": "user", "content": text} for text in ("Hi", "bye", "never said")]
        run = await played(
            suite_of({**runtime, "url": peer.url}, {"turns": lines}, agent={"platform": "retell"}, tools=[tool])
        )
    assert run.verdict is Verdict.PASS
    assert [item.message["content"] for item in run.messages if item.message["role"] == "user"] == ["Hi", "bye"]

    assert len(run.messages) == 8


async def test_runtime_that_holds_the_conversation_gives_its_transcript_usage_and_metadata(tmp_path: Path) -> None:
    usage: dict[str, int] = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    result = talk(
        "Hi",
        "You said Hi.",
        "Bye",
        "You said Bye.",
        agent_token_usage=usage,
        platform_token_usage={"prompt_tokens": 3, "completion_tokens": 2},
        agent_cost_usd=0.5,
        platform_cost_usd=0.25,
        runtime_metadata={"call_id": "c-1", "recording": b"x"},
    )
    with holding(lambda _: result) as seen:
        persona = {"name": "ann", "description": "In a hurry.", "facts": {"order": "A-1"}}
        scenario = {
            "turns": [],
            "description": "You want help.",
            "personas": ["ann"],
            "criteria": [],
            "checks": [SAYS, {"type": "contains", "scope": "turn", "params": {"patterns": ["You said"]}}],
        }
        run = await played(suite_of({"kind": "holder"}, scenario, personas=[persona]), recordings=tmp_path)
    assert (run.verdict, run.termination) == (Verdict.PASS, Termination.SCRIPT_END)
    assert [(item.message["role"], item.message["content"], item.turn) for item in run.messages] == [
        ("user", "Hi", 0),
        ("assistant", "You said Hi.", 0),
        ("user", "Bye", 1),
        ("assistant", "You said Bye.", 1),
    ]
    assert [item.spent.seconds if item.spent else None for item in run.messages] == [None, 0.1, None, 0.3]
    assert (run.agent.cost, run.user.cost, run.agent.usage.total_tokens, run.user.usage.total_tokens) == (
        0.5,
        0.25,
        14,
        5,
    )
    assert [check.turn for check in run.checks if check.scope == "turn"] == [0, 1]
    view = JsonlJournal(tmp_path / (run.journal or "")).read().view
    [note] = [item.note for item in view.notes if isinstance(item.note, RuntimeReported)]
    assert (note.runtime, note.metadata["call_id"]) == ("holder", "c-1")
    [args] = seen
    assert args.test_case.persona_context == "In a hurry."
    assert args.test_case.user_context == {"order": "A-1"}
    assert args.run_snapshot.cancel_event is not None


def _raise(_: Any) -> Any:
    raise RuntimeError("the line is dead")


@pytest.mark.parametrize(
    ("hold", "told"),
    [
        (lambda _: talk(), "empty transcript"),
        (lambda _: talk("Hi"), "the agent says nothing"),
        (lambda _: talk("Hi", " "), "the agent says nothing"),
        (_raise, "RuntimeError: the line is dead"),
        (lambda _: None, "returned a NoneType"),
        (lambda _: {"transcript": []}, "returned a dict"),
        (lambda _: talk("Hi", "Ho").__class__(transcript="Hi"), "a transcript that is a str"),
        (lambda _: talk("Hi", "Ho").__class__(transcript=["Hi"]), "a transcript with a str"),
    ],
)
async def test_runtime_that_gives_nothing_to_judge_is_an_error_and_no_judge_is_asked(hold: Any, told: str) -> None:
    judged = {"judges": [{"name": "j", "model": "m"}], "models": [{"name": "m", "provider": "mock"}]}
    with holding(hold):
        run = await played(
            suite_of({"kind": "holder"}, {"turns": [], "description": "x", "criteria": ["ok"]}, **judged)
        )
    assert (run.status, run.verdict, run.judgements, run.judge.calls) == (RunStatus.ERROR, None, (), 0)
    assert told in str(run.error)


async def test_runtime_that_takes_too_long_is_cancelled_and_an_error() -> None:
    ended = asyncio.Event()

    async def hold(args: Any) -> Any:
        await args.run_snapshot.cancel_event.wait()
        ended.set()
        return talk("Hi", "You said Hi.")

    with holding(hold):
        run = await played(suite_of({"kind": "holder"}, defaults={"run_timeout": "0.2s"}))
    assert (run.status, run.verdict) == (RunStatus.ERROR, None)
    assert ended.is_set()


async def test_run_that_was_cut_off_goes_on_where_it_was_and_asks_the_agent_nothing_again(tmp_path: Path) -> None:
    lines = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    async with served(peer_of("custom_endpoint")) as peer:
        good, suite = peer.answer, suite_of(endpoint(peer.url), {"turns": lines})

        def twice(request: Any) -> Any:
            if len(peer.received) == 2:
                peer.fault = "cancelled"
                peer.asked.clear()
            return good(request)

        peer.answer = twice
        options = RunOptions(execution_id="x")
        async with Engine(suite=suite, recordings=tmp_path) as engine:
            running = asyncio.create_task(engine.execute(engine.generate_plan(seed=1), options))
            while len(peer.received) < 3:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait({running})
        peer.fault, peer.answer = "", good
        before = len(peer.received)
        async with Engine(suite=suite, recordings=tmp_path) as engine:
            resumed = RunOptions(execution_id="x", resuming=True)
            [run] = (await engine.execute(engine.generate_plan(seed=1), resumed)).runs
    assert run.verdict is Verdict.PASS
    assert [said(item)[-1] for item in peer.received[before:]] == ["three"]
    assert len([item for item in run.messages if item.message["role"] == "user"]) == 3


MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"kind": "custom_endpoit"}, {}, "did you mean 'custom_endpoint'"),
    ({}, {}, "it is missing"),
    ({"kind": "custom_endpoint"}, {}, "runtime.url: the custom_endpoint runtime needs the URL"),
    ({"kind": "custom_endpoint", "url": 5}, {}, "runtime.url: "),
    ({"kind": "custom_endpoint", "url": "http://a.example", "headrs": {}}, {}, "runtime.headrs: "),
    ({"kind": "custom_endpoint", "url": "http://10.0.0.1/"}, {}, "runtime.url: '10.0.0.1' is not on the public"),
    ({"kind": "native"}, {}, "the agent has none"),
    ({"kind": "retell", "agent_id": "a"}, {}, "does not drive agents without a platform"),
    ({"kind": "custom_endpoint", "url": "http://a.example"}, {"platform": "retell"}, "on the platform retell"),
    ({"kind": "holder", "greeting": ""}, {}, "runtime.greeting: expected a text"),
    ({"kind": "holder"}, {"turns": 2}, "has 2 lines, and the runtime of the agent 'bot' holds"),
    ({"kind": "holder"}, {"runtime_mode": "text"}, "is for mode voice; found mode text"),
]


@pytest.mark.parametrize(("runtime", "agent", "told"), MISTAKES)
def test_runtime_that_cannot_drive_the_agent_is_refused(runtime: Any, agent: Any, told: str) -> None:
    problems = Problems()
    lines = [{"role": "user", "content": "Hi"}] * agent.get("turns", 1)
    agent = {name: value for name, value in agent.items() if name != "turns"}
    with holding(lambda _: talk()):
        validated(Draft(suite=suite_of(runtime, {"turns": lines}, agent=agent)), problems)
    assert told in "; ".join(item.message for item in problems.errors)


@pytest.mark.parametrize(("tool_mode", "refused"), [(None, True), ("mock", True), ("live", False)])
@pytest.mark.parametrize("mocks", [True, False])
def test_tool_calls_are_refused_where_tools_cannot_be_mocked(tool_mode: Any, refused: bool, mocks: bool) -> None:
    scenario = {"expected_tool_calls": [{"tool": "look_up"}]}
    runtime = {"kind": "native"} if mocks else {"kind": "custom_endpoint", "url": "http://a.example"}
    parts: dict[str, Any] = {
        "prompts": [{"name": "p", "system_template": "Help.", "allowed_tools": ["look_up"]}],
        "tools": [{"name": "look_up", "description": "Looks up."}],
        "agent": {"model": "openai/gpt-5-mini", "prompt": "p"},
    }
    problems = Problems()
    suite = suite_of(runtime, scenario, defaults={"tool_mode": tool_mode}, **parts)
    validated(Draft(suite=suite), problems)
    told = "; ".join(item.message for item in problems.errors)
    assert bool(told) is (refused and not mocks), told
    if told:
        assert "the scenario 'hello' expects tool calls, and the runtime 'custom_endpoint'" in told


async def test_expected_tool_calls_are_decided_by_code() -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        live = {"tool_mode": "live"}
        for params, verdict in (({"key": "x"}, Verdict.PASS), ({"key": "y"}, Verdict.FAIL)):
            expected = {"expected_tool_calls": [{"tool": "look_up", "expected_params": params}]}
            run = await played(suite_of(endpoint(peer.url), expected, defaults=live))
            assert run.verdict is verdict
