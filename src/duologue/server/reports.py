"""Reports on executions of the database, as ``duologue report`` writes them. They are made in a thread of their own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from duologue.journal.artifacts import ArtifactStore
from duologue.reports.formats import write_reports
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.results_export import export_results
from duologue.runs.store.reader import read_execution

REPORT_TYPES = {
    "json": ("application/json", ".json"),
    "junit": ("application/xml", ".xml"),
    "html": ("text/html; charset=utf-8", ".html"),
    "md": ("text/markdown; charset=utf-8", ".md"),
}
"""By the name of a format, the type of its file and what its name ends with."""


async def report_of(database: Database, artifacts: ArtifactStore, execution_id: int, name: str) -> bytes:
    """A report on the runs of an execution that are over.

    Args:
        database: that it is in.
        artifacts: has the media of its runs.
        execution_id: which one.
        name: of the format.
    """
    return await asyncio.to_thread(_report, database, artifacts, execution_id, name)


def _report(database: Database, artifacts: ArtifactStore, execution_id: int, name: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="duologue-report-") as place:
        folder = Path(place) / "results"
        asyncio.run(export_results(database, artifacts, execution_id, folder))
        execution = read_execution(folder)
        [path] = write_reports(execution, folder, [name])
        return path.read_bytes()
