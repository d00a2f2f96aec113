"""The example suites without a model find the faults of their agents with every seed, and pass agents without them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.demo.restaurant.dialogue import Dialogue
from duologue.demo.restaurant.server import RestaurantServer
from duologue.demo.scenarios import TODAY
from duologue.suites import Engine
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus

FOLDER = Path(__file__).parents[2] / "examples/keyless-suite"
SEEDS = range(1, 6)


@pytest.fixture
def restaurant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with RestaurantServer(TODAY, isolated=True) as server:
        monkeypatch.setenv("RESTAURANT_URL", f"{server.url}/v1/chat/completions")
        yield


async def play(path: Path) -> dict[str, list[RunResult]]:
    """The results of a suite by persona, for all seeds."""
    found: dict[str, list[RunResult]] = {}
    for seed in SEEDS:
        async with Engine.from_file(path) as engine:
            for run in (await engine.execute(engine.generate_plan(seed=seed))).runs:
                assert run.spent.calls == 0, "no model is called"
                found.setdefault(str(run.persona), []).append(run)
    return found


def verdicts(found: dict[str, list[RunResult]]) -> dict[str, set[str]]:
    return {name: {str(run.verdict) for run in runs} for name, runs in found.items()}


def reasons(runs: list[RunResult]) -> set[str]:
    return {check.explanation for run in runs for check in run.checks if check.status is CheckStatus.FAILED}


async def test_the_fault_of_the_restaurant_is_found_with_every_seed(restaurant: None) -> None:
    found = await play(FOLDER / "restaurant.yaml")
    assert verdicts(found) == {"anna": {"pass"}, "leo": {"fail"}, "maria": {"pass"}}
    assert reasons(found["leo"]) == {"create_booking was called with party_size=4, not 6"}
    assert {run.termination for run in found["leo"]} == {"user_done"}


async def test_a_restaurant_without_the_fault_passes(restaurant: None, monkeypatch: pytest.MonkeyPatch) -> None:
    settle: Any = getattr(Dialogue, "_settle")  # noqa: B009

    def checks_again(self: Any, heard: Any, changed: set[str]) -> str:
        return self._check() if "party_size" in changed else settle(self, heard, changed)

    monkeypatch.setattr(Dialogue, "_settle", checks_again)
    assert all(found == {"pass"} for found in verdicts(await play(FOLDER / "restaurant.yaml")).values())


async def test_the_fault_of_the_parcel_service_is_found_with_every_seed(tmp_path: Path) -> None:
    copied(tmp_path)
    found = await play(tmp_path / "parcels.yaml")
    assert verdicts(found) == {"nina": {"pass"}, "omar": {"pass"}, "in a hurry": {"pass"}, "kim": {"fail"}}
    assert reasons(found["kim"]) == {"called: 'move_delivery'"}


async def test_a_parcel_service_without_the_fault_passes(tmp_path: Path) -> None:
    copied(tmp_path)
    code = (tmp_path / "parcels.py").read_text()
    mended = code.replace(r"\b(yes|sure|please|go ahead)\b", "^(yes|sure|go ahead)")
    assert mended != code
    (tmp_path / "parcels.py").write_text(mended)
    assert all(found == {"pass"} for found in verdicts(await play(tmp_path / "parcels.yaml")).values())


def copied(folder: Path) -> None:
    for name in ("parcels.yaml", "parcels.py"):
        shutil.copyfile(FOLDER / name, folder / name)
