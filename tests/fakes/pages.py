"""Pages in a real browser: what goes wrong in one fails the test, and axe-core looks at it in light and dark.

A test module takes the fixtures by importing them: ``from pages import axe, browser, opened``.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from waiting import LONG, wait_until

AXE = Path(__file__).parents[2] / ".cache" / "axe-core-4.11.4" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_EXPECTED = ("Failed to load resource", "net::ERR")


@pytest.fixture(scope="module")
def browser(chromium):
    """One browser for the tests of a module."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=LONG * 1000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=LONG * 1000)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens an address; an error in the page, a violation of its policy or a request to another host fails the test.

    ``interrupted=True`` is for tests that stop the server: requests that fail are then expected.
    """
    wrong, contexts = [], []

    def open_page(address, *, interrupted=False, width=1300, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONG * 1000)
        host = urlsplit(address).netloc

        def said(message):
            missing = "404 (Not Found)" in message.text  # a page says so, and the browser as well
            late = "was preloaded using link preload but not used" in message.text  # on a slow machine
            if not missing and not late and not (interrupted and any(part in message.text for part in _EXPECTED)):
                wrong.append(f"console: {message.text}")

        def asked(request):
            # A page that is a file may load what lies beside it.
            own = not host and request.url.startswith(address.partition("#")[0].rpartition("/")[0] + "/")
            if (
                not own
                and not request.url.startswith(("data:", "blob:"))
                and (not host or urlsplit(request.url).netloc != host)
            ):
                wrong.append(f"asked for {request.url}")

        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", said)
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", asked)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="session")
def axe():
    """Checks a page against the rules of accessibility; what it finds is the answer, as lines."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: run scripts/axe-core, which fetches it with npm")
    rules = AXE.read_text("utf-8")

    def check(page):
        page.evaluate(rules)  # by the debugger, which no policy of the page concerns
        found = page.evaluate(
            "levels => axe.run(document, {runOnly: {type: 'tag', values: levels}, resultTypes: ['violations']})"
            ".then(({violations}) => violations.map(({id, help, nodes}) => "
            "`${id}: ${help}: ${nodes.slice(0, 4).map(node => node.html.slice(0, 160) + ' ' +"
            " (node.any[0]?.message ?? '')).join(' | ')}`))",
            LEVELS,
        )
        return list(found)

    return check


def widest(page):
    """How wide a page is on a telephone."""
    page.set_viewport_size({"width": 360, "height": 740})
    return page.evaluate("document.documentElement.scrollWidth")


def until(page, condition):
    """Wait for a condition in a page. Playwright's own way evaluates strings, which the policy of pages forbids."""
    wait_until(lambda: page.evaluate(condition))


FITS = """() => {
  const wide = [...document.querySelectorAll("main *")].filter(item => item.scrollWidth > item.clientWidth + 2 &&
    getComputedStyle(item).overflowX === "visible" && getComputedStyle(item).display !== "inline");
  return { width: document.documentElement.scrollWidth - innerWidth,
           characters: document.querySelector("#app").textContent.length,
           nodes: document.querySelectorAll("*").length, wide: wide.map(item => item.className || item.tagName) };
}"""


def assert_shown_in_part(page, width):
    """Nothing is wider than the page, and of endless texts only the beginning is there."""
    found = page.evaluate(FITS)
    assert found["width"] <= 0, (width, found)
    assert found["wide"] == [], width
    assert found["characters"] < 600_000
    assert found["nodes"] < 15_000
