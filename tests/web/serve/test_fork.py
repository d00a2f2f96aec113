"""A run is forked from its page, and the page shows its model calls."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

pytestmark = pytest.mark.xdist_group("browser")


def test_a_run_is_forked_from_a_turn(project, open_page, axe):
    eval_id = project.shop("angry words")
    number = project.run(eval_id)
    run = project.get("/runs", execution_id=number)["data"][0]["id"]
    page = open_page(f"{project.pages}/executions/{number}/runs")
    page.get_by_role("searchbox").fill("GO away")
    expect(page.locator(".runs .hit mark")).to_have_text("Go away")
    page.locator(".runs .hit").click()
    expect(page.locator(".message.cited")).to_contain_text("Go away.")
    assert page.url.endswith(f"/executions/{number}/run/{run}/m2")
    page.get_by_text("Model calls and timeline").click()
    expect(page.locator("ol.timeline li").first).to_be_visible()
    page.get_by_role("button", name="Fork from turn 1").click()
    expect(page.get_by_label("The user says next")).to_be_focused()
    expect(page.get_by_role("option", name="Connector desk")).to_be_attached()
    assert page.get_by_label("After turn").input_value() == "0"
    assert not axe(page)
    page.get_by_label("The user says next").fill("refund please")
    page.get_by_label("Trials").fill("0")
    page.get_by_role("button", name="Fork run").click()
    expect(page.get_by_text("Expected a whole number from 1 to 1000.")).to_be_visible()
    page.get_by_label("Trials").fill("2")
    page.get_by_role("button", name="Fork run").press("Enter")
    page.wait_for_url(lambda url: re.search(r"/executions/\d+$", url))
    expect(page.locator(".matrix .o-pass")).to_have_text(re.compile("2 of 2"))
    made = project.get("/executions")["data"][0]
    assert made["fork"] == {"run_id": run, "turn": 0, "say": "refund please"}
