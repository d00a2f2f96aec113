"""Markdown: what people read, and that nothing which was said becomes markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from duologue.errors import ConfigurationError
from duologue.reports.display import markdown_block, markdown_text
from duologue.reports.markdown import append_job_summary, render_markdown, save_markdown

OURS = {"<!-- -->"}


def tokens(text):
    """What a reader of CommonMark with tables and strikethrough makes of it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or []


def refuse_markup(text):
    for token in tokens(text):
        assert token.type not in {"link_open", "image", "html_block", "s_open", "hr", "heading_3"}
        assert token.type != "html_inline" or token.content in OURS


def test_the_report_of_a_small_suite(execution, golden, tmp_path):
    assert save_markdown(execution, tmp_path / "deep" / "report.md").read_text("utf-8") == render_markdown(execution)
    golden("report.md", render_markdown(execution))


def test_a_suite_that_passed_tells_no_reasons(samples, golden):
    whole = samples.hotel()
    runs = tuple(run for run in whole.runs if run.outcome == "pass")
    passed = replace(whole, runs=runs, plan=replace(whole.plan, cases=tuple(run.case for run in runs)), thresholds={})
    assert passed.exit_code == 0
    golden("passed.md", render_markdown(passed))


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_stays_text(samples, number):
    text = samples.HOSTILE[number]
    report = render_markdown(samples.hostile(text))
    refuse_markup(report)
    headings = [token.tag for token in tokens(report) if token.type == "heading_open"]
    assert headings == ["h1", "h2", "h2", "h3", "h2"]
    assert not set("\x00\x1b\x07\u202e\ud800") & set(report)
    rows = [line for line in report.splitlines() if line.startswith("| ---")]
    assert len(rows) == 3
    for token in tokens(report):
        if token.type == "fence":
            assert token.info == "text"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(text=st.text(alphabet=st.sampled_from(list("\\`*_[]()<>!|~#-+=1.:/&;@ \n\twaé\u202e\x1b\"'$^{}%")), max_size=40))
def test_no_line_of_text_becomes_markup(text):
    line = markdown_text(text)
    assert "\n" not in line
    refuse_markup(f"- {line}\n\n# {line}\n\n| {line} |\n| --- |\n| {line} |\n\n{line}")
    kinds = {token.type for token in tokens(f"x {line}")}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "html_inline"}


def test_text_survives_the_escaping():
    said = "a_b *c* [d](e) `f` <g> h|i ~j~ 1. & $k$ \\l # m"
    shown = "".join(
        token.content for token in tokens(f"x {markdown_text(said)}") if token.type in {"text", "text_special"}
    )
    assert shown == f"x {said}"


def test_many_cases_are_counted_instead_of_told(samples):
    report = render_markdown(samples.many(400), most=5)
    assert report.count("\n### ") == 5
    assert "… and 39 more runs." in report


def test_the_job_summary_is_appended_where_it_is_asked_for(execution, tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    assert append_job_summary(execution) == path
    assert path.read_text("utf-8") == f"before\n{render_markdown(execution)}\n"


def test_a_job_summary_without_a_job_is_an_error(execution, monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with pytest.raises(ConfigurationError, match="GITHUB_STEP_SUMMARY is not set"):
        append_job_summary(execution)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        append_job_summary(execution)


def test_a_job_summary_never_outgrows_what_is_shown(samples, tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    whole = samples.many(400)
    needed = {most: len(render_markdown(whole, most).encode()) + 1 for most in (50, 5, 0)}
    for room, told in ((needed[50], 44), (needed[50] - 1, 5), (needed[5] - 1, 0), (needed[0] - 1, None)):
        path.write_text("x" * (1_000_000 - room))
        append_job_summary(whole)
        added = path.read_text("utf-8")[1_000_000 - room :]
        assert added.startswith("# long-night: failed")
        assert ("no room for more" in added) == (told is None)
        assert added.count("\n### ") == (told or 0)
        assert len(added.encode()) <= room


@pytest.mark.parametrize(
    ("text", "inert"),
    [
        ("see #12, GH-3 and !4", "see #<!-- -->12, GH-<!-- -->3 and !<!-- -->4"),
        ("/approve", "\\/approve"),
        ("@bot merge", "@<!-- -->bot merge"),
        ("12. of a list", "12\\. of a list"),
        ("![](http://evil.example/pixel.png)", "!\\[\\](http&#58;//evil.example/pixel.png)"),
        ("a | b", "a \\| b"),
        ("80.5 of 100, at 5/6", "80.5 of 100, at 5/6"),
    ],
)
def test_nothing_refers_mentions_or_commands(text, inert):
    assert markdown_text(text) == inert


def test_a_block_holds_no_line_that_a_bot_obeys():
    block = markdown_block("so\n/close\n  @bot merge\n```\n/approve", 200)
    assert block == "````text\nso\n│ /close\n│   @bot merge\n```\n│ /approve\n````"
