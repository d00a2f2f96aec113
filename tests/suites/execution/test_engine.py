"""The engine as a program uses it: suites made of parts, plans, streams, mock mode, recordings, results."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from duologue import AgentAdapter, AgentInput, read_journal
from duologue.conversation.run import StreamChunk
from duologue.errors import ResultsError, SuiteError, TargetError
from duologue.suites import (
    Agent,
    CheckSpec,
    Engine,
    Filters,
    Judge,
    Observer,
    Prompt,
    RunResult,
    Scenario,
    Settings,
    Suite,
    TestCase,
    Turn,
)
from duologue.testing import ScriptedModel
from duologue.vocabulary import RunStatus, Verdict


class Clerk(AgentAdapter):
    async def call(self, input: AgentInput) -> str:
        return f"you said: {input.last_new_user_message_str()}"


def make_clerk() -> Clerk:
    return Clerk()


class Streaming(AgentAdapter):
    async def stream(self, input: AgentInput) -> AsyncIterator[str]:
        for piece in ("one", " and", " two"):
            yield piece

    async def call(self, input: AgentInput) -> str:
        raise AssertionError("it is streamed")


def said(*lines: str, checks: tuple[CheckSpec, ...] = ()) -> tuple[Turn, ...]:
    return tuple(Turn(role="user", content=line, checks=checks) for line in lines)


def suite_of(*scenarios: Scenario, **fields: Any) -> Suite:
    return Suite(name="made", scenarios=scenarios, **fields)


ORDER = Scenario(
    name="order",
    turns=said("a lamp", "blue", checks=(CheckSpec(type="contains", params={"patterns": ["you said"]}),)),
    tags=("smoke",),
)
ANSWERED = CheckSpec(type="min_length", params={"min": 3})
GREETING = Scenario(name="greeting", turns=said("hello", checks=(ANSWERED,)))
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAAAAACcgYFdAAAAC0lEQVR4nGNggAIAAAkAAftSuKkAAAAASUVORK5CYII="
"""A PNG of 2 by 3 pixels."""
TASK = Prompt(name="help", system_template="You help.")


@pytest.mark.parametrize("agent", [Clerk, Clerk(), make_clerk], ids=["class", "object", "function that makes one"])
async def test_an_agent_of_the_program_plays_every_scenario(agent: Any) -> None:
    async with Engine.from_parts(suite_of(ORDER, GREETING), agents={"clerk": agent}) as engine:
        execution = await engine.execute()
    assert [(run.case.scenario, run.case.agent, run.verdict) for run in execution.runs] == [
        ("order", "clerk", Verdict.PASS),
        ("greeting", "clerk", Verdict.PASS),
    ]
    assert [item.message["content"] for item in execution.runs[0].messages] == [
        "a lamp", "you said: a lamp", "blue", "you said: blue",
    ]  # fmt: skip


async def test_a_function_that_answers_is_an_agent() -> None:
    async with Engine.from_parts(suite_of(GREETING), agents={"f": lambda input: "good day"}) as engine:
        [run] = (await engine.execute()).runs
    assert run.messages[-1].message["content"] == "good day"
    assert engine.results == {run.run_id: run}


async def test_models_of_the_program_stand_for_those_of_the_suite() -> None:
    judged = Scenario(name="judged", turns=said("hello"), criteria=("it greets",), judge="strict")
    suite = suite_of(
        judged,
        prompts=(TASK,),
        agents=(Agent(name="bot", model="brain", prompt="help"),),
        judges=(Judge(name="strict", model="law"),),
    )
    decision = {"id": "c1", "reason": "r", "evidence": ["m2"], "decision": "true"}
    law = ScriptedModel([json.dumps({"criteria": [decision], "verdict": "pass", "reasoning": "r"})])
    models = {"brain": ScriptedModel(["hello to you"]), "law": law}
    async with Engine.from_parts(suite, models=models) as engine:
        [run] = (await engine.execute()).runs
    assert (run.verdict, run.messages[-1].message["content"]) == (Verdict.PASS, "hello to you")
    assert run.decisions[0].criterion == "it greets"


async def test_mock_mode_asks_no_model_of_the_program() -> None:
    model = ScriptedModel(["from the program"])
    suite = suite_of(GREETING, prompts=(TASK,), agents=(Agent(name="bot", model="brain", prompt="help"),))
    async with Engine.from_parts(suite, models={"brain": model}) as engine:
        engine.enable_mock_mode()
        [run] = (await engine.execute()).runs
    assert run.status is RunStatus.COMPLETED
    assert run.messages[-1].message["content"] != "from the program"


def test_a_suite_of_parts_is_looked_at_like_one_of_files() -> None:
    wrong = Scenario(name="s", turns=said("x", checks=(CheckSpec(type="containz"),)), judge="nobody", criteria=("c",))
    with pytest.raises(SuiteError) as caught:
        Engine.from_parts(suite_of(wrong), agents={"clerk": Clerk})
    assert "unknown check type 'containz'" in str(caught.value)
    assert "nobody" in str(caught.value)


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(TargetError, match="the agent 'clerk': clerk is a int"):
        Engine.from_parts(suite_of(GREETING), agents={"clerk": 3})


async def test_a_case_is_streamed_to_its_result() -> None:
    async with Engine.from_parts(suite_of(GREETING), agents={"s": Streaming}) as engine:
        [case] = engine.generate_plan().cases
        happened = [item async for item in engine.stream(case)]
    *chunks, result = happened
    assert all(isinstance(chunk, StreamChunk) for chunk in chunks)
    assert isinstance(result, RunResult)
    assert "".join(chunk.delta for chunk in chunks if isinstance(chunk, StreamChunk)) == "one and two"
    assert result.messages[-1].message["content"] == "one and two"
    assert engine.results[result.run_id] is result


async def test_a_streamed_case_that_breaks_ends_with_its_result() -> None:
    def broken(input: AgentInput) -> str:
        raise ValueError("out of order")

    async with Engine.from_parts(suite_of(GREETING), agents={"b": broken}) as engine:
        [case] = engine.generate_plan().cases
        *_, result = [item async for item in engine.stream(case)]
    assert isinstance(result, RunResult)
    assert result.status is RunStatus.ERROR
    assert "out of order" in str(result.error)


async def test_results_are_in_plan_order_and_observers_hear_of_all(tmp_path: Path) -> None:
    heard: list[str] = []

    class Ear(Observer):
        def run_started(self, case: TestCase) -> None:
            heard.append(f"began {case.scenario}")

        def run_finished(self, result: RunResult) -> None:
            heard.append(f"ended {result.case.scenario}")

    async with Engine.from_parts(suite_of(ORDER, GREETING), agents={"clerk": Clerk}) as engine:
        engine.enable_recording(tmp_path)
        plan = engine.generate_plan(Filters(tags=("smoke",)), trials=3)
        execution = await engine.execute(plan, Settings(concurrency=2), observers=[Ear()])
    assert [run.case.trial for run in execution.runs] == [1, 2, 3]
    assert sorted(heard) == ["began order"] * 3 + ["ended order"] * 3
    for run in execution.runs:
        path = engine.recording_path(run.run_id)
        assert path
        assert len(read_journal(path).view.messages) == 4


async def test_closing_twice_is_harmless() -> None:
    engine = Engine.from_parts(suite_of(GREETING), agents={"clerk": Clerk})
    await engine.execute()
    await engine.close()
    await engine.close()


class Painter(AgentAdapter):
    async def call(self, input: AgentInput) -> Any:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        return {"role": "assistant", "content": [{"type": "text", "text": "here it is"}, picture]}


async def test_media_are_measured_and_kept_as_files(tmp_path: Path) -> None:
    async with Engine.from_parts(suite_of(GREETING), agents={"painter": Painter}) as engine:
        engine.enable_recording(tmp_path)
        runs = (await engine.execute(engine.generate_plan(trials=2))).runs
    [one], [other] = (run.media for run in runs)
    assert (one.type, one.mime_type, one.width, one.height, one.part) == ("image", "image/png", 2, 3, 1)
    assert one.path == other.path  # one file for the same picture
    assert one.path
    assert (tmp_path / one.path).read_bytes() == base64.b64decode(PIXEL)
    assert [path.suffix for path in (tmp_path / "media").iterdir()] == [".png"]


@pytest.mark.parametrize(
    ("mime", "suffix"),
    [("audio/wav", ".wav"), ("audio/mp3", ".mp3"), ("image/webp", ".webp"), ("Audio/OGG; codecs=opus", ".ogg")],
)
async def test_files_of_media_are_called_what_other_programs_know(tmp_path: Path, mime: str, suffix: str) -> None:
    url = f"data:{mime};base64,{PIXEL}"
    kind = f"{mime.partition('/')[0].lower()}_url"

    def paint(input: AgentInput) -> Any:
        return {"role": "assistant", "content": [{"type": kind, kind: {"url": url}, "mime_type": mime}]}

    async with Engine.from_parts(suite_of(GREETING), agents={"painter": paint}) as engine:
        engine.enable_recording(tmp_path)
        await engine.execute()
    assert [path.suffix for path in (tmp_path / "media").iterdir()] == [suffix]


async def test_media_without_a_folder_are_measured_only() -> None:
    async with Engine.from_parts(suite_of(GREETING), agents={"painter": Painter}) as engine:
        [run] = (await engine.execute()).runs
    assert (run.media[0].size_bytes, run.media[0].path) == (len(base64.b64decode(PIXEL)), None)


async def test_media_that_cannot_be_kept_are_an_error_of_the_execution(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    async with Engine.from_parts(suite_of(GREETING), agents={"painter": Painter}) as engine:
        engine.enable_recording(tmp_path)
        with pytest.raises(ResultsError, match="cannot keep the image/png of a message"):
            await engine.execute()


async def test_a_stop_is_heard_though_no_run_waits_for_anything() -> None:
    class Stopper(Observer):
        def run_finished(self, result: RunResult) -> None:
            asyncio.get_running_loop().call_soon(engine.stop)

    async with Engine.from_parts(suite_of(GREETING), agents={"clerk": Clerk}) as engine:
        plan = engine.generate_plan(trials=50)
        execution = await engine.execute(plan, Settings(concurrency=1), observers=[Stopper()])
    assert execution.interrupted
    assert len(execution.runs) < 5
