"""``duologue run`` and ``plan`` on suites: what is kept, what is shown, exit codes, and taking up what was cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from waiting import LONG, wait_until

from duologue.cli.app import invoke
from duologue.cli.commands.suite_run import Request, run_suite
from duologue.errors import SuiteError
from duologue.suites.execution.launch import Observer
from duologue.suites.plan.build import Filters
from duologue.suites.runner.definition import RunOptions

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models: [{name: m, provider: mock, model: tiny, mock_file: mock.yaml}]
  agents: [{name: bot, model: m}]
  personas: [{name: calm, description: A calm person.}]
  simulators: [{name: sim, model: m}]
  judges: [{name: referee, model: m}]
  prompts: [{name: support, system_template: "You help."}]
  scenarios:
    - name: order
      description: Somebody orders a pizza.
      prompt: support
      tags: [smoke]
      turns:
        - content: I want a pizza.
          checks: [{type: contains, params: {patterns: [pizza]}}]
        - {role: simulated_user, persona: calm, exchanges: 2}
      criteria: [The agent offers a pizza.]
    - name: rude
      description: Somebody is rude.
      prompt: support
      turns: [{content: You fool.}]
      checks: [{type: content_excludes, params: {patterns: [fool]}}]
  defaults: {seed: 7}
"""
MOCK = """
defaultResponse: As you like.
scenarios:
  order: {turns: {1: "Which pizza?"}}
  rude: {defaultResponse: "You are a fool."}
selfplay:
  calm: {turns: {1: A large one., 2: Thanks.}}
judges: {referee: pass}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE)
    (folder / "mock.yaml").write_text(MOCK)
    return folder


def index(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "index.json").read_text())


def test_a_run_leaves_an_index_every_run_every_journal_and_the_reports(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = invoke(["run", str(shop), "--out", str(out), "--format", "junit,md", "--format", "html", "--ci"])
    assert code == 1
    told = index(out)
    assert (told["totals"]["passed"], told["totals"]["failed"], told["exit_code"]) == (1, 1, 1)
    assert [line["outcome"] for line in told["runs"]] == ["pass", "fail"]
    for line in told["runs"]:
        run = json.loads((out / line["file"]).read_text())
        assert run["run_id"] == line["run_id"]
        assert (out / line["journal"]).read_text().startswith('{"seq":0,')
    (suites,) = [ElementTree.parse(out / "junit.xml").getroot()]
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert "order" in (out / "report.md").read_text()
    assert "<html" in (out / "report.html").read_text()


def test_what_failed_is_shown_with_its_reason_and_where_to_look(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "--ci"]) == 1
    shown = capsys.readouterr().out
    assert "rude" in shown
    assert "fool" in shown
    assert "1 passed" in shown
    assert "1 failed" in shown
    assert "out" in shown


def test_in_ci_the_report_goes_into_the_summary_of_the_job(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert invoke(["run", str(shop), "--out", "quiet", "-q"]) == 1
    assert not summary.exists()
    assert invoke(["run", str(shop), "--out", "out", "--ci"]) == 1
    assert summary.read_text().startswith("# shop: failed")
    assert str(summary) in capsys.readouterr().out.replace("\n", "")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    assert invoke(["run", str(shop), "--out", "again", "--ci"]) == 1
    assert "which cannot be written" in capsys.readouterr().err


def test_who_watches_gives_the_terminal_back_whatever_happens(tmp_path: Path) -> None:
    closed: list[bool] = []

    class Watching(Observer):
        def close(self) -> None:
            closed.append(True)

    with pytest.raises(SuiteError):
        run_suite(str(tmp_path / "nowhere.yaml"), Request(filters=Filters(), settings=RunOptions()), [Watching()])
    assert closed == [True]


@pytest.mark.parametrize("how", [["--ci"], ["-q"], ["--tui"], []])
def test_a_terminal_that_knows_few_characters_does_not_change_what_came_of_it(shop: Path, how: list[str]) -> None:
    command = [sys.executable, "-m", "duologue", "run", str(shop), "--tag", "smoke", "--out", "out", *how]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"? order" in done.stdout
    assert b"Traceback" not in done.stderr


def test_json_is_whole_where_few_characters_are_known(shop: Path) -> None:
    command = [sys.executable, "-m", "duologue", "run", str(shop), "--out", "out", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=LONG, check=False)
    assert json.loads(done.stdout)["runs"][0]["title"] == "order \N{MIDDLE DOT} bot"


@pytest.mark.parametrize("words", [["--mock", "--out", "out"], ["--mock=--quiet"], ["--mock", "-q"]])
def test_an_option_is_not_taken_for_the_response_file(
    shop: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", str(shop), *words]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "expected a response file. Fixed answers without a file are --mock-all" in told


def test_all_passed_is_exit_code_0_and_filters_choose(shop: Path) -> None:
    assert invoke(["run", str(shop), "--tag", "smoke", "--out", "out", "-q"]) == 0
    assert [line["title"] for line in index(Path("out"))["runs"]] == ["order · bot"]


def test_json_is_one_document_and_nothing_else(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == "out"
    assert told["totals"]["cases"] == 2


def test_two_launches_with_one_seed_say_the_same(shop: Path) -> None:
    for name in ("a", "b"):
        invoke(["run", str(shop), "--out", name, "-q", "--trials", "2"])
    texts: list[list[Any]] = []
    for name in ("a", "b"):
        runs = [json.loads((Path(name) / line["file"]).read_text()) for line in index(Path(name))["runs"]]
        texts.append([[item["message"] for item in run["messages"]] for run in runs])
        assert len(runs) == 4
    assert texts[0] == texts[1]


def test_results_are_never_overwritten_unless_it_is_asked_for(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 1
    first = index(Path("out"))["id"]
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert index(Path("out"))["id"] == first
    assert invoke(["run", str(shop), "--out", "out", "-q", "--overwrite"]) == 1
    assert index(Path("out"))["id"] != first
    assert len(list(Path("out/runs").iterdir())) == 2


def test_only_what_did_not_pass_is_run_again(shop: Path) -> None:
    invoke(["run", str(shop), "--out", "first", "-q"])
    (shop / "mock.yaml").write_text(MOCK.replace("You are a fool.", "I am sorry."))
    assert invoke(["run", str(shop), "--failed-in", "first", "--out", "second", "-q"]) == 0
    assert [line["title"] for line in index(Path("second"))["runs"]] == ["rude · bot"]
    assert invoke(["run", str(shop), "--failed-in", "second", "--out", "third", "-q"]) == 2


def test_fail_fast_begins_nothing_after_a_failure_and_says_what_was_not_run(shop: Path) -> None:
    code = invoke(
        ["run", str(shop), "--scenario", "rude", "--trials", "5", "-j", "1", "--fail-fast", "--out", "out", "-q"]
    )
    assert code == 1
    told = index(Path("out"))
    assert (told["totals"]["runs"], told["totals"]["not_run"]) == (1, 4)


def test_mock_models_cost_nothing_whatever_their_price(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    priced = "mock_file: mock.yaml, pricing: {input_cost_per_1k: 100, output_cost_per_1k: 100}"
    (shop / "suite.yaml").write_text(SUITE.replace("mock_file: mock.yaml", priced))
    assert invoke(["plan", str(shop)]) == 0
    assert "no cost" in capsys.readouterr().out
    assert invoke(["run", str(shop), "--tag", "smoke", "--out", str(tmp_path / "out"), "--budget", "0.001"]) == 0
    told = index(tmp_path / "out")["spent"]["total"]
    assert told["calls"] > 0
    assert (told["cost"], told["unpriced"]) == (0.0, 0)
    shown = capsys.readouterr().out
    assert "tokens · no cost" in shown
    assert "$" not in shown


def test_mock_mode_needs_no_key_for_any_model(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    text = SUITE.replace(
        "{name: m, provider: mock, model: tiny, mock_file: mock.yaml}", "{name: m, provider: openai, model: gpt-5}"
    )
    (shop / "suite.yaml").write_text(text)
    assert invoke(["run", str(shop), "--mock", str(shop / "mock.yaml"), "--tag", "smoke", "--out", "out", "-q"]) == 0
    assert invoke(["run", str(shop), "--tag", "smoke", "--out", "real", "-q"]) == 2
    assert not Path("real").exists()
    assert invoke(["run", str(shop), "--tag", "smoke", "--out", "real", "-q", "--no-preflight"]) == 3
    assert "OPENAI_API_KEY" in index(Path("real"))["runs"][0]["reasoning"]


def test_without_a_verdict_the_exit_code_is_3_unless_that_is_allowed(shop: Path) -> None:
    (shop / "suite.yaml").write_text(
        SUITE.replace("      checks: [{type: content_excludes, params: {patterns: [fool]}}]\n", "")
    )
    assert invoke(["run", str(shop), "--scenario", "rude", "--out", "a", "-q"]) == 3
    assert invoke(["run", str(shop), "--scenario", "rude", "--allow-undecided", "1", "--out", "b", "-q"]) == 0
    assert invoke(["run", str(shop), "--scenario", "rude", "--allow-undecided", "some", "--out", "c", "-q"]) == 2


def test_a_folder_of_suites_is_run_one_after_the_other_and_the_worst_exit_code_counts(
    shop: Path, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    (good / "suite.yaml").write_text(SUITE.split("    - name: rude", maxsplit=1)[0] + "  defaults: {seed: 7}\n")
    (good / "mock.yaml").write_text(MOCK)
    assert invoke(["run", str(tmp_path), "--out", "both", "-q"]) == 1
    assert index(Path("both/good"))["exit_code"] == 0
    assert index(Path("both/shop"))["exit_code"] == 1


def test_a_suite_with_mistakes_is_exit_code_2_and_nothing_is_run(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "suite.yaml").write_text(
        SUITE.replace("exchanges: 2", "exchange: 2").replace("persona: calm", "persona: clam")
    )
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 2
    told = capsys.readouterr().err
    assert "suite.yaml:20:49" in told
    assert "'exchange'" in told
    assert not Path("out").exists()


def test_plan_lists_the_cases_and_what_they_take(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["plan", str(shop), "--trials", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(case["scenario"], case["trial"]) for case in told["cases"]] == [
        ("order", 1),
        ("order", 2),
        ("rude", 1),
        ("rude", 2),
    ]
    # order: three answers, two simulated lines, one judgement; rude: one answer.
    assert (
        told["estimate"]["agent"]["calls"],
        told["estimate"]["user"]["calls"],
        told["estimate"]["judge"]["calls"],
    ) == (8, 4, 2)
    assert invoke(["plan", str(shop)]) == 0
    assert "2 test cases, seed 7" in capsys.readouterr().out


AGENT = """
import os, time
from pathlib import Path

