"""Checks of tool calls are skipped where calls may have happened that nobody saw: no verdict rests on silence."""

import json
from pathlib import Path
from typing import Any

import pytest

import duologue
from duologue import checks
from duologue.checks.registry import registered
from duologue.cli.app import invoke
from duologue.journal.notes import ToolCallsReported
from duologue.messages import Message, assistant_message, tool_call, tool_message
from duologue.vocabulary import CheckStatus, Scope, Verdict

READ_CALLS: dict[str, dict[str, Any]] = {
    "tools_called": {"tools": ["refund"]},
    "tools_not_called": {"tools": ["refund"]},
    "tool_args": {"tool_name": "refund", "expected_args": {"id": 1}},
    "tool_calls_with_args": {"tool_name": "refund", "no_error": True},
    "tool_args_excluded": {"tool_name": "refund", "forbidden_args": {"id": 1}},
    "tool_call_count": {"max": 0},
    "tool_call_sequence": {"sequence": ["refund"]},
    "tool_call_chain": {"steps": [{"tool": "refund"}]},
    "tool_anti_pattern": {"patterns": [{"sequence": ["refund"]}]},
    "tool_no_repeat": {},
    "tool_efficiency": {"max_calls": 3},
    "no_tool_errors": {},
    "tool_result_includes": {"tool": "refund", "patterns": ["ok"]},
    "tool_result_matches": {"tool": "refund", "pattern": "ok"},
    "tool_result_has_media": {"tool": "refund", "media_type": "image"},
    "tool_result_media_type": {"tool": "refund", "mime_type": "image/png"},
    "agent_invoked": {"agents": ["refund"]},
    "agent_not_invoked": {"agents": ["refund"]},
    "agent_response_contains": {"agent": "refund", "contains": "ok"},
    "skill_activated": {"skill_names": ["s"]},
    "skill_not_activated": {"skill_names": ["s"]},
    "skill_activation_order": {"sequence": ["s"]},
    "outcome_equivalent": {"metric": "tool_calls", "expected_tools": []},
    "directional": {"check": "same_tool_calls", "baseline": {"tool_calls": []}},
    "llm_judge_tool_calls": {"criteria": "The refund is right."},
    "metrics": {"expected_tool_calls": [{"tool": "refund"}], "metrics": ["tool_routing"]},
}


class TextOnly(duologue.AgentAdapter):
    async def call(self, input: duologue.AgentInput) -> str:
        return "Refunded 20 euros."


class Declares(TextOnly):
    reports_tool_calls = True


class Denies(TextOnly):
    reports_tool_calls = False


class ShowsOnce(duologue.AgentAdapter):
    """Calls a tool in its second turn."""

    async def call(self, input: duologue.AgentInput) -> list[Message]:
        answer = assistant_message("Done.")
        if input.scenario_state.current_turn != 1:
            return [answer]
        return [assistant_message(None, [tool_call("look", {}, "c1")]), tool_message("c1", "ok"), answer]


async def _run(agent: duologue.AgentAdapter, *given: Any, lines: int = 2) -> duologue.ScenarioResult:
    user = duologue.ScriptedUser(["Refund it."] * lines)
    return await duologue.arun("refund", "", [agent, user], checks=list(given), max_turns=lines, verbose=False)


@pytest.mark.parametrize("agent", [TextOnly, Denies])
@pytest.mark.parametrize("type", READ_CALLS)
async def test_an_agent_that_shows_no_call_and_says_nothing_about_it_leaves_them_unknown(
    type: str, agent: type[duologue.AgentAdapter]
) -> None:
    result = await _run(agent(), checks.create(type, READ_CALLS[type]))
    (outcome,) = result.checks
    assert outcome.status is CheckStatus.SKIPPED, outcome.explanation
    assert f"the tool calls of '{agent.__name__}' are not known" in outcome.explanation
    assert "reports_tool_calls: true" in outcome.explanation
    assert result.verdict is Verdict.UNDECIDED
    assert result.reasoning
    assert "Every check was skipped" in result.reasoning
    assert "not known" in result.reasoning
    assert not result.passed_criteria


def test_the_table_has_every_type_that_is_about_tools() -> None:
    about_tools = {info.kind for info in registered() if info.family in {"Tools", "Agents and skills"}}
    assert about_tools <= set(READ_CALLS)


@pytest.mark.parametrize(
    ("type", "status"),
    [
        ("tools_not_called", CheckStatus.PASSED),
        ("tools_called", CheckStatus.FAILED),
        ("tool_call_count", CheckStatus.PASSED),
    ],
)
async def test_an_agent_that_declares_its_calls_is_believed(type: str, status: CheckStatus) -> None:
    result = await _run(Declares(), checks.create(type, READ_CALLS[type]))
    assert [outcome.status for outcome in result.checks] == [status]


@pytest.mark.parametrize("type", ["tools_not_called", "tools_called"])
async def test_one_call_shown_in_the_conversation_is_enough(type: str) -> None:
    result = await _run(ShowsOnce(), checks.create(type, READ_CALLS[type]))
    assert [outcome.status for outcome in result.checks] == [
        CheckStatus.PASSED if type == "tools_not_called" else CheckStatus.FAILED
    ]


