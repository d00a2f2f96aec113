"""Reports on attacks: a JSON file for each, a summary and a web page for many.

``_report`` makes a report, ``_store`` writes and finds them, ``_recommendations`` asks models about them, ``_summary``
counts, ``_html`` renders the page.
"""

from __future__ import annotations

from duologue.reports.red_team._html import render_html, save_html
from duologue.reports.red_team._recommendations import aggregate_fixes, analyse, load_or_generate_fixes
from duologue.reports.red_team._report import Analysis, RedTeamReport, ReportSource, build_report, report_of
from duologue.reports.red_team._store import (
    as_data,
    current_batch_dir,
    gather,
    newest_batch,
    read_report,
    read_reports,
    save_json,
    save_redteam_report,
    set_batch_dir,
    write_report,
)
from duologue.reports.red_team._summary import AttackGroup, RedTeamSummary, in_words, summarise

__all__ = [
    "Analysis",
    "AttackGroup",
    "RedTeamReport",
    "RedTeamSummary",
    "ReportSource",
    "aggregate_fixes",
    "analyse",
    "as_data",
    "build_report",
    "current_batch_dir",
    "gather",
    "in_words",
    "load_or_generate_fixes",
    "newest_batch",
    "read_report",
    "read_reports",
    "render_html",
    "report_of",
    "save_html",
    "save_json",
    "save_redteam_report",
    "set_batch_dir",
    "summarise",
    "write_report",
]