COUNT = Path(__file__).with_name("calls")

def answer(input):
    with COUNT.open("a") as file:
        file.write(input.last_new_user_message_str() + "\\n")
    if len(COUNT.read_text().splitlines()) == 8 and os.environ.get("HANG"):
        Path(__file__).with_name("hanging").touch()
        time.sleep(60)
    return "yes"
"""
TEN = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: ten}
spec:
  agents: [{name: slow, target: "agent.py:answer"}]
  scenarios:
    - name: ask
      description: d
      turns: [{content: "{n}", perturbations: {n: [a, b, c, d, e, f, g, h, i, j]}}]
      checks: [{type: contains, params: {patterns: [yes]}}]
  defaults: {seed: 7, concurrency: 1}
"""


def test_a_killed_execution_is_taken_up_where_it_was_and_no_finished_run_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(TEN)
    (tmp_path / "agent.py").write_text(AGENT)
    command = [sys.executable, "-m", "duologue", "run", str(tmp_path), "--out", str(tmp_path / "out"), "-q"]
    with subprocess.Popen(command, env={**os.environ, "HANG": "1"}) as process:
        wait_until((tmp_path / "hanging").exists)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out/index.json").exists()
    assert len(list((tmp_path / "out/runs").glob("*.json"))) == 7
    again = subprocess.run(
        [*command[:4], "--resume", str(tmp_path / "out"), str(tmp_path), "-q"], timeout=LONG, check=False
    )
    assert again.returncode == 0
    told = index(tmp_path / "out")
    assert (told["totals"]["passed"], told["totals"]["runs"]) == (10, 10)
    assert (tmp_path / "calls").read_text().split() == list("abcdefgh") + list("hij")
    assert len(list((tmp_path / "out/journals").glob("*.jsonl"))) == 10


