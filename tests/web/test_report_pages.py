"""The report file as a set of pages: accessibility, model calls, and the comparison with a baseline."""

from __future__ import annotations

import asyncio
import threading

import pytest
import sample_executions as samples
from pages import widest

import duologue
from duologue.reports.html import save_html
from duologue.runs.store.baselines import set_baseline
from duologue.runs.store.folder import write_execution
from duologue.runs.store.reader import find_execution

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.xdist_group("browser")


def saved(execution, folder):
    return save_html(execution, folder / "report.html", folder).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_report_breaks_a_rule_of_accessibility(opened, axe, tmp_path, scheme):
    hotel = samples.hotel()
    failed = next(run for run in hotel.runs if run.outcome == "fail")
    page = opened(saved(hotel, tmp_path), color_scheme=scheme)
    found = {}
    for fragment in ("#/", "#/runs", f"#/run/{failed.run_id}", f"#/run/{hotel.runs[5].run_id}"):
        page.goto(page.url.partition("#")[0] + fragment)
        page.locator("#main").wait_for()
        found[fragment] = axe(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


class Guest(duologue.AgentAdapter):
    role = duologue.AgentRole.USER

    async def call(self, input):
        return "What does it cost?"


class Desk(duologue.AgentAdapter):
    async def call(self, input):
        return "It costs € 12."


def played(folder):
    """One recorded run. The browser has a loop in this thread, so it is played in another."""
    script = [duologue.user(), duologue.agent(), duologue.succeed("fine")]
    made = {
        "name": "price",
        "description": "A guest asks.",
        "agents": [Guest(), Desk()],
        "script": script,
        "record": folder,
    }
    thread = threading.Thread(target=lambda: asyncio.run(duologue.run(**made)))
    thread.start()
    thread.join()
    return find_execution(folder)


def test_the_timeline_of_a_run_is_in_the_file(opened, tmp_path):
    found = played(tmp_path / "runs")
    page = opened(saved(found.execution, found.folder) + f"#/run/{found.execution.runs[0].run_id}")
    page.locator("details.timeline-box summary").first.click()
    expect(page.locator(".timeline > li")).to_have_count(2)
    expect(page.locator(".timeline > li").last).to_contain_text("It costs € 12.")


SCROLLED = """async share => {
  const box = document.querySelector("nav.list");
  for (const item of box.querySelectorAll("li")) item.known = item.ariaPosInSet;
  document.querySelector("nav.list li:nth-child(12) a").focus();
  const focused = document.activeElement;
  const before = new Set([...box.querySelectorAll("li")].map(item => item.ariaPosInSet));
  box.scrollTo(0, share < 1 ? box.scrollHeight * share : share);
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  const items = [...box.querySelectorAll("ol > li")];
  return {
    places: items.map(item => Number(item.ariaPosInSet)),
    stayed: items.filter(item => before.has(item.ariaPosInSet)).map(item => item.known === item.ariaPosInSet),
    keys: items.map(item => item.querySelector("a")?.dataset.key),
    focused: document.activeElement === focused,
  };
}"""


def test_rows_of_a_list_that_stay_are_not_drawn_again(opened, tmp_path):
    execution = samples.many(400, turns=1)
    page = opened(saved(execution, tmp_path) + "#/runs")
    page.locator(".runs a").first.wait_for()
    for share, kept in ((90, True), (180, True), (0.5, False), (0.25, False), (0.0, False)):
        found = page.evaluate(SCROLLED, share)
        first, *_, last = found["places"]
        assert found["places"] == list(range(first, last + 1))
        assert found["keys"] == [run.run_id for run in execution.runs[first - 1 : last]]
        assert all(found["stayed"])
        assert not kept or (len(found["stayed"]) > 12 and found["focused"])


def test_a_baseline_of_the_project_is_compared_with(opened, axe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    hotel = samples.hotel()
    better = tuple(samples.run_of(run.case) if run.outcome == "fail" else run for run in hotel.runs)
    write_execution(samples.replace(hotel, id="exec_before", runs=better), tmp_path / "before")
    write_execution(hotel, tmp_path / "after")
    set_baseline("default", tmp_path / "before", now=0.0)
    page = opened(saved(hotel, tmp_path / "after"))
    page.get_by_role("link", name="Against the baseline").click()
    expect(page.locator(".sides")).to_contain_text("exec_before")
    expect(page.locator("details.flip")).to_have_count(2)
    page.locator("details.flip summary").first.click()
    expect(page.locator("table.pair").first).to_contain_text("if you decide now")
    assert axe(page) == []
    assert widest(page) <= 360


def test_without_a_baseline_nothing_is_compared(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = opened(saved(samples.hotel(), tmp_path))
    expect(page.locator("header.bar nav a")).to_have_count(2)
