"""The web page in a real browser: what is seen, that it can be used with keys, and that hostile text does nothing."""

from __future__ import annotations

import time

import pytest
from pages import assert_shown_in_part
from waiting import LONG

from duologue.reports.html import save_html

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=LONG * 1000)
# One browser for all of them.
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=LONG * 1000)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of an execution; what went wrong in it, and what it asked for, fails the test."""
    wrong, contexts = [], []

    def open_page(execution, fragment="", scripts=True, **options):
        path = save_html(execution, tmp_path / "report.html", tmp_path)
        context = browser.new_context(viewport={"width": 1300, "height": 900}, java_script_enabled=scripts, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONG * 1000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _asked(request.url, wrong))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def _asked(url, wrong):
    if not url.startswith("data:") and not (url.startswith("file:") and "/report.html" in url):
        wrong.append(f"asked for {url}")


def run_of(execution, outcome):
    return next(run for run in execution.runs if run.outcome == outcome)


def test_the_overview_says_what_it_came_to(opened, execution):
    page = opened(execution)
    assert page.locator("h1").inner_text() == "harbour-hotel"
    assert "failed" in page.locator("header.title .pill").inner_text()
    tiles = dict(
        zip(page.locator(".totals dt").all_inner_texts(), page.locator(".totals dd").all_inner_texts(), strict=True)
    )
    assert [tiles[name] for name in ("test cases", "passed", "failed", "undecided", "error", "not run", "runs")] == [
        "12", "7", "2", "1", "1", "1", "15",
    ]  # fmt: skip
    cells = page.locator(".matrix tbody tr").first.locator("a.cell").all_inner_texts()
    assert [cell.split()[-1] for cell in cells] == ["passed", "failed"]
    assert page.locator("svg.chart title").first.text_content() == "Cost by agent in US dollars"
    assert page.locator(".attention > li").count() == 4


def test_a_citation_leads_to_its_message(opened, execution):
    page = opened(execution)
    cited = page.locator(".message.cited")
    page.locator(".attention a.name", has_text="hurried").click()
    expect(page.locator("main.run h1")).to_have_text("book-a-room · desk-mini · hurried")
    page.locator(".findings a.cite", has_text="m4").first.click()
    expect(cited).to_have_count(1)
    expect(cited).to_contain_text("if you decide now")
    expect(page.locator("[id='m:m4']")).to_be_focused()
    page.locator("aside a.cite", has_text="m6").first.click()
    expect(cited.locator(".id")).to_have_text("m6")
    page.go_back()
    expect(cited.locator(".id")).to_have_text("m4")


def test_back_leads_to_where_the_overview_was_left(opened, execution):
    page = opened(execution)
    page.set_viewport_size({"width": 1300, "height": 400})
    page.evaluate("scrollTo(0, 300)")
    page.locator(".attention a.name").first.click()
    expect(page.locator("main.run")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(page.locator("main.page")).to_be_visible()
    page.wait_for_function("scrollY === 300")


def test_neighbours_go_through_the_list_as_it_is_filtered(opened, execution):
    page = opened(execution, "#/runs?outcome=fail")
    page.locator(".runs a").first.click()
    steps = page.locator("nav.steps")
    expect(steps).to_contain_text("1 of 2")
    expect(steps.locator("a")).to_have_count(1)
    steps.get_by_label("Next run").click()
    expect(page.locator("main.run h1")).to_have_text("quote-a-price · desk-mini #2")
    expect(steps.get_by_label("Next run")).to_have_count(0)


def test_grades_are_a_table_that_leads_to_messages(opened, samples):
    graded = samples.graded()
    page = opened(graded, f"#/run/{graded.runs[0].run_id}")
    box = page.locator("details.graded")
    expect(box).to_have_attribute("open", "")
    assert "42.9 of 75 needed" in box.locator("summary").inner_text()
    row = box.locator("tbody tr", has_text="Answer correctness")
    assert row.locator(".steps .on").count() == 1
    assert row.locator("code").inner_text() == "invented_price"
    assert "turn 1" in row.inner_text()
    assert "does not apply" in box.locator("tbody tr", has_text="Escalation").inner_text()
    assert "book_room" in box.locator("ul.checks").last.inner_text()
    row.locator("a.cite").click()
    expect(page.locator(".message.cited .id")).to_have_text("m4")
    page.keyboard.press("o")
    section = page.locator("section", has=page.get_by_role("heading", name="Metrics"))
    assert "42.9 of 80 needed" in section.locator("small.low").inner_text()
    assert "invented_price 1" in section.inner_text()


def test_answers_from_files_are_told_at_once(opened, execution, samples):
    assert opened(execution).locator(".title .pill").count() == 1
    mocked = samples.replace(execution, environment={"mock": True})
    assert opened(mocked).locator(".title .pill").all_inner_texts()[-1] == "mock"


def test_a_run_is_shown_with_all_that_is_known(opened, execution):
    page = opened(execution, f"#/run/{run_of(execution, 'fail').run_id}")
    shown = page.locator("main.run").inner_text()
    for part in (
        "find_rooms",
        "No price outside the list of rates is promised",
        "banned_words",
        "ask → booked",
        "area=booking",
    ):
        assert part in shown
    assert page.locator("details.prompt").get_attribute("open") is None
    page.locator("details.prompt summary").click()
    assert "Never promise a price" in page.locator("details.prompt").inner_text()
    page.goto(page.url.split("#")[0] + f"#/run/{run_of(execution, 'error').run_id}")
    expect(page.locator(".findings")).to_contain_text("did not answer within 60 s")


def test_filters_and_search_choose_runs_and_stand_in_the_address(opened, execution):
    page = opened(execution, "#/runs")
    assert page.locator(".runs li").count() == 15
    page.get_by_role("button", name="✗ failed").click()
    assert page.locator(".runs li").count() == 2
    page.get_by_label("persona").select_option("hurried")
    assert page.locator(".runs li").count() == 1
    assert page.url.endswith("#/runs?outcome=fail&persona=hurried")
    page.reload()
    expect(page.locator(".runs li")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    page.locator("#search").press_sequentially("somebody COMES at once")
    page.locator(".count", has_text="2 of 15 runs").wait_for()
    assert page.locator(".runs b").all_inner_texts() == ["report-a-fault", "report-a-fault"]
    assert page.evaluate("document.activeElement.id") == "search"
    page.locator("#search").fill("number  IS hh-2214")
    hit = page.locator(".runs li", has_text="quote-a-price").first.locator(".hit")
    expect(hit.locator("mark")).to_have_text("number is HH-2214")
    hit.click()
    expect(page.locator(".message.cited")).to_contain_text("Your number is HH-2214.")
    page.locator("#search").fill("nobody said this")
    page.get_by_text("No runs match.").wait_for()


def test_the_keys_go_through_the_runs(opened, execution):
    page = opened(execution)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Escape")
    for key in "jjk":
        page.keyboard.press(key)
    first = page.locator("a.current").get_attribute("data-run")
    assert first == execution.runs[0].run_id
    page.keyboard.press("j")
    assert page.locator("a.current").get_attribute("data-run") == execution.runs[1].run_id
    page.keyboard.press("o")
    assert page.locator(".totals").is_visible()


def test_pictures_and_sounds_are_there(opened, execution):
    page = opened(execution, f"#/run/{execution.runs[5].run_id}")
    page.wait_for_function("document.querySelector('.media img').complete")
    assert page.evaluate("document.querySelector('.media img').naturalWidth") == 16
    assert page.locator("audio").get_attribute("src").startswith("data:audio/wav")
    assert "[image_url]" not in page.locator("main.run").inner_text()


def test_light_and_dark_follow_the_system_and_the_button(opened, execution):
    page = opened(execution, color_scheme="dark")
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(colour)
    page.get_by_role("button", name="Change between light and dark").click()
    light = page.evaluate(colour)
    assert (dark, light) == ("rgb(21, 21, 23)", "rgb(250, 249, 247)")
    # Chromium hands what is stored to its other processes a moment later, and a reload may start one.
    for _ in range(100):
        page.reload()
        if page.evaluate(colour) == light:
            break
        page.wait_for_timeout(100)
    assert page.evaluate(colour) == light


def test_a_narrow_screen_has_nothing_outside_of_it(opened, execution, samples):
    graded = samples.graded()
    assert widest(opened(graded, f"#/run/{graded.runs[0].run_id}")) <= 360
    for fragment in ("", "#/runs", f"#/run/{run_of(execution, 'fail').run_id}"):
        assert widest(opened(execution, fragment)) <= 360


def widest(page):
    page.set_viewport_size({"width": 360, "height": 740})
    return page.evaluate("document.documentElement.scrollWidth")


def test_long_names_leave_room_for_the_results(opened, samples):
    long = "a-name-that-somebody-made-of-the-title-of-a-ticket-and-never-looked-at-again"
    cases = [samples.case(number, long, f"provider/{long}/{number}", persona=long) for number in range(3)]
    runs = tuple(map(samples.run_of, cases))
    plan = samples.Plan(suite=long, cases=tuple(cases), seed=1)
    page = opened(samples.replace(samples.hotel(), suite=long, runs=runs, plan=plan))
    last = page.locator(".matrix a.cell").last.bounding_box()
    assert last["x"] + last["width"] < 1300
    assert page.locator(".chart text.name").first.text_content().endswith("again/0")
    assert widest(page) <= 360


def test_without_scripts_there_is_a_summary(opened, execution):
    page = opened(execution, scripts=False)
    assert "12 test cases: 7 passed, 2 failed" in page.locator("noscript, main.fallback").first.inner_text()


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_does_nothing_and_hides_nothing(opened, samples, number):
    execution = samples.hostile(samples.HOSTILE[number])
    page = opened(execution)
    title = page.title()
    page.locator("a.cell, .attention a.name").first.click()
    page.locator("main.run h1").wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    assert page.title() == title
    assert title.endswith("· Duologue")
    assert page.locator("main.run script, main.run iframe, main.run img, main.run a[href^='javascript']").count() == 0
    assert page.locator("main.run a:not([href^='#/'])").count() == 0
    shown = page.locator(".message").first.inner_text()
    assert not set("\x1b\x07\u202e\x00") & set(page.locator("body").inner_text())
    visible = [
        word for word in samples.HOSTILE[number].split() if word.isascii() and word.isprintable() and len(word) > 3
    ]
    assert all(word in shown for word in visible)
    if "\x1b" in samples.HOSTILE[number]:
        assert "ESC" in shown
    if "\u202e" in samples.HOSTILE[number]:
        assert "U+202E" in shown


def test_a_megabyte_is_cut_until_somebody_asks_for_it(opened, samples):
    said = "lines of words\n" * 65_000
    run = samples.run_of(
        samples.case(0, "s", "a"),
        messages=(samples.MessageResult(id="m1", message=samples.assistant_message(said), turn=0),),
    )
    whole = samples.replace(samples.hotel(), runs=(run,), plan=samples.Plan(suite="s", cases=(run.case,), seed=1))
    page = opened(whole, f"#/run/{run.run_id}")
    assert len(page.locator(".message .said").inner_text()) < 7000
    page.get_by_role("button", name="Show all 975,000 characters").click()
    assert len(page.locator(".message .said").text_content()) == len(said)


def test_texts_without_end_are_shown_in_part_and_can_be_had_whole(opened, samples):
    said = "x" * 2_000_000
    whole = samples.endless(said)
    page = opened(whole, f"#/run/{whole.runs[0].run_id}")
    page.locator(".message").first.wait_for()
    assert_shown_in_part(page, 1300)
    with page.expect_download() as kept:
        page.locator(".message.user").get_by_role("button", name="Download").click()
    assert kept.value.path().read_text("utf-8") == said


def test_a_thousand_runs_open_at_once(opened, samples):
    whole = samples.many(1000)
    began = time.perf_counter()
    page = opened(whole)
    page.locator("h1").wait_for()
    print(f"overview of 1,000 runs: {time.perf_counter() - began:.2f} s")
    page.goto(page.url + "#/runs")
    page.locator(".runs li").first.wait_for()
    assert page.locator(".runs li").count() < 60  # those that are seen, and some around them
    expect(page.locator(".runs li").first).to_have_attribute("aria-setsize", "1000")
    page.locator("nav.list").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    expect(page.locator(".runs li").last).to_have_attribute("aria-posinset", "1000")
    assert page.locator(".runs li").count() < 60
    page.keyboard.press("j")
    expect(page.locator("a.current")).to_have_attribute("data-run", whole.runs[0].run_id)
    expect(page.locator("a.current")).to_be_in_viewport()


def test_of_very_many_rows_those_that_did_not_pass_come_first(opened, samples):
    cases = [samples.case(number, f"scenario-{number}", "a") for number in range(120)]
    runs = tuple(samples.failing(case) if case.index % 50 == 49 else samples.run_of(case) for case in cases)
    plan = samples.Plan(suite="s", cases=tuple(cases), seed=1)
    page = opened(samples.replace(samples.hotel(), runs=runs, plan=plan))
    rows = page.locator(".matrix tbody tr")
    assert rows.count() == 40
    assert [rows.nth(number).locator("th").inner_text() for number in range(3)] == [
        "scenario-49", "scenario-99", "scenario-0",
    ]  # fmt: skip
    page.get_by_role("button", name="Show all 120 rows").click()
    assert rows.count() == 120
    assert rows.first.locator("th").inner_text() == "scenario-0"


def test_everything_that_can_be_pressed_has_a_name(opened, execution):
    for fragment in ("", "#/runs", f"#/run/{run_of(execution, 'fail').run_id}"):
        page = opened(execution, fragment)
        nameless = page.evaluate("""() => [...document.querySelectorAll("a, button, select, input, svg, [role=img]")]
            .filter((item) => !(item.getAttribute("aria-label") || item.textContent.trim() || item.alt || item.title))
            .map((item) => item.outerHTML)""")
        assert nameless == []
