"""What ``duologue run`` executes, whether it is planned now or resumed from a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from duologue.frozen import frozen
from duologue.runs.store.ownership import Deaths, Definition, Selection
from duologue.suites.plan.build import Plan
from duologue.suites.runner.definition import RunOptions


@frozen
class PlannedExecution:
    """The plan, the settings, and what the result folder has to know about results of earlier sessions.

    Attributes:
        plan: as the suite has it now.
        settings: with the results that hold, and what earlier sessions took.
        selection: how the plan was chosen.
        outdated: definitions of results that are replaced, by run id.
        damaged: ids of results that cannot be read.
        moved: ids of results whose place in the plan has changed.
        deaths: of runs during which the process ended, by run id.
        summary: which results are kept and which are not, as a sentence; '' for a new execution.
    """

    plan: Plan
    settings: RunOptions
    selection: Selection | None
    outdated: Mapping[str, Definition] = field(default_factory=dict[str, Definition])
    damaged: Sequence[str] = ()
    moved: Sequence[str] = ()
    deaths: Mapping[str, Deaths] = field(default_factory=dict[str, Deaths])
    summary: str = ""
