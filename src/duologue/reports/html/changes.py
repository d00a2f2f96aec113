"""What changed between two executions of a suite, test case by test case, read from their indexes alone.

This is a glance, not a test: whether a difference means anything is what the page of the comparison says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from duologue.reports.html.overview import Overview

Json = dict[str, Any]

_MOST = 50


def changes_between(before: Overview, after: Overview) -> Json:
    """Test cases that pass or fail otherwise than before."""
    first, second = _cells(before), _cells(after)
    common = [key for key in second if key in first]
    newly = [key for key in common if _bad(second[key]) and not _bad(first[key])]
    fixed = [key for key in common if _good(second[key]) and not _good(first[key])]
    still = [key for key in common if _bad(second[key]) and _bad(first[key])]
    return {
        "failing": _shown(second[key] for key in newly),
        "fixed": _shown(second[key] for key in fixed),
        "still": _shown(second[key] for key in still),
        "counts": {"failing": len(newly), "fixed": len(fixed), "still": len(still)},
        "added": sum(key not in first for key in second),
        "removed": sum(key not in second for key in first),
    }


def _cells(overview: Overview) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    return {
        (row["scenario"], row["varied"], agent): cell for row in overview.rows() for agent, cell in row["cells"].items()
    }


def _bad(cell: Mapping[str, Any]) -> bool:
    return cell["outcome"] in {"fail", "error"}


def _good(cell: Mapping[str, Any]) -> bool:
    return cell["outcome"] == "pass"


def _shown(cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list(cells)[:_MOST]