def test_ctrl_c_lets_runs_under_way_finish_and_exits_with_130(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(TEN)
    (tmp_path / "agent.py").write_text(AGENT.replace("time.sleep(60)", "time.sleep(1)"))
    command = [sys.executable, "-m", "duologue", "run", str(tmp_path), "--out", str(tmp_path / "out"), "-q"]
    with subprocess.Popen(command, env={**os.environ, "HANG": "1"}) as process:
        wait_until((tmp_path / "hanging").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LONG) == 130
    told = index(tmp_path / "out")
    assert told["interrupted"] is True
    assert (told["totals"]["passed"], told["totals"]["not_run"]) == (8, 2)


RECALLED = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: recalled}
spec:
  models: [{name: m, provider: mock, model: tiny, mock_file: mock.yaml}]
  agents: [{name: bot, model: m}]
  prompts: [{name: p, system_template: "You help."}]
  scenarios:
    - name: talk
      description: d
      prompt: p
      turns: [{content: one}, {content: two}]
      checks: [{type: contains_any, params: {patterns: [first]}}]
  defaults: {seed: 7}
"""


def cut_off(tmp_path: Path) -> tuple[Path, Path]:
    """A run that was killed while it wrote down the model's second answer; its result file and its journal."""
    (tmp_path / "suite.yaml").write_text(RECALLED)
    (tmp_path / "mock.yaml").write_text("defaultResponse: first time\n")
    out = tmp_path / "out"
    assert invoke(["run", str(tmp_path), "--out", str(out), "-q"]) == 0
    (run,) = (out / "runs").iterdir()
    (journal,) = (out / "journals").iterdir()
    lines = journal.read_text().splitlines(keepends=True)
    calls = [number for number, line in enumerate(lines) if '"type":"model_called"' in line]
    journal.write_text("".join(lines[: calls[1]]).replace("first time", "first time, recorded") + '{"seq":')
    run.unlink()
    (out / "index.json").unlink()
    return run, journal


