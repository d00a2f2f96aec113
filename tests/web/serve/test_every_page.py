"""Every page: no violation of WCAG A or AA, light and dark; nothing is wider than 360 px; hostile text stays text."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import NUMBERS, project_of
from shop_peers import HOSTILE

pytestmark = pytest.mark.xdist_group("browser")
NASTY = f"{HOSTILE} \u200b'\"&"


@pytest.fixture(scope="module")
def world(served, peers):
    """A project whose names and texts are all hostile; the paths of its pages."""
    with project_of(served, peers, f"hostile <b>{next(NUMBERS)}</b>") as made:
        yield made, paths_of(made)


def paths_of(made):
    """Something of each kind; the pages that show it."""
    persona = made.make("/personas", name=NASTY, description=NASTY, goals=[NASTY])["id"]
    eval_id = made.shop("hostile", "angry", "broken", name=NASTY, description=NASTY, trials=2)
    scenario = made.make(
        "/scenarios", name=NASTY, description=NASTY, criteria=[NASTY], turns=[{"role": "user", "content": NASTY}]
    )["id"]
    connector = made.get("/connectors")["data"][0]["id"]
    agent = made.make("/agents", name=NASTY, agent={"name": NASTY, "model": "shop", "description": NASTY})["id"]
    made.make(f"/agents/{agent}/publish", note=NASTY)
    schedule = made.make("/schedules", eval_id=eval_id, cron="0 6 * * *")["id"]
    metric = made.make("/metrics", name="kind", display_name=NASTY, rubric=NASTY)["id"]
    environment = made.make("/environments", name=NASTY, description=NASTY)["id"]
    first, second = made.run(eval_id, name=NASTY), made.run(eval_id)
    run = made.get("/runs", execution_id=first, outcome="fail")["data"][0]["id"]
    return [
        "/",
        f"/executions/{first}",
        f"/executions/{first}/runs",
        f"/executions/{first}/run/{run}",
        f"/executions/{first}/label",
        f"/compare?first={first}&second={second}",
        "/playground",
        "/playground?who=simulated",
        "/define",
        "/define/import",
        "/define/personas",
        f"/define/personas/{persona}",
        f"/define/scenarios/{scenario}",
        f"/define/connectors/{connector}",
        f"/define/agents/{agent}",
        f"/define/evals/{eval_id}",
        f"/define/schedules/{schedule}",
        f"/define/metrics/{metric}",
        f"/define/environments/{environment}",
        "/define/environments/new",
        "/calls",
        "/settings",
        "/settings/projects",
        "/settings/projects/new",
        "/settings/tokens",
        "/settings/secrets",
        "/settings/workers",
        "/settings/runtimes",
        "/nothing/here",
    ]


def settled(page, address):
    """Open a page and wait until it has asked for everything."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    expect(page.locator("#main")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(world, open_page, axe, scheme):
    made, paths = world
    page = open_page(f"{made.pages}/", color_scheme=scheme, refused=True)
    found = {}
    for path in paths:
        settled(page, made.pages + path)
        if violations := axe(page):
            found[path] = violations
    assert not found


def test_every_page_fits_a_phone_and_hostile_text_stays_text(world, open_page):
    made, paths = world
    page = open_page(f"{made.pages}/", viewport={"width": 360, "height": 740}, refused=True)
    wide, harmed = {}, {}
    for path in paths:
        settled(page, made.pages + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[path] = width
        if made_by_text := page.evaluate(
            "document.querySelectorAll('#app img, #app b b, #app [onload], #app script').length"
        ):
            harmed[path] = made_by_text
        assert page.title() != "1"
    assert not wide
    assert not harmed
