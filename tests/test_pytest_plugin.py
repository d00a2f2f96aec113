"""The pytest plugin in sessions of its own, some in this process, some in another."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

import duologue
import duologue.testing
from duologue.conversation import observers
from duologue.pytest_plugin._summary import RunRow, ScenarioReporter, lines_of
from duologue.settings import ScenarioConfig

pytest_plugins = ["pytester"]

REGISTERED = any(entry.name == "duologue" for entry in importlib.metadata.entry_points(group="pytest11"))
PLUGIN = ("-p", "duologue") if REGISTERED else ("-p", "duologue.pytest_plugin")

# A session in this process forgets the modules that it was the first to load; these must not exist twice.
LOADED = [getattr(duologue, name) for name in "arun run read_result user agent Verdict".split()]

PREAMBLE = """
import pytest
import duologue
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent

async def play(name="refund", decisions=(True,), script=None, agent=None, **options):
    agents = [ScriptedUserAgent(["hi"], repeat=True), agent or ScriptedAgent(["hello"], repeat=True)]
    agents += [ScriptedJudge(decisions)] if decisions else []
    return await duologue.arun(name, "d", agents, max_turns=2, script=script, verbose=False, **options)
"""

ONE_OF_EACH = """
async def test_passes():
    assert (await play()).success

async def test_fails():
    result = await play("late", [duologue.ScenarioResult(
        success=False, reasoning="much\\x1b[2J too late", passed_criteria=["polite"], failed_criteria=["in time"])])
    assert result.success

async def test_is_undecided():
    await play("vague", decisions=None)

async def test_breaks():
    await play("broken", agent=ScriptedAgent([OSError("no line")]))
"""


@pytest.fixture
def session(pytester, monkeypatch):
    """Runs pytest with the plugin on the given tests; in this process unless ``apart`` is set."""
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(body, *args, apart=False, ini="", preamble=PREAMBLE):
        pytester.makeini(f"[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n{ini}")
        pytester.makepyfile(preamble + body)
        arguments = [*PLUGIN, "--strict-markers", "--strict-config", "-p", "no:cacheprovider", *args]
        return (pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess)(*arguments)

    return run


def test_the_summary_shows_each_run_with_its_test(session):
    result = session(ONE_OF_EACH)
    result.assert_outcomes(passed=2, failed=2)
    name = "test_the_summary_shows_each_run_with_its_test.py"
    result.stdout.fnmatch_lines(
        [
            "=* duologue: 4 runs: 1 passed, 1 failed, 1 undecided, 1 error *=",
            f"PASSED     refund  {name}::test_passes",
            "    1 turn, 0.* s, agent 0.* s",
            f"FAILED     late  {name}::test_fails",
            "    1 turn, * s, agent * s, 1 of 2 criteria met",
            "    reason: much\\u{1b}[[]2J too late",
            "    not met: in time",
            f"UNDECIDED  vague  {name}::test_is_undecided",
            "    2 turns, *",
            "    NOT A PASS: nothing has decided this run; its test passed all the same*",
            "    reason: Reached maximum turns*",
            f"ERROR      broken  {name}::test_breaks",
            "    reason: AgentError: *no line*",
            "together: * s, agent * s",
        ],
        consecutive=False,
    )
    assert "\x1b[2J" not in result.stdout.str()


def test_an_undecided_run_whose_test_fails_is_no_news(session):
    result = session("async def test_it():\n    assert (await play(decisions=None)).success")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["    NOT A PASS: nothing has decided this run"])
    assert "all the same" not in result.stdout.str()


def test_a_session_without_runs_prints_nothing_and_loads_nothing_heavy(session, pytester):
    pytester.makeconftest(
        """
import sys
def pytest_unconfigure(config):
    heavy = {"pydantic", "duologue.settings", "duologue.conversation.result", "rich", "httpx"} & set(sys.modules)
    assert "duologue.pytest_plugin" in sys.modules
    assert not heavy, heavy
