"""Minimal arenas, one class of defect each: what a right engine does with them, in words, is in ``expected.json``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from duologue.errors import SuiteError
from duologue.suites.execution.engine import Engine
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

PROBES = Path(__file__).parents[2] / "cases" / "probes"


async def run(name: str) -> ExecutionResult:
    async with Engine.from_file(PROBES / name) as engine:
        return await engine.execute()


def roles(run: RunResult) -> str:
    """The transcript in one letter each, the system prompt first, as the probes write it."""
    return "".join(["s" for _ in run.system_prompts[:1]] + [item.message["role"][0] for item in run.messages])


def statuses(run: RunResult) -> list[CheckStatus]:
    return [check.status for check in run.checks]


async def test_e1_each_recording_of_a_batch_is_a_run_and_a_failed_assertion_fails_it() -> None:
    execution = await run("e1_batch_eval")
    names = [Path(item.case.recording or "").name for item in execution.runs]
    assert names == ["alpha.recording.json", "beta.recording.json"]
    assert [item.verdict for item in execution.runs] == [Verdict.PASS, Verdict.FAIL]
    assert (execution.totals.passed, execution.totals.failed, execution.exit_code) == (1, 1, 1)


async def test_e3_a_failed_conversation_assertion_fails_the_run_with_the_authors_message() -> None:
    execution = await run("e3_conv_fail")
    (only,) = execution.runs
    assert roles(only) == "sua"
    assert [(check.name, check.status) for check in only.checks] == [("must say zzz", CheckStatus.FAILED)]
    assert (execution.totals.passed, execution.totals.failed, execution.exit_code) == (0, 1, 1)


def test_e4_an_unknown_assertion_type_is_an_error_of_the_file() -> None:
    with pytest.raises(SuiteError, match=r"s\.yaml:13:\d+.*content_inclueds.*did you mean 'content_includes'"):
        Engine.from_file(PROBES / "e4_typo")


@pytest.mark.parametrize("name", ["e5_stream_selfplay", "e5b_nostream_selfplay"])
async def test_e5_streaming_or_not_the_first_generated_turn_fails_and_ends_the_conversation(name: str) -> None:
    execution = await run(name)
    (only,) = execution.runs
    assert roles(only) == "suaua"
    assert statuses(only) == [CheckStatus.FAILED]
    assert only.self_play
    assert execution.exit_code == 1


async def test_e6_pack_evals_run_when_they_are_triggered_and_gate_the_exit_code() -> None:
    execution = await run("e6_pack_evals")
    (only,) = execution.runs
    found = [(check.name, check.status) for check in only.checks if check.kind.startswith("pack_eval:")]
    assert found == [
        ("turn-ev", CheckStatus.FAILED),
        ("turn-ev", CheckStatus.FAILED),
        ("sess-ev", CheckStatus.PASSED),
        ("sess-bad", CheckStatus.FAILED),
    ]
    assert execution.exit_code == 1


@pytest.mark.parametrize("name", ["e7_trials", "e7b_trials_conv"])
async def test_e7_every_trial_is_a_run_and_the_share_that_must_pass_decides(name: str) -> None:
    execution = await run(name)
    assert len(execution.runs) == 3
    assert len({item.run_id for item in execution.runs}) == 3
    assert all(CheckStatus.FAILED in statuses(item) for item in execution.runs)
    (group,) = execution.groups
    (rate,) = group.checks
    assert (rate.rate, rate.flakiness, rate.threshold, rate.ok) == (0.0, 0.0, 0.0, True)
    assert (group.outcome, execution.exit_code) == ("pass", 0)


async def test_e11_limits_refuse_the_call_that_is_too_much_and_mistakes_are_answers_of_the_tool() -> None:
    (only,) = (await run("e11_tools")).runs
    assert roles(only) == "suatttaua"
    first, second, third = [
        str(item.message.get("content")) for item in only.messages if item.message["role"] == "tool"
    ]
    assert first == '{\n  "r": 5\n}'
    assert "args_invalid" in second
    assert third == "Error: tool not found: nope"


async def test_e13_a_missing_variable_is_an_error_before_anybody_is_asked() -> None:
    execution = await run("e13_vars")
    (only,) = execution.runs
    assert only.status is RunStatus.ERROR
    assert only.error is not None
    assert "'name'" in only.error.message
    assert "{{missing}}" in only.error.message or "'missing'" in only.error.message
    assert only.spent.calls == 0
    assert execution.exit_code == 3


def test_e16_wrong_parameters_are_errors_of_their_files() -> None:
    with pytest.raises(SuiteError) as caught:
        Engine.from_file(PROBES / "e16_bad_params")
    files = {Path(problem.position.file).name for problem in caught.value.problems}
    assert {name.partition("_")[0] for name in files} == {"s1", "s7", "s8", "s9", "s10"}


async def test_e16_what_is_no_mistake_of_the_file_fails_when_it_is_run(tmp_path: Path) -> None:
    shutil.copytree(PROBES / "e16_bad_params", tmp_path / "e16")
    arena = tmp_path / "e16" / "config.arena.yaml"
    kept = [line for line in arena.read_text().splitlines() if not any(f"/{n}_" in line for n in _REFUSED)]
    arena.write_text("\n".join(kept) + "\n")
    async with Engine.from_file(tmp_path / "e16") as engine:
        execution = await engine.execute()
    assert len(execution.runs) == 5
    assert [item.verdict for item in execution.runs] == [Verdict.FAIL] * 5
    assert execution.exit_code == 1


_REFUSED = ("s1", "s7", "s8", "s9", "s10")


async def test_e18_what_a_judge_says_that_is_no_verdict_is_an_error_and_never_a_pass() -> None:
    execution = await run("e18_judge_garbage")
    assert [item.status for item in execution.runs] == [RunStatus.ERROR] * 2
    assert execution.exit_code == 3
