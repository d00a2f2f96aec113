"""Extensions are found by name, our own first."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from duologue.config import entry_points as module
from duologue.config.entry_points import load_registered, registered_names
from duologue.errors import TargetError

GROUP = "duologue.things"


@pytest.fixture(autouse=True)
def scans(monkeypatch):
    """Two packages: ours, and another that registers the same name and one of its own. Counts scans of all packages."""
    counted = Counter()
    own = {"ours": EntryPoint("ours", "collections:Counter", GROUP)}
    others = EntryPoints(
        [
            EntryPoint("ours", "collections:OrderedDict", GROUP),
            EntryPoint("theirs", "collections:deque", GROUP),
            EntryPoint("broken", "no_such_module_at_all:thing", GROUP),
            EntryPoint("lacking", "collections:nothing", GROUP),
        ]
    )

    def every(**wanted):
        counted["scans"] += 1
        return others.select(**wanted)

    monkeypatch.setattr(module, "own_entry_points", lambda group: own if group == GROUP else {})
    monkeypatch.setattr(module, "entry_points", every)
    return counted


def test_our_own_come_first_and_no_other_package_is_looked_at(scans):
    assert load_registered(GROUP, "ours") is Counter
    assert not scans


def test_other_packages_are_looked_at_for_a_name_that_is_not_ours(scans):
    assert load_registered(GROUP, "theirs").__name__ == "deque"
    assert load_registered(GROUP, "nobody") is None
    assert load_registered("duologue.other", "ours") is None
    assert registered_names(GROUP) == ["ours", "theirs", "broken", "lacking"]


@pytest.mark.parametrize("name", ["broken", "lacking"])
def test_what_cannot_be_loaded_is_an_error_that_names_it(name):
    with pytest.raises(TargetError, match=rf"cannot load '{name}' \(.*entry point group duologue.things\)"):
        load_registered(GROUP, name)


def test_our_own_metadata_is_read():
    point = module.distribution("duologue").entry_points.select(group="pytest11")
    assert [item.name for item in point] == ["duologue"]
