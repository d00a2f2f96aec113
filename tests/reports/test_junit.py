"""JUnit XML: what readers of it rely on, and that it is red exactly when the execution is."""

from __future__ import annotations

import io
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.journal.events import CheckEvaluated
from duologue.messages import assistant_message, tool_call
from duologue.reports.junit import render_junit, save_junit, write_junit
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution
from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import Allowance
from duologue.suites.results.run import MessageResult
from duologue.vocabulary import CheckStatus, RunStatus, Scope, Termination

CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["testcase"],
    "testcase": ["properties", "failure", "error", "skipped", "system-out"],
    "properties": ["property"],
}
NEEDED = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
    "properties": set(),
}


def read(execution):
    """The report, held against the rules of the format."""
    root = ET.fromstring(render_junit(execution).encode("utf-8"))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == NEEDED[element.tag]
        allowed = CHILDREN.get(element.tag, [])
        places = [allowed.index(child.tag) for child in element]
        assert places == sorted(places)
        if element.tag == "testcase":
            assert len(places) == len(set(places))
            assert sum(child.tag in {"failure", "error", "skipped"} for child in element) <= 1
        if "tests" in element.attrib:
            cases = list(element.iter("testcase"))
            found = {"tests": len(cases), **{f"{tag}s": count(cases, tag) for tag in ("failure", "error")}}
            found |= {"skipped": count(cases, "skipped")} if element.tag == "testsuite" else {}
            assert {name: int(element.attrib[name]) for name in found} == found
    return root


def count(cases, tag):
    return sum(case.find(tag) is not None for case in cases)


def is_red(execution):
    root = read(execution)
    return root.find(".//failure") is not None or root.find(".//error") is not None


def test_the_report_of_a_small_suite(execution, golden, tmp_path):
    assert save_junit(execution, tmp_path / "deep" / "junit.xml").read_text("utf-8") == render_junit(execution)
    golden("junit.xml", render_junit(execution))


def test_each_scenario_is_a_suite_and_each_case_of_the_plan_is_in_it(execution):
    root = read(execution)
    assert [suite.get("name") for suite in root] == list(dict.fromkeys(case.scenario for case in execution.plan.cases))
    named = [case.get("name") for case in root.iter("testcase")]
    assert sorted(named) == sorted(case.title for case in execution.plan.cases)


@pytest.mark.parametrize(
    ("title", "element", "kind", "said"),
    [
        ("book-a-room · desk-mini · hurried", "failure", "CheckFailed",
         "content_excludes: found 'if you decide now' (and 2 more)"),
        ("ask-for-breakfast · desk-large", "failure", "Undecided", "The agent offers breakfast"),
        ("ask-for-breakfast · desk-mini", "error", "AgentTimeoutError", "did not answer within 60 s"),
        ("late-checkout · desk-mini · north · hour=23:00", "skipped", None, "not run"),
    ],
)  # fmt: skip
def test_why_a_case_did_not_pass(execution, title, element, kind, said):
    case = next(case for case in read(execution).iter("testcase") if case.get("name") == title)
    found = case.find(element)
    assert found.get("type") == kind
    assert said in found.get("message")


def test_what_failed_is_told_with_the_messages_that_it_rests_on(execution):
    told = next(element.text for element in read(execution).iter("failure"))
    assert "A price was promised that is not in the list of rates." in told
    assert "m4 assistant: Room 204 looks out on the garden. It is € 99 if you decide now a night." in told
    assert "criterion No price outside the list of rates is promised: It offers € 99" in told
    assert "guardrail banned_words" in told


