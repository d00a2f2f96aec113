"""What somebody has written stays until they send it or let it go: in forms, in talks, and while they sign in again."""

from __future__ import annotations

import re

import httpx
import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import project_of, serve_process

pytestmark = pytest.mark.xdist_group("browser")


def leave_by_link(page):
    page.get_by_role("link", name="Calls").click()


def leave_by_crumbs(page):
    page.get_by_role("link", name="← Personas").click()


def leave_by_going_back(page):
    page.evaluate("history.back()")


@pytest.mark.parametrize("leave", [leave_by_link, leave_by_crumbs, leave_by_going_back])
def test_leaving_a_form_with_changes_is_asked_about(project, open_page, leave):
    page = open_page(f"{project.pages}/define/personas")
    page.get_by_role("link", name="New persona").click()
    page.get_by_role("textbox", name="Name").first.fill("traveller")
    here = page.url
    leave(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("textbox", name="Name").first).to_have_value("traveller")
    expect(page).to_have_url(here)
    leave(page)
    dialog.get_by_role("button", name="Leave without saving").click()
    expect(page.get_by_role("textbox", name="Name")).to_have_count(0)
    expect(page).not_to_have_url(here)
    # Where nothing was written, nobody is asked; neither are those who have saved.
    page.goto(here)
    page.get_by_role("textbox", name="Name").first.fill("traveller")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="traveller")).to_be_visible()
    page.get_by_role("link", name="← Personas").click()
    expect(page.get_by_role("list", name="Personas")).to_contain_text("traveller")


def problem_of(page, field):
    described = field.get_attribute("aria-describedby").split()
    return " ".join(page.locator(f"#{id_}").inner_text() for id_ in described)


def test_a_problem_stands_beside_its_row_when_rows_before_it_have_gone_or_are_empty(project, open_page):
    page = open_page(f"{project.pages}/define/scenarios/new", refused=True)
    page.get_by_role("textbox", name="Name").first.fill("s")
    for text in ("first", "second", "{{ third"):
        page.get_by_role("button", name="Add turn").click()
        page.get_by_role("textbox", name="Content").last.fill(text)
    page.get_by_role("button", name="Remove turn 1").click()
    page.get_by_role("textbox", name="Content").last.fill("")
    page.get_by_role("button", name="Create scenario").click()
    wrong = page.get_by_role("textbox", name="Content").last
    expect(page.locator(".problems")).to_contain_text("turns[1]")
    expect(page.get_by_label("Turn 2", exact=True).locator("[aria-invalid]")).not_to_have_count(0)
    expect(page.get_by_label("Turn 1", exact=True).locator("[aria-invalid]")).to_have_count(0)
    wrong.fill("third")
    page.get_by_role("button", name="Create scenario").click()
    expect(page.get_by_role("heading", name="s", exact=True)).to_be_visible()
    assert [turn["content"] for turn in project.get("/scenarios")["data"][0]["turns"]] == ["second", "third"]


def test_a_problem_of_a_field_in_a_row_stands_beside_it_when_the_row_before_has_gone(project, open_page):
    page = open_page(f"{project.pages}/settings/projects/new", refused=True)
    page.get_by_role("textbox", name="Name").first.fill("other")
    if (fold := page.get_by_text("Set settings")).count():
        fold.click()
    for _ in range(2):
        page.get_by_role("button", name="Add model").click()
    page.get_by_label("Model 2", exact=True).get_by_role("textbox", name="Name").fill("Not A Name!\u0000")
    page.get_by_role("button", name="Remove model 1").click()
    page.get_by_role("button", name="Create project").click()
    expect(page.locator(".problems")).to_contain_text("models[0]")
    expect(page.get_by_label("Model 1", exact=True).locator("[aria-invalid]")).not_to_have_count(0)


