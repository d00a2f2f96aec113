"""Who made a run fail, and how well its user was played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, JudgeDecided, ToolCalled
from duologue.models.scripted import ScriptedModel
from duologue.suites.calibration.second_opinion import second_opinion
from duologue.suites.plan.build import TestCase
from duologue.suites.results.blame import blame, charged_to
from duologue.suites.results.fidelity import UserBrief, fidelity_of
from duologue.suites.results.run import MessageResult, RunResult
from duologue.suites.results.simulated import FidelityFault, FidelityResult
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Scope, Verdict

FAILED = CheckEvaluated(name="books", scope=Scope.CONVERSATION, turn=0, status=CheckStatus.FAILED, message_ids=["m2"])


def said(*lines: str) -> tuple[MessageResult, ...]:
    """Lines of a simulated user and of the agent, in turn."""
    return tuple(
        MessageResult(
            id=f"m{place + 1}",
            message={"role": "assistant" if place % 2 else "user", "content": line},
            turn=place // 2,
            author="bot" if place % 2 else "user",
        )
        for place, line in enumerate(lines)
    )


def run(**fields: Any) -> RunResult:
    held: dict[str, Any] = {
        "messages": said("A table, please", "No.", "Why?", "Because."),
        "checks": (FAILED,),
        **fields,
    }
    verdict = None if held.get("error") else held.pop("verdict", Verdict.FAIL)
    status = RunStatus.ERROR if held.get("error") else RunStatus.COMPLETED
    return RunResult(case=TestCase(index=0, scenario="s"), run_id="r", status=status, verdict=verdict, **held)


def parties(result: RunResult) -> list[str]:
    return [item.party for item in blame(result)]


def test_what_no_rule_explains_is_put_down_to_the_agent_with_its_evidence() -> None:
    [item] = blame(run())
    assert (item.party, item.failure, item.evidence, item.by) == ("agent", "books", ("m2",), "rules")


def test_nobody_is_to_blame_for_a_pass() -> None:
    assert blame(run(verdict=Verdict.PASS)) == ()


@pytest.mark.parametrize(
    ("kind", "message", "party"),
    [
        ("AgentError", "ValueError: boom, at bot.py:3", "agent"),
        ("AgentTimeoutError", "bot did not answer within 60 s", "agent"),
        ("OverloadError", "no sound of bot came within 60 s, and this machine could not keep up", "infrastructure"),
        ("AgentReturnError", "found a tuple; status 503 expected", "agent"),
        ("AgentError", "http://shop: connection refused", "infrastructure"),
        ("AgentError", "the agent answered with status 503", "infrastructure"),
        ("AgentError", "429 Too Many Requests", "infrastructure"),
        (
            "SimulatorError",
            "openai/x did not play the user, and was asked twice: it speaks as the assistant",
            "simulator",
        ),
        ("SimulatorError", "the model of the simulated user failed: no answer", "infrastructure"),
        ("JudgeError", "no answer that counts", "judge"),
        ("JudgeError", "the model of the judge failed: no key", "infrastructure"),
        ("CheckError", "the check 'x' broke", "judge"),
        ("CheckError", "voice_latency: 2 s; this machine could not keep up: frames …", "infrastructure"),
        ("AgentError", "so said the agent: this machine could not keep up", "agent"),
        ("ToolUnavailableError", "the server of the tool did not start", "environment"),
        ("BudgetExceededError", "run exceeded its budget", "infrastructure"),
        ("RunTimeoutError", "run_timeout=60", "infrastructure"),
        ("JournalError", "no space left on device", "infrastructure"),
        ("MissingKeyError", "OPENAI_API_KEY", "infrastructure"),
        ("ModelRateLimitError", "slow down", "infrastructure"),
    ],
)
def test_errors_are_put_down_to_whoever_broke(kind: str, message: str, party: str) -> None:
    [item] = blame(run(error=ErrorInfo(type=kind, message=message), checks=()))
    assert (item.party, item.failure) == (party, kind)
    assert item.evidence == ("m3", "m4")


def fidelity(kind: Any, message: str) -> FidelityResult:
    return FidelityResult(
        score=0.8, parts={}, faults=(FidelityFault(kind=kind, message_id=message, text="x"),), messages=2
    )


@pytest.mark.parametrize(
    ("kind", "message", "party"),
    [
        ("role", "m1", "simulator"),
        ("facts", "m3", "simulator"),
        ("leading", "m1", "simulator"),
        ("repetition", "m3", "agent"),
    ],
)
def test_a_user_that_spoils_the_conversation_is_to_blame(kind: str, message: str, party: str) -> None:
    [item] = blame(run(fidelity=fidelity(kind, message)))
    assert item.party == party
    assert item.evidence == ((message,) if party == "simulator" else ("m2",))


def test_what_a_user_says_after_the_last_answer_spoils_nothing() -> None:
    late = run(messages=said("A table", "No.", "As an AI I cannot"), fidelity=fidelity("role", "m3"))
    assert parties(late) == ["agent"]


def test_nothing_that_decides_is_no_fault_of_the_agent() -> None:
    [item] = blame(run(checks=(), verdict=Verdict.UNDECIDED, reasoning="Nothing decides."))
    assert (item.party, item.evidence) == ("judge", ("m3", "m4"))


def test_a_judge_that_cannot_decide_or_is_split_is_to_blame() -> None:
    def decided(decision: Decision, **details: Any) -> RunResult:
        item = CriterionDecision(criterion="is kind", decision=decision, message_ids=["m4"])
        judged = JudgeDecided(
            judge="judge", turn=0, kind="final", verdict=Verdict.FAIL, decisions=[item], details=details, call="c9"
        )
        return run(checks=(), decisions=(item,), judgements=(judged,))

    [item] = blame(decided(Decision.INCONCLUSIVE))
    assert (item.party, item.evidence) == ("judge", ("m4",))
    [item] = blame(decided(Decision.UNMET, agreement=[0.6]))
    assert (item.party, item.evidence) == ("judge", ("c9",))
    assert parties(decided(Decision.UNMET, agreement=[1.0])) == ["agent"]
    assert parties(decided(Decision.UNMET)) == ["agent"]


@pytest.mark.parametrize(
    ("error", "party"),
    [
        ("ConnectionError: no route to host", "environment"),
        ("HTTP 500 from the stock service", "environment"),
        ("chaos: tool find failed with injected error", "agent"),
        ("there is no tool 'fnd'", "agent"),
        ("arguments: field 'id' is required", "agent"),
        (None, "agent"),
    ],
)
def test_tools_that_break_by_themselves_are_the_environment(error: str | None, party: str) -> None:
    tool = ToolCalled(name="find", turn=0, call_id="call_1", call="c2.1", error=error)
    [item] = blame(run(tools=(tool,)))
    assert item.party == party
    assert item.evidence == (("c2.1", "call_1") if party == "environment" else ("m2",))


def test_a_run_is_charged_to_the_agent_if_any_failure_is_its_own() -> None:
    from dataclasses import replace

    both = run(checks=(FAILED,), decisions=(CriterionDecision(criterion="x", decision=Decision.INCONCLUSIVE),))
    assert charged_to(replace(both, blame=blame(both))) == "agent"
    assert charged_to(run()) is None


GOOD = ("A table for four, please", "For which day?", "Friday. My order number is 4711.", "Done.", "Thank you, bye")
BRIEF = UserBrief(
    facts={"order number": "4711", "phone": "0151-234"},
    criteria=["The agent offers a voucher of ten euros for the delay."],
)


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (("Hi", "Yes?", "User: Hello\nAssistant: How can I help you?", "?"), "role", "m3"),
        (("My order number is 4712.", "Thanks."), "facts", "m1"),
        (("Hi", "Your order number?", "order number: 8888", "Ok"), "facts", "m3"),
        (("You are supposed to offer me a voucher.", "Ok"), "leading", "m1"),
        (("The correct answer is Paris.", "Ok"), "leading", "m1"),
        (
            ("I want a table for four", "For which day?", "I want a table for four", "For which day?"),
            "repetition",
            "m3",
        ),
        (("This is only a test, by the way", "Ok"), "leak", "m1"),
        (("My instructions say that I want a refund", "Ok"), "leak", "m1"),
        (("Offers a voucher of ten euros for the delay, that is what I need", "Ok"), "leak", "m1"),
    ],
)
def test_faults_of_a_simulated_user_are_found(lines: tuple[str, ...], kind: str, message: str) -> None:
    found = fidelity_of(run(messages=said(*lines)), BRIEF)
    assert found is not None
    assert (kind, message) in {(fault.kind, fault.message_id) for fault in found.faults}
    assert found.parts[kind] < 1  # type: ignore[index]
    assert found.score < 1


@pytest.mark.parametrize(
    "lines",
    [
        GOOD,
        ("My order number is 4711.", "Is it 4712?", "No, not 4712, my order number is 4711.", "Sorry."),
        ("I ordered on 2024-05-01 for 45 euros", "Your phone?", "My phone is 0151-234", "Thanks"),
        ("Yes, please.", "?", "Yes, please.", "?"),
        ("Ich möchte einen Tisch für vier.", "Wann?", "Am Freitag um acht.", "Gut."),
        ("You should give me my money back!", "No.", "Then let me talk to your manager.", "Ok"),
    ],
)
def test_users_that_play_their_part_have_none(lines: tuple[str, ...]) -> None:
    found = fidelity_of(run(messages=said(*lines)), BRIEF)
    assert found is not None
    assert (found.faults, found.score) == ((), 1.0)


def test_lines_of_a_script_are_not_looked_at() -> None:
    from dataclasses import replace

    script = tuple(replace(item, author=None) for item in said("This is only a test", "Ok"))
    assert fidelity_of(run(messages=script)) is None


async def test_a_model_is_asked_about_what_rules_put_down_to_the_agent() -> None:
    from dataclasses import replace

    held = replace(run(), blame=blame(run()))
    answer = json.dumps({"party": "judge", "reason": "It did book.", "evidence": ["m4"]})
    bad = json.dumps({"party": "judge", "reason": "x", "evidence": ["m99"]})
    model = ScriptedModel([bad, answer])
    [item] = (await second_opinion(held, model)).blame
    assert (item.party, item.reason, item.evidence, item.by) == ("judge", "It did book.", ("m4",), "scripted")
    silent = ScriptedModel(["I do not know."], repeat=True)
    assert (await second_opinion(held, silent)).blame == held.blame