def test_a_failure_that_rests_on_a_tool_call_shows_the_call(samples, capsys):
    call = tool_call("refund_order", {"order": 1}, "c1")
    message = MessageResult(id="m2", message=assistant_message(None, tool_calls=[call]), turn=0)
    check = CheckEvaluated(
        name="none",
        scope=Scope.TURN,
        turn=0,
        status=CheckStatus.FAILED,
        explanation="it refunded",
        message_ids=["m2"],
    )
    execution = of_outcomes(samples, ["fail"])
    run = replace(execution.runs[0], messages=(message,), checks=(check,))
    execution = replace(execution, runs=(run,))
    told = next(element.text for element in read(execution).iter("failure"))
    assert 'm2 assistant: refund_order({"order": 1})' in told
    print_execution(execution)
    for report in (render_markdown(execution), capsys.readouterr().out):
        assert "order" in report.partition("it refunded")[2].partition("{")[2][:20]


def test_the_output_holds_the_last_messages_and_says_what_is_left_out(execution):
    output = read(execution).find(".//system-out").text
    assert output.startswith("… 2 earlier messages\nm3 tool:")
    assert output.endswith("Your number is HH-2214.")


def of_outcomes(samples, outcomes, allowance=None):
    """An execution with a run for each outcome; None for a case that was not run."""
    cases = [samples.case(index, f"s{index % 3}", f"a{index}") for index in range(len(outcomes))]
    made = {"pass": samples.run_of, "fail": samples.failing, "error": samples.broken, "undecided": samples.undecided}

    def cancelled(case):
        return samples.run_of(case, None, status=RunStatus.CANCELLED, termination=Termination.CANCELLED)

    runs = [made.get(word, cancelled)(case) for case, word in zip(cases, outcomes, strict=True) if word]
    return replace(
        samples.hotel(),
        plan=Plan(suite="s", cases=tuple(cases), seed=1),
        runs=tuple(runs),
        thresholds={},
        allowance=allowance or Allowance(),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    outcomes=st.lists(st.sampled_from(["pass", "fail", "undecided", "error"]), min_size=1, max_size=6),
    undecided=st.none() | st.integers(0, 3),
    errors=st.none() | st.integers(0, 3),
)
def test_it_is_red_exactly_when_the_execution_is(samples, outcomes, undecided, errors):
    execution = of_outcomes(samples, outcomes, Allowance(undecided=undecided, errors=errors))
    assert is_red(execution) == (execution.exit_code in {1, 3})


def test_cancelled_and_missing_cases_are_skipped(samples):
    root = read(of_outcomes(samples, ["pass", "cancelled", None]))
    assert [element.get("message").split(".")[0] for element in root.iter("skipped")] == ["cancelled", "not run"]


def test_a_failed_trial_of_a_case_that_has_enough_others_is_skipped(samples):
    cases = [samples.case(index, "s", "a", trial=index + 1, trials=3) for index in range(3)]

    def shaky(case, passed):
        verdict = "pass" if passed else "fail"
        return samples.run_of(case, samples.Verdict(verdict), checks=(samples.check("shaky", passed),))

    runs = [shaky(case, index != 1) for index, case in enumerate(cases)]
    whole = replace(samples.hotel(), plan=Plan(suite="s", cases=tuple(cases), seed=1), runs=tuple(runs))
    excusing = replace(whole, thresholds={cases[0].group: {"shaky": 0.6}})
    assert excusing.exit_code == 0
    [skipped] = read(excusing).iter("skipped")
    assert "2 of 3 trials passed" in skipped.get("message")
    strict = replace(whole, thresholds={cases[0].group: {"shaky": 0.9}})
    assert strict.exit_code == 1
    assert is_red(strict)


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_stays_text(samples, number):
    text = samples.HOSTILE[number]
    root = read(samples.hostile(text))
    assert [element.tag for element in root] == ["testsuite", "testsuite"]
    if text.isprintable():
        assert text in root.find(".//system-out").text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(text=st.text(alphabet=st.characters(), min_size=1, max_size=30))
def test_any_text_gives_a_report_that_can_be_read(samples, text):
    read(samples.hostile(text))


def test_it_can_be_written_piece_by_piece(execution):
    out = io.StringIO()
    write_junit(execution, out)
    assert out.getvalue() == render_junit(execution)