def contents(run: Path) -> list[str]:
    return [item["message"]["content"] for item in json.loads(run.read_text())["messages"]]


def test_a_run_that_was_cut_off_does_not_ask_models_again_what_they_answered(tmp_path: Path) -> None:
    run, journal = cut_off(tmp_path)
    assert invoke(["run", str(tmp_path), "--resume", str(tmp_path / "out"), "-q"]) == 0
    assert contents(run) == ["one", "first time, recorded", "two", "first time"]
    assert journal.read_text().count('"type":"run_resumed"') == 1
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_a_run_that_was_cut_off_starts_again_if_its_definition_has_changed(tmp_path: Path) -> None:
    run, journal = cut_off(tmp_path)
    (tmp_path / "mock.yaml").write_text("defaultResponse: first time, changed\n")
    assert invoke(["run", str(tmp_path), "--resume", str(tmp_path / "out"), "-q"]) == 0
    assert contents(run) == ["one", "first time, changed", "two", "first time, changed"]
    assert journal.with_name(journal.name + ".replaced").exists()


@pytest.mark.parametrize("text", ["", "{", "[]\n", '{"seq": 0}\n', "\x00\x00\n"], ids=repr)
def test_a_broken_journal_costs_its_own_run_a_fresh_start(tmp_path: Path, text: str) -> None:
    run, journal = cut_off(tmp_path)
    journal.write_text(text)
    assert invoke(["run", str(tmp_path), "--resume", str(tmp_path / "out"), "-q"]) == 0
    assert contents(run) == ["one", "first time", "two", "first time"]


def test_a_journal_of_something_else_costs_its_own_run_a_fresh_start(tmp_path: Path) -> None:
    run, journal = cut_off(tmp_path)
    lines = journal.read_text().replace('"content":"one"', '"content":"something else"')
    journal.write_text(lines)
    assert invoke(["run", str(tmp_path), "--resume", str(tmp_path / "out"), "-q"]) == 0
    assert contents(run) == ["one", "first time", "two", "first time"]


def test_a_damaged_result_is_run_again(tmp_path: Path) -> None:
    run, _ = cut_off(tmp_path)
    run.write_text('{"schema_version": 1, "case"')
    assert invoke(["run", str(tmp_path), "--resume", str(tmp_path / "out"), "-q"]) == 0
    assert contents(run) == ["one", "first time, recorded", "two", "first time"]


