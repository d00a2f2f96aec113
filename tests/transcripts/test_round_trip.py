"""A run that is recorded and judged again comes to the same: same messages, same checks, same outcomes."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

import duologue
from duologue import checks, testing
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.result import ScenarioResult
from duologue.journal.events import ModelCalled, Noted, ToolCalled, Usage
from duologue.journal.notes import GuardrailApplied, WorkflowEntered, WorkflowMoved
from duologue.messages import assistant_message, tool_call, tool_message
from duologue.suites.replay import prepare_replay, read_recordings
from duologue.vocabulary import CheckStatus, Scope

PICTURE = {
    "type": "image_url",
    "image_url": {"url": "https://example.com/cat.png"},
    "metadata": {"width": 64, "height": 48},
}


@dataclass(frozen=True)
class Act:
    """One turn: what is said and done in it."""

    user: str
    says: str
    seconds: float
    tool: str | None
    fails: bool
    shows: bool
    cost: float | None
    moves_to: str | None
    blocked: bool
    undone: int | None
    judged: bool
    aside: bool


acts = st.builds(
    Act,
    user=st.sampled_from(["hi", "refund please", "order 5"]),
    says=st.sampled_from(["hello", "your refund is on its way", "sorry", "a" * 60]),
    seconds=st.sampled_from([0.0, 0.2, 3.0]),
    tool=st.sampled_from([None, "search", "pay"]),
    fails=st.booleans(),
    shows=st.booleans(),
    cost=st.sampled_from([None, 0.001, 0.5]),
    moves_to=st.sampled_from([None, "open", "closed"]),
    blocked=st.booleans(),
    undone=st.sampled_from([None, None, 0, 1, 2, 5]),
    judged=st.booleans(),
    aside=st.booleans(),
)


class Actor(AgentAdapter):
    """An agent that does what the acts say, and notes what an agent made of a model would note."""

    def __init__(self, acts: list[Act]) -> None:
        self._acts = iter(acts)
        self._calls = 0

    async def call(self, input: AgentInput) -> list[Any]:
        act = next(self._acts)
        self._calls += 1
        journal, turn = input.scope.journal, input.scope.turn
        await input.scope.context.clock.sleep(act.seconds)
        if self._calls == 1:
            journal.append(Noted(turn=turn, note=WorkflowEntered(state="start")))
        said: list[Any] = []
        if act.tool:
            call_id = f"c{self._calls}"
            error = "no answer" if act.fails else None
            journal.append(
                ToolCalled(
                    name=act.tool,
                    turn=turn,
                    call_id=call_id,
                    arguments={"n": 5},
                    result="ok",
                    error=error,
                    seconds=0.1,
                    call=input.scope.next_call(),
                    participant=input.scope.participant,
                )
            )
            said += [
                assistant_message(None, [tool_call(act.tool, {"n": 5}, call_id)]),
                tool_message(call_id, "Error: no answer" if act.fails else '{"ok": true}'),
            ]
        if act.cost is not None:
            usage = Usage(input_tokens=10, output_tokens=2)
            asked = ModelCalled(asker=self.name, turn=turn, model="m", request_digest="d", usage=usage, cost=act.cost,
                                call=input.scope.next_call(), participant=input.scope.participant)  # fmt: skip
            journal.append(asked)
        if act.moves_to:
            data = {"origin": "start", "target": act.moves_to, "event": "go", "terminal": act.moves_to == "closed"}
            journal.append(Noted(turn=turn, note=WorkflowMoved(**data)))
        data = {"type": "banned_words", "check": "banned_words", "direction": "output", "passed": not act.blocked}
        journal.append(Noted(turn=turn, note=GuardrailApplied(**data)))
        content: Any = [{"type": "text", "text": act.says}, PICTURE] if act.shows else act.says
        return [*said, {"role": "assistant", "content": content}]


def everything() -> list[Any]:
    """Checks that look at each kind of thing that a journal holds."""
    turn = [
        ("contains", {"patterns": ["refund"]}),
        ("max_length", {"max": 40}),
        ("tools_called", {"tools": ["search"]}),
        ("state_is", {"state": "open"}),
        ("guardrail_triggered", {"validator": "banned_words"}),
        ("latency_budget", {"max_ms": 1000}),
        ("cost_budget", {"max_cost_usd": 0.1}),
    ]
    whole = [
        ("contains", {"patterns": ["sorry"]}),
        ("no_tool_errors", {}),
        ("workflow_complete", {}),
        ("transitioned_to", {"state": "open"}),
        ("spoke_in_state", {"state": "open"}),
        ("latency_budget", {"max_ms": 1000}),
        ("cost_budget", {"max_cost_usd": 0.6, "asker": "Actor"}),
        ("cost_budget", {"max_total_tokens": 30}),
        ("image_dimensions", {"max_width": 32}),
    ]
    made = [checks.create(kind, params, scope=Scope.TURN) for kind, params in turn]
    return made + [checks.create(kind, params, scope=Scope.CONVERSATION) for kind, params in whole]


def script_of(acts: list[Act]) -> list[Any]:
    steps: list[Any] = []
    for act in acts:
        steps += [duologue.user(act.user), duologue.agent()]
        if act.undone is not None:
            steps.append(lambda state, to=act.undone: (state.rollback_messages_to(to), None)[1])
        if act.judged:
            steps.append(duologue.judge(criteria=["it is polite"]))
        if act.aside:
            steps.append(lambda state: state.add_message({"role": "assistant", "content": "one more refund"}))
    return steps


async def rehearse(acts: list[Act], folder: Path, given: list[Any]) -> ScenarioResult:
    executor = duologue.prepare(
        "round trip",
        "Somebody wants a refund",
        [testing.ScriptedUserAgent([]), Actor(acts), testing.ScriptedJudge([True], repeat=True)],
        script=script_of(acts),
        checks=given,
        record=folder / "original.jsonl",
        verbose=False,
        context=testing.context(),
    )
    return await executor.perform()


async def judge_again(path: Path, given: list[Any], record: Path | None = None) -> ScenarioResult:
    [recording] = read_recordings(path)
    executor = prepare_replay(recording, checks=given, record=record, context=testing.context())
    result = await executor.perform()
    assert executor.failure is None or result.error is not None
    return result


def outcomes(result: ScenarioResult) -> list[Any]:
    return [(item.name, item.scope, item.turn, item.status, item.score, item.explanation) for item in result.checks]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(played=st.lists(acts, min_size=1, max_size=4))
def test_a_run_that_is_judged_again_has_the_same_messages_and_the_same_outcomes(played: list[Act]) -> None:
    given_checks = everything()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = testing.run_virtual(rehearse(played, folder, given_checks))
        if not first.messages:
            return
        [recording] = read_recordings(folder / "original.jsonl")
        assert [item.message for item in recording.messages] == first.messages
        assert [item.id for item in recording.messages] == first.message_ids
        second = testing.run_virtual(judge_again(folder / "original.jsonl", given_checks, folder / "second.jsonl"))
        third = testing.run_virtual(judge_again(folder / "second.jsonl", given_checks))
    assert first.error is None, first.error
    for again in (second, third):
        assert again.messages == first.messages
        assert again.message_ids == first.message_ids
        assert outcomes(again) == outcomes(first)
        assert [item.message_ids for item in again.checks] == [item.message_ids for item in first.checks]
        assert again.turns == first.turns
        assert again.agent_time == first.agent_time
        assert (again.usage, again.cost) == (first.usage, first.cost)


def test_the_checks_of_the_property_tell_runs_apart() -> None:
    """Each of them passes for one of these runs and fails for another; otherwise the property would prove nothing."""
    base = Act("hi", "hello", 0.0, None, False, False, None, None, False, None, False, False)
    good = Act("refund", "sorry, a refund", 0.0, "search", False, True, 0.001, "open", True, None, False, False)
    bad = Act("refund", "a" * 60, 3.0, "pay", True, True, 0.7, "closed", False, None, False, False)
    seen: dict[str, set[CheckStatus]] = {}
    for played in ([base], [good], [bad], [good, bad], [bad, good], [good] * 4):
        with tempfile.TemporaryDirectory() as name:
            result = testing.run_virtual(rehearse(played, Path(name), everything()))
        for item in result.checks:
            seen.setdefault(f"{item.name} {item.scope}", set()).add(item.status)
    one_sided = {name for name, statuses in seen.items() if CheckStatus.FAILED not in statuses}
    assert one_sided == set()
    never = {name for name, statuses in seen.items() if CheckStatus.PASSED not in statuses}
    assert {name for name in never if "image" not in name} == set()


def test_what_a_call_of_the_agent_took_is_put_down_to_the_first_of_its_messages(tmp_path: Path) -> None:
    act = Act("hi", "hello", 3.0, "search", False, False, 0.5, None, False, None, False, False)
    testing.run_virtual(rehearse([act], tmp_path, []))
    [recording] = read_recordings(tmp_path / "original.jsonl")
    assert [(item.author, item.seconds, item.cost, item.model) for item in recording.messages] == [
        (None, None, None, None),
        ("Actor", 3.0, 0.5, "m"),
        ("Actor", None, None, None),
        ("Actor", None, None, None),
    ]
    assert recording.messages[0].at == testing.EPOCH
    assert recording.messages[1].at == testing.EPOCH + 3.0


def test_a_journal_that_was_cut_off_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    act = Act("hi", "hello", 0.0, None, False, False, None, None, False, None, False, False)
    testing.run_virtual(rehearse([act, act], tmp_path, []))
    lines = (tmp_path / "original.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:-3]) + lines[-3][:20])
    [recording] = read_recordings(tmp_path / "cut.jsonl")
    assert recording.metadata["complete"] is False
    assert "cut off" in recording.metadata["torn"]
    result = asyncio.run(prepare_replay(recording, checks=[lambda state: len(state.messages) == 3]).run())
    assert result.success
