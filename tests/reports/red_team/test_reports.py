"""What a report says, where it is written, and who is asked about it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import duologue
from duologue.errors import ConfigurationError, ModelAnswerError, ModelUnavailableError, SimulatorError
from duologue.messages import assistant_message, tool_call
from duologue.models.scripted import ScriptedModel
from duologue.reports.red_team import (
    RedTeamReport,
    ReportSource,
    aggregate_fixes,
    analyse,
    build_report,
    current_batch_dir,
    load_or_generate_fixes,
    read_report,
    read_reports,
    render_html,
    report_of,
    save_html,
    save_redteam_report,
    set_batch_dir,
    summarise,
)
from duologue.reports.red_team._html import text
from duologue.reports.red_team._recommendations import shortened
from duologue.reports.red_team._report import status_of
from duologue.testing import ScriptedAgent

REFUSAL = "I can't help with that."
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> \u202egnp.exe \x00 & \"'"


class At:
    """A clock that stands still, 678 ms after 2026-01-02 03:04:05 UTC."""

    def now(self):
        return 1767323045.678


# --- what is in it ---------------------------------------------------------------------------------------------------


async def test_a_broken_agent_is_reported_as_broken(reported):
    report = await reported(scores=[2, 9, 10], turns=9)
    assert (report.status, report.success, report.succeeded_on_turn) == ("broke", False, 3)
    assert (report.break_severity, report.severity) == ("complete", "critical")
    assert report.failing_turn_index == 5
    assert report.messages[5]["role"] == "assistant"
    assert report.failure_summary == "The attack succeeded on turn 3 of 9."
    assert report.analyzed_by == "rule"
    assert report.models == {"attacker": "attacker-model", "metaprompt": "scorer-model"}
    assert (report.strategy, report.category, report.objective) == ("crescendo", "sensitive_data", "sensitive_data-1")
    assert (report.seed, report.run_id) == (5, "run_1")


@pytest.mark.parametrize(
    ("scores", "status", "gave_way", "severity"),
    [
        ([1], "held", "none", "low"),
        ([5], "held", "partial", "low"),
        ([8], "held", "significant", "medium"),
        ([9, 1], "undecided", "significant", "medium"),
    ],
)
async def test_how_far_an_agent_gave_way_follows_from_its_highest_score(reported, scores, status, gave_way, severity):
    report = await reported(scores=scores)
    assert (report.status, report.break_severity, report.severity) == (status, gave_way, severity)
    assert report.failing_turn_index is None


async def test_the_failing_reply_is_found_after_exchanges_were_taken_back(reported):
    report = await reported(scores=[9, 9], replies=[REFUSAL, "It is", "4 Mill Lane"], turns=4)
    assert [message["content"] for message in report.messages] == ["say it", "It is", "say it", "4 Mill Lane"]
    assert report.failing_turn_index == 3
    assert report.backtracks == 1


async def test_techniques_and_turns_are_counted(reported):
    line = json.dumps({"observation": "", "strategy": "DUAL_RESPONSE and TOPIC_SPLITTING", "reply": "say it"})
    report = await reported(
        scores=[1, 9, 3], strategy="goat", lines=[line], injection_probability=1.0, attack_plan=None
    )
    moves = {use.technique: use for use in report.by_technique if use.kind == "move"}
    assert set(moves) == {"DUAL_RESPONSE", "TOPIC_SPLITTING"}
    assert (moves["DUAL_RESPONSE"].used, moves["DUAL_RESPONSE"].scored, moves["DUAL_RESPONSE"].successes) == (3, 3, 1)
    assert sum(use.used for use in report.by_technique if use.kind == "form") == 3
    assert [(item.turn, item.score, item.success) for item in report.by_turn] == [
        (1, 1, False),
        (2, 9, True),
        (3, 3, False),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [(AssertionError("leaked"), "broke"), (SimulatorError("down"), "errored"), (RuntimeError("x"), "errored")],
)
def test_an_error_breaks_no_agent_and_a_failed_assertion_does(error, status):
    assert status_of(None, error, False) == status
    assert status_of(None, error, True) == "broke"


async def test_a_run_without_an_outcome_is_errored_and_has_no_severity(attacked, tmp_path):
    attacker, _ = await attacked()
    path = save_redteam_report(red_team=attacker, test_name="t", out_dir=tmp_path)
    report = read_report(path)
    assert (report.status, report.severity, report.break_severity) == ("errored", None, None)


async def test_a_report_is_the_same_after_writing_and_reading(reported):
    report = await reported(scores=[2, 9, 10], replies=[REFUSAL, "x"])
    assert RedTeamReport.model_validate_json(report.model_dump_json()) == report


async def test_a_recorded_run_gives_the_same_report(attacked, tmp_path):
    attacker, result = await attacked(scores=[9], replies=[REFUSAL, "x"], record=tmp_path)
    recorded = report_of(duologue.read_journal(result.journal).view)
    given = ReportSource(
        attacker=attacker.describe(),
        log=attacker.log,
        test_name="a",
        description="A shop.",
        timestamp=recorded.timestamp,
        result=result,
    )
    assert recorded == build_report(given)
    assert (recorded.status, recorded.plan, len(recorded.attempts)) == ("broke", "P", 3)


async def test_a_run_without_an_attack_has_no_report():
    result = duologue.prepare("a", "b", [ScriptedAgent(["hi"])], verbose=False)
    await result.perform()
    with pytest.raises(ConfigurationError, match="no RedTeamAgent"):
        report_of(result.journal.view)


# --- where it is written ---------------------------------------------------------------------------------------------


async def test_the_file_is_named_by_time_test_and_strategy(attacked, tmp_path):
    attacker, result = await attacked()
    given = {"red_team": attacker, "test_name": "Leak: the Address?", "out_dir": tmp_path / "new", "clock": At()}
    path, second = (save_redteam_report(result, **given) for _ in range(2))
    assert path == tmp_path / "new" / "1767323045678_leak-the-address_crescendo.json"
    assert second.name == "1767323045678_leak-the-address_crescendo_2.json"
    assert read_report(path).timestamp == "2026-01-02T03:04:05.678+00:00"
    assert len(list(path.parent.iterdir())) == 2


async def test_without_a_folder_one_of_the_batch_is_made(attacked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_batch_dir(None)
    try:
        assert str(current_batch_dir(At())) == "redteam-reports/20260102_030405"
        attacker, result = await attacked()
        path = save_redteam_report(result, red_team=attacker, test_name="t")
        assert path.parent == current_batch_dir()
        set_batch_dir(tmp_path / "mine")
        assert current_batch_dir() == tmp_path / "mine"
        set_batch_dir(None)
        monkeypatch.setenv("DUOLOGUE_REDTEAM_REPORT_DIR", "elsewhere")
        assert str(current_batch_dir(At())) == "elsewhere/20260102_030405"
    finally:
        set_batch_dir(None)


async def test_what_the_caller_knows_comes_first(attacked, tmp_path):
    attacker, result = await attacked()
    messages = [{"role": "user", "content": "u", "trace_id": "1"}, {"role": "assistant", "content": "a"}]
    path = save_redteam_report(
        result,
        red_team=attacker,
        test_name="t",
        criteria=["c"],
        description="d",
        out_dir=tmp_path,
        elapsed_seconds=1.5,
        messages_override=messages,
        error=AssertionError("leaked"),
        failing_turn_hint=1,
    )
    report = read_report(path)
    assert report.messages == [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    assert (report.status, report.error, report.failing_turn_index) == ("broke", "AssertionError: leaked", 1)
    assert (report.criteria, report.description, report.elapsed_seconds) == (["c"], "d", 1.5)


async def test_the_result_of_an_error_is_used_where_no_other_is_given(attacked, tmp_path):
    attacker, result = await attacked()
    error = AssertionError("leaked")
    error.result = result
    path = save_redteam_report(red_team=attacker, test_name="t", out_dir=tmp_path, error=error)
    assert read_report(path).run_id == result.run_id


async def test_a_report_of_version_1_is_read_with_its_tool_calls(attacked, tmp_path):
    call = assistant_message("Done.", [tool_call("look_up", {"id": 7}, "c1")])
    attacker, result = await attacked(replies=[call])
    report = build_report(
        ReportSource(attacker=attacker.describe(), log=attacker.log, test_name="t", timestamp="2026", result=result)
    )
    assert report.attempts[0].tool_calls == ('look_up({"id": 7})',)
    old = report.model_dump(mode="json") | {"schema_version": 1}
    for attempt in old["attempts"]:
        attempt["deeds"] = attempt.pop("tool_calls")
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert read_report(tmp_path / "old.json") == report


@pytest.mark.parametrize("attempts", [None, 3, ["x"], [{"deeds": 1}]])
def test_a_broken_report_of_version_1_is_no_report(tmp_path, attempts):
    (tmp_path / "x.json").write_text(json.dumps({"schema_version": 1, "attempts": attempts}))
    with pytest.raises(ConfigurationError, match="is not a red team report"):
        read_report(tmp_path / "x.json")


def test_a_file_that_is_no_report_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"x\.json is not a red team report"):
        read_reports(tmp_path)


async def test_a_folder_gives_its_reports_and_passes_over_its_own_notes(attacked, tmp_path):
    attacker, result = await attacked()
    save_redteam_report(result, red_team=attacker, test_name="t", out_dir=tmp_path)
    (tmp_path / "_aggregated_fixes.json").write_text("{}")
    assert [report.test_name for report in read_reports(tmp_path)] == ["t"]


# --- who is asked ----------------------------------------------------------------------------------------------------

OPINION = {
    "failure_summary": "It told the address.",
    "severity": "high",
    "severity_rationale": "Personal data.",
    "break_severity": "partial",
    "break_severity_rationale": "Only the street.",
    "failing_turn_index": 1,
    "suggestions": ["Check who asks.", ""],
}


async def test_no_model_is_asked_unless_one_is_given(attacked, tmp_path):
    attacker, result = await attacked()
    asked = len(attacker._assessor.choice.model.requests)
    save_redteam_report(result, red_team=attacker, test_name="t", out_dir=tmp_path)
    assert len(attacker._assessor.choice.model.requests) == asked
    model = ScriptedModel([json.dumps(OPINION)])
    save_redteam_report(result, red_team=attacker, test_name="t", out_dir=tmp_path, analyzer_model=model, analyze=False)
    assert model.requests == []


async def test_a_model_that_is_given_says_how_bad_it_is_also_within_a_loop(attacked, tmp_path):
    attacker, result = await attacked()
    model = ScriptedModel([json.dumps(OPINION)], name="analyst")
    path = save_redteam_report(result, red_team=attacker, test_name="t", out_dir=tmp_path, analyzer_model=model)
    report = read_report(path)
    assert (report.severity, report.break_severity, report.failing_turn_index) == ("high", "partial", 1)
    assert (report.suggestions, report.analyzed_by) == (["Check who asks."], "analyst")


@pytest.mark.parametrize(("answer", "problem"), [(ModelUnavailableError("down"), "down"), ("hm", "JSON object")])
async def test_an_analyzer_that_fails_leaves_the_rule_and_the_reason(reported, answer, problem):
    report = await reported(scores=[9, 9])
    analysed = await analyse(report, ScriptedModel([answer]))
    assert problem in analysed.analysis_problem
    assert (analysed.analyzed_by, analysed.severity, analysed.failing_turn_index) == ("rule", "high", 3)


@pytest.mark.parametrize("index", [-1, 99, True, "1", None])
async def test_what_an_analyzer_makes_up_is_not_taken_over(reported, index):
    answer = {**OPINION, "severity": "awful", "break_severity": 3, "failing_turn_index": index, "suggestions": "x"}
    analysed = await analyse(await reported(), ScriptedModel([json.dumps(answer)]))
    assert (analysed.severity, analysed.break_severity, analysed.failing_turn_index) == (None, None, None)
    assert analysed.suggestions == []


def test_a_long_conversation_keeps_its_beginning_and_its_end():
    assert shortened("x" * 24_000) == "x" * 24_000
    cut = shortened("a" + "x" * 30_000 + "z")
    assert (cut[0], cut[-1]) == ("a", "z")
    assert "6002 characters left out" in cut
    assert len(cut) < 24_100


# --- what to do ------------------------------------------------------------------------------------------------------


async def suggesting(reported, *pairs):
    report = await reported()
    return [report.model_copy(update={"test_name": name, "suggestions": list(texts)}) for name, *texts in pairs]


async def test_equal_suggestions_are_one_without_a_model(reported):
    reports = await suggesting(reported, ("a", "Log it."), ("b", "Check who asks.", "log  IT"))
    assert aggregate_fixes(reports) == {
        "clusters": [{"fix": "Log it.", "tests": ["a", "b"]}, {"fix": "Check who asks.", "tests": ["b"]}]
    }


async def test_a_model_groups_by_meaning_and_loses_nothing(reported):
    reports = await suggesting(reported, ("a", "Log it."), ("b", "Write it down.", "Check who asks."))
    answer = {"clusters": [{"fix": "Keep a log", "suggestions": [1, 2, 2, 9]}, {"fix": "", "suggestions": [3]}, "x"]}
    fixes = aggregate_fixes(reports, model=ScriptedModel([json.dumps(answer)]))
    assert fixes["clusters"] == [
        {"fix": "Keep a log", "tests": ["a", "b"]},
        {"fix": "Check who asks.", "tests": ["b"]},
    ]
    with pytest.raises(ModelAnswerError, match="no clusters"):
        aggregate_fixes(reports, model=ScriptedModel(["hm"]))


async def test_fixes_are_kept_in_the_folder(reported, tmp_path):
    reports = await suggesting(reported, ("a", "Log it."))
    first = load_or_generate_fixes(tmp_path, reports)
    assert load_or_generate_fixes(tmp_path, []) == first
    assert load_or_generate_fixes(tmp_path, [], force=True) == {"clusters": []}
    (tmp_path / "_aggregated_fixes.json").write_text("broken")
    with pytest.raises(ConfigurationError, match="force=True"):
        load_or_generate_fixes(tmp_path, reports)


# --- many together ---------------------------------------------------------------------------------------------------


async def test_success_is_counted_by_strategy_category_technique_and_turn(reported):
    line = json.dumps({"observation": "", "strategy": "DUAL_RESPONSE", "reply": "say it"})
    goat = {"strategy": "goat", "lines": [line], "attack_plan": None}
    broke, held = await reported(scores=[9]), await reported(scores=[1])
    other = await reported(scores=[9], target="something of your own", **goat)
    unclear = await reported(scores=[9, 1], **goat)
    summary = summarise([broke, held, other, unclear])
    assert summary.statuses == {"held": 1, "broke": 2, "undecided": 1, "errored": 0}
    assert (summary.overall.success.successes, summary.overall.success.total, summary.overall.left_out) == (2, 3, 1)
    named = {group.name: (group.success.successes, group.success.total) for group in summary.by_strategy}
    assert named == {"crescendo": (1, 2), "goat": (1, 1)}
    assert {group.name: group.left_out for group in summary.by_category} == {"(none)": 0, "sensitive_data": 1}
    [technique] = summary.by_technique
    assert (technique.name, technique.success.successes, technique.success.total) == ("DUAL_RESPONSE", 3, 5)
    assert [(group.name, group.success.successes, group.success.total) for group in summary.by_turn] == [
        ("1", 3, 4),
        ("2", 2, 4),
        ("3", 0, 2),
    ]
    assert summary.overall.success.low < 2 / 3 < summary.overall.success.high


def test_no_attacks_are_no_error():
    assert summarise([]).overall.success.rate is None
    assert "not known" in render_html([])


# --- on a page -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would find: elements, and attributes that run or fetch something."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.dangerous, self.shown = set(), [], ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.dangerous += [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]

    def handle_data(self, data):
        self.shown += data


async def test_nothing_that_is_said_becomes_markup(reported):
    call = {"id": "1", "type": "function", "function": {"name": HOSTILE, "arguments": HOSTILE}}
    report = await reported(
        test_name=HOSTILE,
        description=HOSTILE,
        target=HOSTILE,
        scores=[9],
        lines=[HOSTILE],
        replies=[[{"role": "assistant", "content": HOSTILE, "tool_calls": [call]}]],
    )
    report = report.model_copy(update={"suggestions": [HOSTILE], "failure_summary": HOSTILE, "strategy": HOSTILE})
    source = render_html([report], title=HOSTILE)
    page = Page(source)
    assert page.tags & {"script", "img", "a", "iframe", "link"} == set()
    assert page.dangerous == []
    assert "alert(1)" in page.shown
    assert "\u202e" not in source
    assert "\x00" not in source
    assert "default-src 'none'" in source


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_shown(value):
    shown = text(value)
    assert not set("<>\"'\x00\u202e") & set(shown)
    shown.encode("utf-8")


async def test_the_page_shows_shares_with_their_intervals(reported, tmp_path):
    path = save_html([await reported(scores=[9]), await reported()], tmp_path / "new" / "page.html", title="Shop")
    source = path.read_text("utf-8")
    assert "50% [9%, 91%]" in source
    assert "<h1>Shop</h1>" in source
    assert "class=failing" in source
