"""What of an included suite belongs to the suite that includes it.

Everything that has a name is taken over. So are the checks of the included suite, for its own scenarios and replays,
and what says how its agents and judges work, where the including suite does not say it. How a suite is launched
(trials, regions, defaults) is for the suite that is launched to say.
"""

from __future__ import annotations

from typing import Any

from duologue.config.positions import PlacedDict, PlacedList
from duologue.config.problems import Problems
from duologue.specs.checking import CheckSpec
from duologue.specs.participants import Simulator, Voice
from duologue.specs.paths import rebased_path
from duologue.specs.scenario import Scenario
from duologue.specs.spec import Spec
from duologue.specs.suite import A2aAgent, McpServer, Replay
from duologue.suites.manifests.assembling import SECTIONS
from duologue.suites.manifests.refusals import checked

INCLUDED: dict[str, type[Spec]] = {
    **SECTIONS,
    "simulators": Simulator,
    "mcp_servers": McpServer,
    "a2a_agents": A2aAgent,
    "voices": Voice,
}
"""The lists of things with names."""
_SETTINGS = ("judge_defaults", "workflow", "pack_file")


def with_checks(item: Any, checks: Any, problems: Problems) -> Any:
    """A scenario or replay with the checks of its suite behind its own; anything else as it is."""
    if not isinstance(checks, PlacedList) or not checks:
        return item
    if isinstance(item, (Scenario, Replay)):  # of a suite that the included one includes
        made = [checked(CheckSpec, check, problems) for check in checks]
        return item.changed(checks=(*item.checks, *(check for check in made if check is not None)))
    if not isinstance(item, PlacedDict):
        return item
    own = item.get("checks", PlacedList(checks.home))
    if not isinstance(own, PlacedList):
        return item
    joined = PlacedList(own.home, [*own, *checks], [*own.marks, *checks.marks])
    whole = PlacedDict(item.home, item, dict(item.marks))
    whole.put("checks", joined, item.mark("checks") if "checks" in item else checks.home)
    return whole


def take_settings(whole: PlacedDict, inner: PlacedDict, below: str) -> None:
    """Take over how agents and judges work, and the evals of packs.

    Args:
        whole: the including suite.
        inner: the included one.
        below: the folder of the included suite, from that of the including one: the pack is there.
    """
    for key in _SETTINGS:
        if key in inner and key not in whole:
            value = inner[key]
            is_path = key == "pack_file" and isinstance(value, str)
            whole.put(key, rebased_path(value, below) if is_path else value, inner.mark(key))
    evals, mine = inner.get("pack_evals"), whole.get("pack_evals")
    if isinstance(evals, PlacedList) and (mine is None or isinstance(mine, PlacedList)):
        mine = mine if mine is not None else PlacedList(evals.home)
        known = {item.get("id") for item in mine if isinstance(item, PlacedDict)}
        for index, item in enumerate(evals):
            if not isinstance(item, PlacedDict) or item.get("id") not in known:
                mine.add(item, evals.mark(index))
        whole.put("pack_evals", mine, evals.home)
