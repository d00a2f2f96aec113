"""The playground, and what is set up once: tokens, secrets, projects; and signing in."""

from __future__ import annotations

import re

import httpx
import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import project_of, serve_process

pytestmark = pytest.mark.xdist_group("browser")


def test_talk_to_an_agent_and_keep_it_as_a_scenario(project, open_page):
    project.make("/connectors", name="desk", type="http", base_url=project.peers.url)
    page = open_page(f"{project.pages}/playground", refused=True)
    field = page.get_by_role("textbox", name="Your message")
    expect(field).to_be_focused()
    page.keyboard.type("Can I have my money back?")
    page.keyboard.press("Enter")
    messages = page.locator(".messages .message")
    expect(messages).to_have_count(2)
    expect(messages.last).to_contain_text("You have 30 days")
    page.keyboard.type("hostile")
    page.keyboard.press("Enter")
    expect(messages).to_have_count(4)
    expect(messages.last).to_contain_text("<script>alert(2)</script>")
    page.keyboard.type("broken")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("500"))).to_be_visible()
    expect(field).to_have_value("broken")
    expect(messages).to_have_count(4)
    assert [len(body["messages"]) for body in project.peers.asked[-3:]] == [1, 3, 5]
    page.get_by_role("button", name="Save as a scenario").click()
    page.get_by_role("textbox", name="Name").first.fill("money back")
    expect(page.get_by_role("textbox", name="Content").first).to_have_value("Can I have my money back?")
    page.get_by_role("button", name="Create scenario").click()
    expect(page.get_by_role("heading", name="money back")).to_be_visible()
    assert [turn["content"] for turn in project.get("/scenarios")["data"][0]["turns"]] == [
        "Can I have my money back?",
        "hostile",
    ]


def test_watch_a_simulated_user_live(project, open_page, peers):
    project.make("/connectors", name="desk", type="http", base_url=peers.url)
    project.make(
        "/scenarios",
        name="refund",
        description="Wants money back.",
        criteria=["The agent promises 30 days"],
        max_turns=2,
    )
    page = open_page(f"{project.pages}/playground?who=simulated")
    peers.gate.clear()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".message.user")).to_contain_text("45 days ago")
    expect(page.locator("main.run .pill")).to_have_text(re.compile("running"))
    page.evaluate("window.same = true")
    peers.gate.set()
    expect(page.locator(".message.assistant").first).to_contain_text("30 days")
    expect(page.locator("main.run .pill")).to_have_text(re.compile("passed"))
    assert page.evaluate("window.same")


ODD_NAMES = ("..", ".", "~", "~..", "a/b", "../../etc", "%2F..", "what? #1 & 'two'", "ä\u2028ö")


def test_a_project_of_any_name_is_reached(served, peers, open_page):
    for name in ODD_NAMES:
        with project_of(served, peers, name):
            pass
    projects = [item["name"] for item in httpx.get(f"{served.url}/api/pages/session").json()["projects"]]
    page = open_page(f"{served.url}/")
    for name in ODD_NAMES:
        page.goto(f"{served.url}/")
        page.locator("ul.items a.name").nth(projects.index(name)).click()
        expect(page.get_by_role("heading", name="No executions yet")).to_be_visible()
        page.get_by_role("link", name="Settings").click()
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        page.reload()
        expect(page.locator("select.project")).to_have_value(name)


def test_tokens_secrets_and_signing_in(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        page = open_page(f"{project.pages}/settings/secrets", refused=True)
        page.get_by_role("textbox", name="Name").fill("DESK KEY")
        page.get_by_label("Value").fill("very-secret-1")
        page.get_by_role("button", name="Save secret").click()
        expect(page.get_by_role("textbox", name="Name")).to_have_attribute("aria-invalid", "true")
        page.get_by_role("textbox", name="Name").fill("DESK_KEY")
        page.get_by_role("button", name="Save secret").click()
        expect(page.get_by_role("list", name="Secrets")).to_contain_text("DESK_KEY")
        assert "very-secret-1" not in page.content()

        page.goto(f"{project.pages}/settings/tokens")
        page.get_by_role("textbox", name="Name").fill("reader")
        page.get_by_role("button", name="Create token").click()
        token = page.get_by_label("The token reader").input_value()
        assert token.startswith("duo_")
        page.reload()
        expect(page.get_by_role("list", name="Tokens")).to_contain_text("reader")
        assert token not in page.content()

        # From the next start on everybody needs one.
        served.kill()
        served.start()
        page.goto(f"{project.pages}/define/personas")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Token").fill("duo_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_role("alert")).to_contain_text("not valid")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="No personas yet")).to_be_visible()
        [cookie] = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        assert page.evaluate("document.cookie") == ""

        # The token may look, and no more.
        page.get_by_role("link", name="New persona").first.click()
        page.get_by_role("textbox", name="Name").first.fill("p")
        page.get_by_role("button", name="Create persona").click()
        expect(page.get_by_role("alert")).to_contain_text("scope 'run'")

        # Whoever signs out in one tab has done so in all of them, and whoever signs in, too.
        others = [page.context.new_page() for _ in range(2)]
        for other, path in zip(others, ("/playground", "/executions"), strict=True):
            other.goto(f"{project.pages}{path}")
            expect(other.get_by_role("button", name="Sign out")).to_be_visible()
        others[0].get_by_role("link", name="Executions").click()
        expect(others[0].get_by_text("No executions yet")).to_be_visible()
        away = []
        others[0].on("request", lambda request: away.append(request.url))
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        for other in others:
            expect(other.get_by_role("alert").filter(has_text="signed out in another tab")).to_be_visible()
            expect(other.get_by_role("button", name="Sign out")).to_have_count(0)
            expect(other.get_by_role("dialog")).to_have_count(0)
        others[0].go_back()
        expect(others[0].get_by_label("Token")).to_be_visible()
        assert not [url for url in away if "/api/v1/" in url], "it asks for nothing any more"
        page.go_back()
        expect(page.get_by_label("Token")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
        page.goto(f"{served.url}/")
        others[1].get_by_label("Token").fill(token)
        others[1].keyboard.press("Enter")
        for other in others:
            expect(other.get_by_role("button", name="Sign out")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()

        # A page that a browser shows as it was left, as after signing out in another browser window.
        page.context.clear_cookies()
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        expect(page.get_by_label("Token")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