"""
    )
    result = session("def test_it():\n    pass", apart=True, preamble="")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert "duologue:" not in result.stdout.str()


def test_runs_in_worker_threads_and_in_fixtures_belong_to_the_test_too(session):
    result = session(
        """
@pytest.fixture
async def rehearsed():
    return await play("in the fixture")

@pytest.mark.duologue
@pytest.mark.agent_test
async def test_it(rehearsed):
    agents = [ScriptedUserAgent(["hi"]), ScriptedAgent(["hello"]), ScriptedJudge([True])]
    assert (await duologue.run("in a thread", "d", agents, verbose=False)).success
"""
    )
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [r"PASSED     in the fixture  .*::test_it", r"PASSED     in a thread  .*::test_it"], consecutive=False
    )


def test_a_run_outside_of_any_test_is_shown_without_one(session):
    result = session("import asyncio\nasyncio.run(play('early'))\n\ndef test_it():\n    pass")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["PASSED     early"])


def test_a_failed_assertion_in_a_step_is_a_fail_of_the_run_and_of_the_test(session):
    result = session(
        """
def nothing_was_booked(state):
    assert state.has_tool_call("book"), "nothing was booked"

async def test_it():
    await play(script=[duologue.user(), duologue.agent(), nothing_was_booked])
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED     refund *", "*nothing was booked*"])


def properties_of(path, test):
    [case] = [case for case in ElementTree.parse(path).iter("testcase") if case.get("name") == test]
    return {item.get("name"): item.get("value") for item in case.iter("property")}


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_the_junit_report_has_the_facts_of_each_run(session, pytester, workers):
    if workers:
        pytest.importorskip("xdist")
    result = session(
        ONE_OF_EACH + "\nasync def test_twice():\n    await play('first')\n    await play('second', [False])\n",
        "--junitxml=junit.xml",
        "--duologue-record=journals",
        *workers,
        apart=bool(workers),
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["=* duologue: 6 runs: 2 passed, 2 failed, 1 undecided, 1 error *="])
    path = pytester.path / "junit.xml"

    found = properties_of(path, "test_fails")
    assert found["duologue_verdict"] == "fail"
    assert found["duologue_scenario"] == "late"
    assert found["duologue_turns"] == "1"
    assert found["duologue_termination"] == "judged"
    assert (found["duologue_criteria_passed"], found["duologue_criteria_failed"]) == ("1", "1")
    assert "too late" in found["duologue_reason"]
    assert float(found["duologue_total_time"]) >= float(found["duologue_agent_time"])
    kept = duologue.read_result(found["duologue_journal"])
    assert kept.run_id == found["duologue_run_id"]
    assert kept.journal.parent == pytester.path / "journals"

    broken = properties_of(path, "test_breaks")
    assert "duologue_verdict" not in broken
    assert broken["duologue_status"] == "error"

    twice = properties_of(path, "test_twice")
    assert (twice["duologue_scenario"], twice["duologue_scenario_2"]) == ("first", "second")
    assert (twice["duologue_verdict"], twice["duologue_verdict_2"]) == ("pass", "fail")


def test_it_works_without_a_terminal_reporter(session):
    result = session(ONE_OF_EACH, "-p", "no:terminal")
    assert result.ret == 1
    assert "duologue:" not in result.stdout.str()


@pytest.mark.parametrize(
    ("mode", "shown", "hidden"), [("problems", ["vague"], ["refund"]), ("none", [], ["vague", "duologue:"])]
)
def test_the_summary_may_be_shortened(session, mode, shown, hidden):
    body = "async def test_it():\n    await play()\n    await play('vague', None)"
    for options in ({"ini": f"duologue_summary = {mode}"}, {}):
        out = session(body, *([] if options else [f"--duologue-summary={mode}"]), **options).stdout.str()
        assert all(text in out for text in shown)
        assert not any(text in out.split("test session starts")[1] for text in hidden)


