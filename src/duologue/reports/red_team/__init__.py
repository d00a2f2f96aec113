"""Reports on attacks: a JSON file for each, a summary and a web page over many.

``building`` makes a report, ``saving`` writes and reads it, ``gathering`` finds many, ``analysis`` asks a model about
it, ``fixes`` gathers what to do, ``summary`` counts, ``html`` shows.
"""

from __future__ import annotations

from duologue.reports.red_team.analysis import analyse
from duologue.reports.red_team.building import Subject, build_report, report_of
from duologue.reports.red_team.fixes import aggregate_fixes, load_or_generate_fixes
from duologue.reports.red_team.gathering import gather, newest_batch, save_json
from duologue.reports.red_team.html import render_html, save_html
from duologue.reports.red_team.model import Analysis, RedTeamReport
from duologue.reports.red_team.saving import (
    current_batch_dir,
    read_report,
    read_reports,
    save_redteam_report,
    set_batch_dir,
    write_report,
)
from duologue.reports.red_team.summary import Group, RedTeamSummary, summarise

__all__ = [
    "Analysis",
    "Group",
    "RedTeamReport",
    "RedTeamSummary",
    "Subject",
    "aggregate_fixes",
    "analyse",
    "build_report",
    "current_batch_dir",
    "gather",
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
