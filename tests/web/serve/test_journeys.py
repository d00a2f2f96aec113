"""From nothing to a comparison: by mouse, and once more with nothing but the keyboard."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

pytestmark = pytest.mark.xdist_group("browser")


def test_by_mouse(project, open_page, peers):
    page = open_page(f"{project.pages}/")
    expect(page.get_by_role("heading", name="No executions yet")).to_be_visible()
    page.get_by_role("link", name="Define what to run").click()
    steps = page.get_by_role("region", name="First steps")

    # A connector, which is tested against the real agent.
    steps.get_by_role("link", name=re.compile("Connect your agent")).click()
    page.get_by_label("Name", exact=False).first.fill("desk")
    page.get_by_label("Type").select_option("http")
    page.get_by_label("Base URL").fill(peers.url)
    page.get_by_role("button", name="Create connector").click()
    expect(page.get_by_role("heading", name="desk")).to_be_visible()
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The agent answers.")).to_be_visible()
    page.get_by_label("Base URL").fill(peers.url.replace("127.0.0.1", "127.0.0.1:1/x?"))
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The agent cannot be reached.")).to_be_visible()
    page.get_by_label("Base URL").fill(peers.url)

    # A persona, a scenario with a criterion, and an eval.
    page.get_by_role("link", name="Define", exact=True).click()
    steps.get_by_role("link", name=re.compile("Describe who talks")).click()
    page.get_by_label("Name", exact=False).first.fill("traveller")
    page.get_by_label("Description").fill("Has a train to catch.")
    page.get_by_role("button", name="Add goal").click()
    page.get_by_role("textbox", name="Goal 1").fill("get the money back")
    page.get_by_role("button", name="Create persona").click()
    expect(page.get_by_role("heading", name="traveller")).to_be_visible()

    page.get_by_role("link", name="Define", exact=True).click()
    steps.get_by_role("link", name=re.compile("Write a situation")).click()
    for name, said in (("polite", "Can I have my money back?"), ("angry", "I am angry!")):
        page.get_by_label("Name", exact=False).first.fill(name)
        page.get_by_role("checkbox", name="traveller").check()
        page.get_by_role("button", name="Add criterion").click()
        page.get_by_role("textbox", name="Criterion 1").fill("The agent promises 30 days")
        page.get_by_role("button", name="Add turn").click()
        page.get_by_label("Content").fill(said)
        page.get_by_role("button", name="Create scenario").click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.get_by_role("link", name="Scenarios").click()
        page.get_by_role("link", name="New scenario").first.click()

    page.get_by_role("link", name="Define", exact=True).click()
    steps.get_by_role("link", name=re.compile("Combine them in an eval")).click()
    page.get_by_label("Name", exact=False).first.fill("refunds")
    page.get_by_role("checkbox", name="polite").check()
    page.get_by_role("checkbox", name="angry").check()
    page.get_by_label("Connector").select_option(label="desk")
    page.get_by_label("Trials").fill("2")
    page.get_by_role("button", name="Create eval").click()
    expect(page.get_by_role("heading", name="refunds")).to_be_visible()
    assert project.get("/evals")["data"][0]["trials"] == 2

    # Launched, it fills before the eyes of whoever looks, without a reload.
    peers.gate.clear()
    page.get_by_role("button", name="Launch", exact=True).click()
    cells = page.locator(".matrix .cell")
    expect(cells).to_have_count(2)
    expect(page.get_by_text("still running")).to_be_visible()
    expect(page.locator(".matrix .o-running")).to_have_count(2)
    page.evaluate("window.same = true")
    peers.gate.set()
    expect(page.locator(".matrix .o-pass")).to_have_text(re.compile("2 of 2"))
    expect(page.locator(".matrix .o-fail")).to_have_text(re.compile("0 of 2"))
    expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
    assert page.evaluate("window.same"), "the page was loaded again"

    # A failed run, with what it rests on.
    page.locator(".attention a.name").first.click()
    expect(page.locator("main.run h1")).to_contain_text("angry")
    page.locator(".findings a.cite").first.click()
    expect(page.locator(".message.cited")).to_contain_text("Go away.")

    # A decision is labelled.
    page.get_by_role("link", name="Label", exact=True).click()
    expect(page.get_by_role("heading", name="Is the judge right?")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Agree")).click()
    expect(page.get_by_text("1 labelled by local")).to_be_visible()
    expect(page.get_by_role("region", name="Agreement").locator("tbody tr").first).to_contain_text("100%")
    [own] = project.get("/labels")["data"]

    # Somebody else labels the same, which appears as it comes.
    grace = project.make("/tokens", name=f"grace-{project.name}", scope="run")["token"]
    project.api.post(
        f"/runs/{own['run_id']}/labels",
        json={"criterion": own["criterion"], "value": "fail", "note": "too late"},
        headers={"Authorization": f"Bearer {grace}"},
    ).raise_for_status()
    expect(page.locator("header.title .facts")).to_contain_text(f"grace-{project.name} 1")
    page.keyboard.press("k")
    expect(page.locator(".others")).to_contain_text("too late")

    # Launched again, and compared.
    page.get_by_role("link", name="Overview").first.click()
    expect(page.get_by_role("heading", name="Scenarios", exact=True)).to_be_visible()
    before = page.url
    page.get_by_role("button", name="Launch again").click()
    page.wait_for_url(lambda url: re.search(r"/executions/\d+$", url) and url != before)
    expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
    expect(page.locator(".changes")).to_contain_text("1 still failing")
    page.get_by_role("link", name="Executions").first.click()
    boxes = page.get_by_role("checkbox", name=re.compile("^Compare"))
    expect(boxes).to_have_count(2)
    page.get_by_role("button", name="✓ all passed").click()
    expect(page.get_by_text("No executions match.")).to_be_visible()
    page.get_by_role("button", name="✗ failed").click()
    expect(boxes).to_have_count(2)
    page.get_by_role("link", name="Trend of this suite").click()
    expect(page.locator("svg.trend .point")).to_have_count(2)
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?state=fail$"))
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("link", name="Compare the two chosen").click()
    expect(page.locator(".pill", has_text="tied")).to_be_visible()
    expect(page.get_by_role("region", name="Test cases").locator("tbody tr")).to_have_count(2)
