"""The same journey with nothing but the keyboard: every step is a key, and the focus is where somebody expects it."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

pytestmark = pytest.mark.xdist_group("browser")


def tab_to(page, role, name, *, most=120):
    """Press Tab until an element has the focus; it is visible there."""
    wanted = page.get_by_role(role, name=name)
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate_all("(found) => found.includes(document.activeElement)"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"nobody sees that {name} has the focus"
            return
    raise AssertionError(f"Tab does not lead to the {role} {name}")


def test_by_keyboard(project, open_page, peers):
    page = open_page(f"{project.pages}/")
    expect(page.get_by_role("heading", name="No executions yet")).to_be_visible()
    press, write = page.keyboard.press, page.keyboard.type
    tab_to(page, "link", "Define what to run")
    press("Enter")
    expect(page.get_by_role("heading", name="Define")).to_be_visible()

    tab_to(page, "link", re.compile("Connect your agent"))
    press("Enter")
    expect(page.get_by_role("heading", name="New connector")).to_be_visible()
    press("/")
    write("desk")
    tab_to(page, "combobox", "Type")
    press("h")
    tab_to(page, "textbox", "Base URL")
    write(peers.url)
    press("Control+Enter")
    expect(page.get_by_role("heading", name="desk")).to_be_visible()
    tab_to(page, "button", "Test connection")
    press("Enter")
    expect(page.get_by_text("The agent answers.")).to_be_visible()

    for name, said in (("polite", "Can I have my money back?"), ("angry", "I am angry!")):
        page.goto(f"{project.pages}/define/scenarios")
        expect(page.get_by_role("heading", name="Scenarios", exact=True)).to_be_visible()
        press("n")
        expect(page.get_by_role("heading", name="New scenario")).to_be_visible()
        press("/")
        write(name)
        tab_to(page, "button", "Add criterion")
        press("Enter")
        write("The agent promises 30 days")
        tab_to(page, "button", "Add turn")
        press("Enter")
        tab_to(page, "textbox", "Content")
        write(said)
        press("Control+Enter")
        expect(page.get_by_role("heading", name=name)).to_be_visible()

    page.goto(f"{project.pages}/define/evals/new")
    expect(page.get_by_role("heading", name="New eval")).to_be_visible()
    press("/")
    write("refunds")
    for name in ("polite", "angry"):
        tab_to(page, "checkbox", name)
        press("Space")
    tab_to(page, "combobox", "Connector")
    press("d")
    press("Control+Enter")
    expect(page.get_by_role("heading", name="refunds")).to_be_visible()

    tab_to(page, "button", "Launch")
    press("Enter")
    expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
    press("/")
    expect(page.locator("#search")).to_be_focused()
    press("Escape")
    press("j")
    expect(page.locator("main.run h1")).to_contain_text("polite")
    press("j")
    expect(page.locator("main.run h1")).to_contain_text("angry")
    press("o")
    expect(page.get_by_role("heading", name="Scenarios", exact=True)).to_be_visible()

    tab_to(page, "link", "Label")
    press("Enter")
    expect(page.get_by_role("heading", name="Is the judge right?")).to_be_visible()
    press("d")
    expect(page.get_by_text("1 labelled by local")).to_be_visible()
    press("n")
    write("it was rude")
    press("Enter")
    press("a")
    expect(page.get_by_text("2 labelled by local")).to_be_visible()
    press("k")
    press("u")
    values = {item["value"] for item in project.get("/labels")["data"]}
    assert len(project.get("/labels")["data"]) == 2
    assert values <= {"pass", "fail", "unsure"}
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("agree with the judge")
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    press("o")
    expect(page.get_by_role("heading", name="Scenarios", exact=True)).to_be_visible()
    before = page.url
    tab_to(page, "button", "Launch again")
    press("Enter")
    page.wait_for_url(lambda url: re.search(r"/executions/\d+$", url) and url != before)
    expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
    press("o")
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()
    tab_to(page, "checkbox", re.compile("^Compare"))
    press("Space")
    tab_to(page, "checkbox", re.compile("^Compare"))
    press("Space")
    press("/")
    tab_to(page, "link", "Compare")
    press("Enter")
    expect(page.locator(".pill", has_text="tied")).to_be_visible()