def test_values_without_a_name_and_names_that_come_twice_are_told(project, open_page):
    page = open_page(f"{project.pages}/define/personas/new", refused=True)
    page.get_by_role("textbox", name="Name").first.fill("p")
    page.get_by_text("More settings").first.click()
    for _ in range(2):
        page.get_by_role("button", name="Add fact").click()
    names, values = page.get_by_label("Name of fact"), page.get_by_label("Value of fact")
    names.nth(0).fill("order")
    values.nth(0).fill("4711")
    values.nth(1).fill("Kiel")
    create = page.get_by_role("button", name="Create persona")
    create.click()
    expect(page.locator(".problem", has_text="has no name")).to_be_visible()
    names.nth(1).fill("order")
    create.click()
    expect(page.locator(".problem", has_text="twice")).to_be_visible()
    names.nth(1).fill("city")
    create.click()
    expect(page.get_by_role("heading", name="p", exact=True)).to_be_visible()
    assert project.get("/personas")["data"][0]["facts"] == {"order": "4711", "city": "Kiel"}


def test_what_is_written_while_the_agent_answers_is_kept(project, open_page, peers):
    project.make("/connectors", name="desk", type="http", base_url=peers.url)
    page = open_page(f"{project.pages}/playground")
    say = page.get_by_label("Your message")
    peers.gate.clear()
    say.fill("broken")
    say.press("Enter")
    expect(page.locator(".message.user")).to_have_text(re.compile("broken"))
    say.fill("and another thing")
    peers.gate.set()
    expect(say).to_have_value("broken\nand another thing")
    # An answer that comes after a new conversation has begun belongs to no conversation.
    say.fill("refund please")
    say.press("Enter")
    expect(page.locator(".message.assistant")).to_have_count(1)
    peers.gate.clear()
    asked = len(peers.asked)
    say.fill("late")
    say.press("Enter")
    expect(page.locator(".message.user")).to_have_count(2)
    page.get_by_role("button", name="Start over").click()
    say.fill("new")
    say.press("Enter")
    expect(page.locator(".message.user")).to_have_count(1)
    peers.gate.set()
    expect(page.locator(".message.assistant")).to_have_count(1)
    page.wait_for_load_state("networkidle")
    assert len(peers.asked) == asked + 2
    expect(page.locator(".message")).to_have_count(2)


def test_a_page_goes_on_after_somebody_has_signed_in_again(tmp_path, peers, open_page):
    with serve_process(tmp_path / "store", "--allow-private-addresses") as served:
        with project_of(served, peers, "shop") as project:
            tokens = [project.make("/tokens", name=f"t{number}", scope="admin") for number in range(3)]
            eval_id = project.shop("refund please", "angry words")
        served.kill()
        served.start()
        peers.gate.clear()
        with project_of_token(served, tokens[0]["token"]) as api:
            number = api.post("/executions", json={"eval_id": eval_id}).json()["id"]
            page = open_page(f"{served.url}/p/shop/executions/{number}", refused=True)
            page.get_by_label("Token").fill(tokens[1]["token"])
            page.keyboard.press("Enter")
            expect(page.locator(".matrix .cell")).to_have_count(2)
            page.evaluate("window.same = true")
            api.delete(f"/tokens/{tokens[1]['id']}")
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("heading", name="Sign in again")).to_be_visible()
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            page.get_by_role("link", name="Executions", exact=True).click()
            expect(dialog.get_by_role("heading", name="Sign in again")).to_be_visible()
            page.keyboard.press("Escape")
            page.go_back()
            dialog.get_by_label("Token").fill(tokens[2]["token"])
            page.keyboard.press("Enter")
            expect(page.locator(".matrix .cell")).to_have_count(2)
            peers.gate.set()
            expect(page.locator("header.title .pill")).to_have_text(re.compile("failed"))
            assert page.evaluate("window.same")


def project_of_token(served, token):
    return httpx.Client(
        base_url=f"{served.url}/api/v1", params={"project": "shop"}, headers={"Authorization": f"Bearer {token}"}
    )
