"""Every page: no violation of WCAG A or AA, light and dark; nothing is wider than 360 px; hostile text stays text."""

from __future__ import annotations

from urllib.parse import quote

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import NUMBERS, project_of
from shop_peers import HOSTILE

pytestmark = pytest.mark.xdist_group("browser")
LONG = "angry" + "y" * 150
"""A name without a space."""
NASTY = f"{HOSTILE} \u200b'\"&"


@pytest.fixture(scope="module")
def world(served, peers):
    """A project whose names and texts are all hostile; the paths of its pages."""
    with project_of(served, peers, f"hostile <b>{next(NUMBERS)}</b>") as made:
        yield made, paths_of(made)


def paths_of(made):
    """Something of each kind; the pages that show it."""
    persona = made.make("/personas", name=NASTY, description=NASTY, goals=[NASTY])["id"]
    eval_id = made.shop("hostile", LONG, "broken", name=NASTY, description=NASTY, trials=2)
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
        f"/compare/{first}/{second}",
        f"/compare?second={second}",
        f"/suites/{quote(NASTY, safe='')}",
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


class Requests:
    """What a page waits for. Streams of events stay open, and nobody waits for them."""

    def __init__(self, page):
        self.page, self.open = page, set()
        page.on("request", lambda request: request.url.split("?")[0].endswith("/events") or self.open.add(request))
        page.on("requestfinished", lambda request: self.open.discard(request))  # noqa: PLW0108 -- Playwright marks it
        page.on("requestfailed", lambda request: self.open.discard(request))  # noqa: PLW0108 -- Playwright marks it

    def settle(self, address):
        """Open a page and wait until it has what it asked for, and has drawn it."""
        self.open.clear()
        self.page.goto(address)
        expect(self.page.locator(".stage > *").first).to_be_visible()
        quiet = 0
        while quiet < 2:
            self.page.evaluate(DRAWN)
            quiet = 0 if self.open else quiet + 1


DRAWN = "new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done())), 10))"


CUT_OFF = """[...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.ariaLabel)"""
"""Tables that are wider than a page of 1280 px."""


MADE_BY_TEXT = "document.querySelectorAll('#app img, #app b b, #app [onload], #app script').length"


def test_every_page_is_accessible_fits_a_phone_and_hostile_text_stays_text(world, open_page, axe):
    made, paths = world
    page = open_page(f"{made.pages}/", refused=True)
    requests = Requests(page)
    found = {}
    for path in paths:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        requests.settle(made.pages + path)
        told = axe(page)
        told += [f"{name} is cut off" for name in page.evaluate(CUT_OFF)]
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 360, "height": 740})
        told += axe(page)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 360:
            told.append(f"{width} px wide")
        if page.evaluate(MADE_BY_TEXT) or page.title() == "1":
            told.append("a text has become markup")
        if told:
            found[path] = told
    assert not found
    for path in paths[1], "/settings/tokens":  # on a telephone as well, the bar shows where one is
        requests.settle(made.pages + path)
        expect(page.locator("header.bar [aria-current]")).to_be_in_viewport(ratio=0.9)


READY = [".executions a", "a.cell", ".runs a", ".message"]


def test_what_a_page_asks_for_first_is_asked_for_once_and_with_the_page(world, open_page):
    made, paths = world
    page = open_page(f"{made.pages}/nothing/here", refused=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path, ready, number in zip(paths, READY, (2, 2, 3, 4), strict=False):
        asked.clear()
        page.goto(made.pages + path)
        page.locator(ready).first.wait_for()
        foreseen = page.eval_on_selector_all('link[rel="preload"]', "links => links.map(link => link.href)")
        assert len(foreseen) == number, path
        assert [asked.count(address) for address in foreseen] == [1] * number, path