async def test_a_turn_before_the_first_call_is_not_decided() -> None:
    check = checks.create("tools_not_called", {"tools": ["refund"]}, scope=Scope.TURN)
    result = await _run(ShowsOnce(), check, lines=3)
    assert [outcome.status.value for outcome in result.checks] == ["skipped", "passed", "passed"]
    assert result.verdict is Verdict.PASS


async def test_every_agent_has_to_be_known() -> None:
    result = await duologue.arun(
        "refund",
        "",
        [ShowsOnce(), TextOnly(), duologue.ScriptedUser(["a", "b"])],
        checks=[checks.create("tools_not_called", {"tools": ["refund"]})],
        max_turns=2,
        verbose=False,
    )
    (outcome,) = result.checks
    assert outcome.status is CheckStatus.SKIPPED
    assert "'TextOnly'" in outcome.explanation


@pytest.mark.parametrize("when", [{"any_tool_called": False}, {"tool_called": "look"}, {"min_tool_calls": 1}])
async def test_a_condition_on_tool_calls_is_not_met_by_silence(when: dict[str, Any]) -> None:
    check = checks.create("contains", {"patterns": ["Refunded"]}, when=when)
    (outcome,) = (await _run(TextOnly(), check)).checks
    assert outcome.status is CheckStatus.SKIPPED
    assert "not known" in outcome.explanation


async def test_a_skipped_check_does_not_hide_what_others_find() -> None:
    silent = checks.create("tools_not_called", {"tools": ["refund"]})
    good = checks.create("contains", {"patterns": ["Refunded"]})
    bad = checks.create("contains", {"patterns": ["Sorry"]})
    assert (await _run(TextOnly(), silent, good)).verdict is Verdict.PASS
    assert (await _run(TextOnly(), silent, bad)).verdict is Verdict.FAIL


async def test_what_is_kept_in_the_journal_says_whether_calls_are_known(tmp_path: Any) -> None:
    result = await duologue.arun(
        "refund", "", [Declares(), duologue.ScriptedUser(["a"])], max_turns=1, record=tmp_path, verbose=False
    )
    assert result.journal is not None
    text = result.journal.read_text()
    assert '"reports_tool_calls":true' in text.replace(" ", "")


class Named(TextOnly):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name


class NotesWholeTurns(Named):
    """As an agent over HTTP that answers with whole turns; it notes that of itself."""

    def __init__(self, name: str, *, places: bool = True) -> None:
        super().__init__(name)
        self.places = places

    async def call(self, input: duologue.AgentInput) -> str:
        index = input.scope.participant if self.places else None
        input.scope.note(ToolCallsReported(participant=self.name, index=index))
        return await super().call(input)


@pytest.mark.parametrize("type", ["tools_not_called", "tool_call_count"])
@pytest.mark.parametrize("places", [True, False])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("names", [("a", "b"), ("desk", "desk"), ("desk", "desk ")])
async def test_what_one_agent_shows_says_nothing_of_another_of_the_same_name(
    names: tuple[str, str], first: int, places: bool, type: str
) -> None:
    agents = [NotesWholeTurns(names[0], places=places), Named(names[1])]
    result = await duologue.arun(
        "roles",
        "d",
        [duologue.ScriptedUser(["Refund it."]), *(agents[::-1] if first else agents)],
        script=[duologue.user(), duologue.agent(), duologue.agent()],
        checks=[checks.create(type, READ_CALLS[type])],
        verbose=False,
    )
    assert [outcome.status for outcome in result.checks] == [CheckStatus.SKIPPED]
    assert result.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("names", [("a", "b"), ("desk", "desk")])
async def test_agents_of_one_name_that_all_show_whole_turns_are_known(names: tuple[str, str]) -> None:
    result = await duologue.arun(
        "roles",
        "d",
        [duologue.ScriptedUser(["Refund it."]), *map(NotesWholeTurns, names)],
        script=[duologue.user(), duologue.agent(), duologue.agent()],
        checks=[checks.create("tools_not_called", {"tools": ["refund"]})],
        verbose=False,
    )
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "said",
    [
        '<tool_call>\n{"name": "refund", "arguments": {"id": 1}}\n</tool_call>',
        'Action: refund\nAction Input: {"id": 1}',
        '[TOOL_CALLS] [{"name": "refund", "arguments": {"id": 1}}]',
        '<function=refund>{"id": 1}</function>',
    ],
)
@pytest.mark.parametrize(
    "answer", [{"role": "tool", "content": "ok"}, {"role": "tool", "tool_call_id": "x1", "content": "ok"}]
)
def test_an_answer_to_a_call_that_only_a_text_shows_makes_no_calls_known(
    tmp_path: Path, said: str, answer: dict[str, Any]
) -> None:
    messages = [
        {"role": "user", "content": "Refund it."},
        {"role": "assistant", "content": said},
        answer,
        {"role": "assistant", "content": "Done."},
    ]
    (tmp_path / "one.json").write_text(json.dumps({"messages": messages}))
    check = {"type": "tools_not_called", "params": {"tools": ["refund"]}}
    spec = {"replays": [{"name": "r", "recording": "one.json", "checks": [check]}]}
    suite = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": spec}
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    assert invoke(["run", str(tmp_path / "suite.yaml"), "-q", "--out", str(tmp_path / "out")]) == 3
    [run] = json.loads((tmp_path / "out/index.json").read_text())["runs"]
    assert run["outcome"] == "undecided"