def test_results_that_cannot_be_kept_end_the_execution_with_a_sentence(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    invoke(["run", str(shop), "--mock-all", "--out", str(out), "-q"])
    shutil.rmtree(out / "runs")
    (out / "runs").write_text("in the way")
    capsys.readouterr()
    assert invoke(["run", str(shop), "--mock-all", "--out", str(out), "--overwrite"]) == 3
    said = capsys.readouterr().err
    assert said.count("cannot be written: Not a directory") == 1
    assert "Traceback" not in said


def test_resume_plays_a_finished_case_again_if_its_definition_has_changed_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.yaml").write_text(TEN)
    (tmp_path / "agent.py").write_text(AGENT)
    out = tmp_path / "out"
    assert invoke(["run", str(tmp_path), "--out", str(out), "-q"]) == 0
    assert invoke(["run", str(tmp_path), "--resume", str(out), "-q"]) == 0
    assert "kept 10, played again 0\n" in capsys.readouterr().err
    (tmp_path / "suite.yaml").write_text(TEN.replace("patterns: [yes]", "patterns: [no]"))
    assert invoke(["run", str(tmp_path), "--resume", str(out), "-q"]) == 1
    assert "kept 0, played again 10: checks changed (10)\n" in capsys.readouterr().err
    assert index(out)["totals"]["failed"] == 10
    assert (tmp_path / "calls").read_text().split() == list("abcdefghij") * 2
    assert len(list((out / "journals").glob("*.jsonl"))) == 10
    assert len(list((out / "journals").glob("*.replaced"))) == 10


@pytest.mark.parametrize(
    ("name", "said"), [("nothere", "does not exist"), ("a.txt", "is a file"), ("empty", "no results")]
)
def test_failed_in_says_what_is_wrong_with_the_folder(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    assert invoke(["run", str(shop), "--mock-all", "--failed-in", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert f"--failed-in: {tmp_path / name}" in error
    assert said in error


FORMATS = {"junit": "junit.xml", "md": "report.md", "html": "report.html", "promptkit": "promptkit/index.json"}


@pytest.mark.parametrize("asked", [[], ["--format", "md"], ["--format", "junit,html"]])
def test_reports_that_an_execution_wrote_before_are_up_to_date_after_it_was_resumed(
    tmp_path: Path, asked: list[str]
) -> None:
    (tmp_path / "suite.yaml").write_text(TEN)
    (tmp_path / "agent.py").write_text(AGENT)
    out = tmp_path / "out"
    assert invoke(["run", str(tmp_path), "--out", str(out), "-q", "--format", "junit,md,html,promptkit"]) == 0
    (out / "report.html").rename(out / "own.html")
    assert invoke(["report", str(out), "--format", "html"]) == 0
    (out / "notes.md").write_text("# mine")
    (tmp_path / "suite.yaml").write_text(TEN.replace("patterns: [yes]", "patterns: [no]"))
    assert invoke(["run", str(tmp_path), "--resume", str(out), "-q", *asked]) == 1
    written = {name: (out / file).read_text() for name, file in FORMATS.items()}
    assert invoke(["report", str(out), "--format", "junit,md,html,promptkit"]) == 0
    assert written == {name: (out / file).read_text() for name, file in FORMATS.items()}
    assert 'failures="10"' in written["junit"]
    assert (out / "notes.md").read_text() == "# mine"


@pytest.mark.parametrize("asked", [[], ["--format", "md"]])
def test_reports_written_while_a_suite_runs_are_up_to_date_at_its_end(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "suite.yaml").write_text(TEN)
    out = tmp_path / "out"
    (tmp_path / "agent.py").write_text(
        "from duologue.cli.app import invoke\nfrom pathlib import Path\n"
        f"def answer(input):\n    assert invoke(['report', {str(out)!r}, '-f', 'junit,md']) == 0\n    return 'yes'\n"
    )
    assert invoke(["run", str(tmp_path), "--out", str(out), "-q", *asked]) == 0
    written = {name: (out / FORMATS[name]).read_text() for name in ("junit", "md")}
    assert invoke(["report", str(out), "--format", "junit,md"]) == 0
    assert written == {name: (out / FORMATS[name]).read_text() for name in ("junit", "md")}
    assert not (out / "report.html").exists()


def test_resume_plays_a_case_again_if_the_code_of_its_check_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    text = TEN.replace("{type: contains, params: {patterns: [yes]}}", '{type: "own_check_of_ten:ok"}')
    assert text != TEN
    (tmp_path / "suite.yaml").write_text(text)
    (tmp_path / "agent.py").write_text(AGENT)
    check, out = tmp_path / "own_check_of_ten.py", tmp_path / "out"
    check.write_text("def ok(input): return True\n")
    assert invoke(["run", str(tmp_path), "--out", str(out), "-q"]) == 0
    check.write_text("def ok(input): return not True\n")
    monkeypatch.delitem(sys.modules, check.stem)
    capsys.readouterr()
    assert invoke(["run", str(tmp_path), "--resume", str(out), "-q"]) == 1
    assert "kept 0, played again 10: checks changed (10)\n" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, check.stem)