def test_options_change_the_defaults_of_this_session_only(session, pytester):
    before = ScenarioConfig(max_turns=7)
    ScenarioConfig.default_config = before
    body = """
duologue.configure(max_turns=3, seed=99)

async def test_it(request):
    config = duologue.default_config
    assert (config.max_turns, config.seed, config.headless) == (3, 5, True)
    result = await play()
    assert result.seed == 5
    assert result.journal.parent == request.config.rootpath / "kept" / "here"
"""
    session(body, "--duologue-seed=5", "--duologue-headless", "--duologue-record=kept/here").assert_outcomes(passed=1)
    assert duologue.default_config.seed == 99
    ini = "duologue_seed = 5\nduologue_headless = true\nduologue_record = kept/here"
    session(body, ini=ini).assert_outcomes(passed=1)
    assert len(list((pytester.path / "kept" / "here").iterdir())) == 2


def test_no_option_leaves_the_defaults_alone(session):
    session("async def test_it():\n    await play()\n    assert duologue.default_config is None").assert_outcomes(
        passed=1
    )
    assert ScenarioConfig.default_config is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--duologue-seed=many", "found 'many', expected a whole number"),
        ("--duologue-record=a.jsonl", "expected a folder"),
        ("--duologue-summary=some", "expected one of all, problems, none"),
    ],
)
def test_wrong_options_are_refused_in_words(session, option, message):
    result = session("def test_it():\n    pass", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{message}*"])


def test_debugging_and_workers_do_not_go_together(session):
    pytest.importorskip("xdist")
    result = session("def test_it():\n    pass", "--duologue-debug", "-n2", apart=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "without -n" in result.stderr.str()


def test_in_debug_mode_a_person_may_type_at_the_terminal(pytester):
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    body = "async def test_it():\n    result = await play()\n    assert result.messages[0]['content'] == 'typed'"
    pytester.makepyfile(PREAMBLE + body)
    done = pytester.run(sys.executable, "-m", "pytest", *PLUGIN, "--duologue-debug", stdin=b"typed\n")
    done.assert_outcomes(passed=1)
    assert "Your message as the user" in done.stdout.str()


def test_a_test_may_look_at_the_runs_so_far(session):
    result = session(
        """
async def test_it(duologue_reporter, scenario_reporter):
    assert scenario_reporter is duologue_reporter
    assert duologue_reporter.get_summary()["success_rate"] == 0
    await play()
    await play("vague", None)
    with pytest.raises(duologue.errors.AgentError):
        await play("broken", agent=ScriptedAgent([OSError("no line")]))
    assert [entry["scenario"].name for entry in scenario_reporter.results] == ["refund", "vague", "broken"]
    assert scenario_reporter.results[0]["result"].success
    scenario_reporter.add_result("by hand", duologue.ScenarioResult(success=False))
    assert duologue_reporter.get_summary() == {
        "total": 4, "passed": 1, "failed": 1, "undecided": 1, "errors": 1, "success_rate": 25.0
    }
    duologue_reporter.print_report()
""",
        "-s",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*duologue: 4 runs: 1 passed, 1 failed, 1 undecided, 1 error", "FAILED     by hand"])


def test_nobody_listens_after_the_session(session):
    before = observers._observers
    session("async def test_it():\n    await play()").assert_outcomes(passed=1)
    assert observers._observers == before


def test_the_package_declares_the_plugin():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    [name] = project["project"]["entry-points"]["pytest11"].values()
    assert importlib.util.find_spec(name)


def test_the_summary_names_the_cost_when_models_were_asked():
    result = duologue.ScenarioResult(success=True, usage=duologue.journal.events.Usage(input_tokens=3), cost=0.25)
    figures = [line for line, _ in lines_of(RunRow.of(result))][1]
    assert "$0.2500" in figures
    unknown = [line for line, _ in lines_of(RunRow.of(result.model_copy(update={"cost": None})))][1]
    assert re.search(r"\bcost unknown\b", unknown)
    reporter = ScenarioReporter()
    reporter.add_result("x", result)
    assert reporter.get_summary()["passed"] == 1
