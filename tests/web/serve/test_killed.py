"""kill -9 of the service while pages are open: they say so, and go on when it is back."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")
from collections import Counter

from playwright.sync_api import expect
from served_pages import end_leases, project_of, serve_process

pytestmark = pytest.mark.xdist_group("browser")
RECORD = """async ([project, id]) => {
  const { session } = await import("/static/api.js");
  const { follow } = await import("/static/events.js");
  session.project = project;
  window.heard = [];
  const signal = new AbortController().signal;
  window.ended = follow(`/executions/${id}/events`, { signal, event: ({ id, type }) => window.heard.push([id, type]) });
}"""

# What Playwright asks again and again by itself, it asks with eval(), which the policy of the pages refuses.
HEARD = "async () => { while (!heard.length) await new Promise((resolve) => setTimeout(resolve, 20)); }"


def test_a_page_outlives_the_service(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        eval_id = project.shop("refund please", "angry words", trials=3)
        peers.gate.clear()
        number = project.make("/executions", eval_id=eval_id)["id"]
        page = open_page(f"{project.pages}/executions/{number}", refused=True)
        expect(page.locator(".matrix .cell")).to_have_count(2)
        page.evaluate(RECORD, ["shop", number])
        page.evaluate(HEARD)
        before = page.evaluate("heard.length")

        served.kill()
        expect(page.get_by_role("status").filter(has_text="not responding")).to_be_visible()
        peers.gate.set()
        end_leases(served.store)
        served.start()
        expect(page.get_by_role("status").filter(has_text="not responding")).to_have_count(0)
        expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
        expect(page.locator(".matrix .o-pass")).to_have_text(re.compile("3 of 3"))
        assert page.evaluate("ended") == "over"
        heard = page.evaluate("heard")
        assert len(heard) > before, "the page was loaded again"
        assert [int(id_) for id_, _ in heard] == list(range(1, len(heard) + 1)), "an event is missing, or came twice"
        assert Counter(type_ for _, type_ in heard)["run_completed"] == 6
        assert heard[-1][1] == "execution_completed"


def test_what_is_sent_while_the_service_is_away_is_made_once(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        page = open_page(f"{project.pages}/define/personas/new", refused=True)
        page.get_by_role("textbox", name="Name").first.fill("traveller")
        served.kill()
        page.get_by_role("button", name="Create persona").click()
        expect(page.get_by_role("status").filter(has_text="not responding")).to_be_visible()
        served.start()
        expect(page.get_by_role("heading", name="traveller")).to_be_visible()
        assert [item["name"] for item in project.get("/personas")["data"]] == ["traveller"]


def test_a_page_that_is_opened_while_the_service_is_away_begins_once_it_is_back(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        page = open_page(f"{project.pages}/settings", refused=True)
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        served.kill()
        page.get_by_role("link", name="Executions").click()
        expect(page.get_by_role("status").filter(has_text="not responding")).to_be_visible()
        served.start()
        expect(page.get_by_role("heading", name="No executions yet")).to_be_visible()


def test_a_form_that_is_opened_while_the_service_is_away_is_shown_once_it_is_back(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        page = open_page(f"{project.pages}/define/personas", refused=True)
        expect(page.get_by_role("heading", name="Personas", exact=True)).to_be_visible()
        served.kill()
        page.get_by_role("link", name="New persona").first.click()
        expect(page.get_by_role("status").filter(has_text="not responding")).to_be_visible()
        served.start()
        expect(page.get_by_role("textbox", name="Name").first).to_be_visible()
