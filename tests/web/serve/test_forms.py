"""Forms: what is sent, what is said beside the field that is to blame, and what two people do to each other."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

pytestmark = pytest.mark.xdist_group("browser")


def test_problems_stand_beside_their_fields(project, open_page):
    page = open_page(f"{project.pages}/define/scenarios/new", refused=True)
    page.get_by_label("Max turns").fill("many")
    page.get_by_role("button", name="Add turn").click()
    page.get_by_role("button", name="Create scenario").click()
    name = page.get_by_role("textbox", name="Name").first
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".problems li")).not_to_have_count(0)
    turns = page.get_by_label("Max turns")
    expect(turns).to_have_attribute("aria-invalid", "true")
    described = turns.get_attribute("aria-describedby").split()
    told = " ".join(page.locator(f"#{id_}").inner_text() for id_ in described)
    assert "many" in told
    page.locator(".problems a", has_text="max_turns").click()
    expect(turns).to_be_focused()
    name.fill("s")
    turns.fill("3")
    page.get_by_role("textbox", name="Content").fill("Hello?")
    page.get_by_role("button", name="Create scenario").click()
    expect(page.get_by_role("heading", name="s", exact=True)).to_be_visible()
    saved = project.get("/scenarios")["data"][0]
    assert (saved["max_turns"], saved["turns"][0]["content"], saved["criteria"]) == (3, "Hello?", [])


def test_a_problem_in_a_folded_part_opens_it(project, open_page):
    page = open_page(f"{project.pages}/define/personas/new", refused=True)
    page.get_by_role("textbox", name="Name").first.fill("p")
    page.get_by_text("More settings").first.click()
    page.get_by_label("Temperature").fill("warm")
    page.get_by_text("More settings").first.click()
    page.get_by_role("button", name="Create persona").click()
    expect(page.get_by_label("Temperature")).to_be_visible()
    expect(page.get_by_label("Temperature")).to_be_focused()


def test_nested_values_lists_and_optional_values_come_back_as_they_were(project, open_page):
    given = {
        "name": "p",
        "description": "Line one.\nLine two.",
        "goals": ["first", "second"],
        "style": {"verbosity": "short", "friction_tags": ["sceptical"]},
        "facts": {"order": "4711", "city": "Kiel"},
        "temperature": 0,
        "labels": {"tier": "gold"},
    }
    made = project.make("/personas", **given)
    page = open_page(f"{project.pages}/define/personas/{made['id']}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("No changes to save.")).to_be_visible()
    page.get_by_role("button", name="Remove goal 1").click()
    expect(page.get_by_role("textbox", name="Goal 1")).to_have_value("second")
    page.get_by_label("Language").fill("German")
    page.get_by_label("Temperature").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    now = project.get(f"/personas/{made['id']}")
    assert (now["goals"], now["language"], now["temperature"]) == (["second"], "German", None)
    for name in ("description", "facts", "labels"):
        assert now[name] == given[name]
    assert now["style"]["friction_tags"] == ["sceptical"]


def test_all_of_it_can_be_written_as_json(project, open_page):
    page = open_page(f"{project.pages}/define/scenarios/new", refused=True)
    page.get_by_role("textbox", name="Name").first.fill("by hand")
    page.get_by_role("button", name="Edit as JSON").click()
    field = page.get_by_role("textbox", name="scenario as JSON")
    assert json.loads(field.input_value()) == {"name": "by hand"}
    field.fill("{")
    page.get_by_role("button", name="Create scenario").click()
    expect(page.get_by_role("alert")).to_contain_text("Not a JSON object")
    field.fill(json.dumps({"name": "by hand", "turns": [{"role": 5}]}))
    page.get_by_role("button", name="Create scenario").click()
    expect(page.locator(".problems")).to_contain_text("turns[0].role")
    field.fill(
        json.dumps(
            {
                "name": "by hand",
                "description": "Asks.",
                "criteria": ["it is polite"],
                "checks": [{"type": "contains", "params": {"patterns": ["x"]}}],
            }
        )
    )
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_role("textbox", name="Criterion 1")).to_have_value("it is polite")
    expect(page.get_by_role("textbox", name="Pattern 1")).to_have_value("x")
    page.get_by_role("button", name="Create scenario").click()
    expect(page.get_by_role("heading", name="by hand")).to_be_visible()
    assert project.get("/scenarios")["data"][0]["checks"][0]["params"] == {"patterns": ["x"]}


def test_nobody_undoes_what_somebody_else_has_saved(project, open_page):
    made = project.make("/personas", name="p")
    page = open_page(f"{project.pages}/define/personas/{made['id']}", refused=True)
    expect(page.get_by_role("heading", name="p", exact=True)).to_be_visible()
    project.api.patch(f"/personas/{made['id']}", json={"language": "Danish"})
    page.get_by_label("Description").fill("mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Someone else has changed this")).to_be_visible()
    assert project.get(f"/personas/{made['id']}")["description"] == ""
    page.get_by_role("button", name="Load theirs").click()
    expect(page.get_by_label("Language")).to_have_value("Danish")
    # Or what was written here is kept: where both have changed a field, and there only.
    project.api.patch(f"/personas/{made['id']}", json={"language": "Faroese", "description": "theirs"})
    page.get_by_label("Description").fill("mine")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Keep mine (overwrite)").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Language")).to_have_value("Faroese")
    saved = project.get(f"/personas/{made['id']}")
    assert (saved["description"], saved["language"]) == ("mine", "Faroese")
    project.api.patch(f"/personas/{made['id']}", json={"language": "Danish"})
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete persona").click()
    expect(page.get_by_text("Someone else has changed this")).to_be_visible()
    assert project.get("/personas")["data"]
    page.get_by_role("button", name="Delete anyway").click()
    expect(page.get_by_role("heading", name="No personas yet")).to_be_visible()


def test_what_is_deleted_is_asked_about_first(project, open_page):
    made = project.make("/personas", name="p")
    page = open_page(f"{project.pages}/define/personas/{made['id']}")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete persona").click()
    expect(page.get_by_role("heading", name="No personas yet")).to_be_visible()
    assert project.get("/personas")["data"] == []


def test_versions_of_an_agent_are_published_and_compared(project, open_page):
    page = open_page(f"{project.pages}/define/agents/new")
    agent = page.get_by_role("group", name=re.compile("^Agent"))
    agent.get_by_role("textbox", name="Name").fill("writer")
    agent.get_by_role("textbox", name="Model").fill("shop")
    agent.get_by_role("textbox", name="Description").fill("one")
    page.get_by_role("button", name="Create agent").click()
    expect(page.get_by_role("heading", name="writer")).to_be_visible()
    page.get_by_label("Note").fill("the first")
    page.get_by_role("button", name="Publish a version").click()
    expect(page.get_by_text("Version 1 is published.")).to_be_visible()
    agent.get_by_role("textbox", name="Description").fill("two")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("button", name="Compare with the draft").click()
    expect(page.locator(".differing del")).to_have_text(re.compile("one"))
    expect(page.locator(".differing ins")).to_have_text(re.compile("two"))


def test_suites_come_in_and_go_out(project, open_page):
    page = open_page(f"{project.pages}/define/import", refused=True)
    page.get_by_role("textbox", name=re.compile("^Suite")).fill("kind: Suite\nspec: {scenarios: 5}")
    page.get_by_role("button", name="Check for problems").click()
    expect(page.locator(".problems li")).not_to_have_count(0)
    suite = (
        "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: late}\nspec:\n"
        f"  agents: [{{name: desk, http: {{url: '{project.peers.url}'}}}}]\n"
        "  scenarios: [{name: late-refund, turns: [{role: user, content: Can I?}], criteria: [it is polite]}]\n"
    )
    page.get_by_role("textbox", name=re.compile("^Suite")).fill(suite)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    page.get_by_role("link", name="late-refund").click()
    expect(page.get_by_role("heading", name="late-refund")).to_be_visible()
    eval_id = project.get("/evals")["data"][0]["id"]
    page.goto(f"{project.pages}/define/evals/{eval_id}")
    page.get_by_role("button", name="Show as a suite file").click()
    expect(page.locator("pre.suite")).to_contain_text("late-refund")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a suite file").click()
    assert saved.value.suggested_filename.endswith(".yaml")
