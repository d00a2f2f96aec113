"""The pages of the viewer in a real browser, by mouse and by keyboard, in light and dark, on a telephone."""

from __future__ import annotations

import re

import pytest
import sample_executions as samples
from made_nights import nightly
from pages import assert_shown_in_part, widest

from duologue.runs.store.folder import write_execution
from duologue.viewer.first_requests import first_requests

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.xdist_group("browser")

NIGHT = "/executions/nightly%2Fnight-1"


@pytest.fixture(scope="module")
def viewer(view, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    nightly(folder)
    write_execution(samples.graded(), folder / "graded")
    started = view(folder)
    started.listed(4)
    return started


def test_the_list_leads_to_an_execution_and_back(opened, viewer):
    page = opened(viewer.address)
    rows = page.locator(".executions > li")
    expect(rows).to_have_count(4)
    assert rows.first.locator(".pill").inner_text() == "? undecided"
    assert "100%" in rows.first.locator(".rate-cell").inner_text()
    assert "c0ffee2" in rows.first.inner_text()
    rows.nth(1).locator("a").click()
    expect(page.locator("h1")).to_have_text("harbour-hotel")
    assert page.url.endswith(NIGHT)
    assert page.title() == "harbour-hotel · Duologue"
    expect(page.locator(".changes")).to_contain_text("2 newly failing")
    page.go_back()
    expect(rows).to_have_count(4)


def test_an_address_opens_its_page(opened, viewer):
    runs = viewer.get("runs", id="nightly/night-1", filter="outcome=fail", limit=9)["runs"]
    page = opened(f"{viewer.address}{NIGHT}/run/{runs[0]['id']}/m4")
    expect(page.locator(".message.cited .id")).to_have_text("m4")
    page.goto(f"{viewer.address}{NIGHT}/runs?outcome=fail")
    expect(page.locator(".count")).to_contain_text("2 of 15 runs")
    page.goto(f"{viewer.address}/executions/none")
    expect(page.locator("h1")).to_have_text("Not found")
    expect(page.get_by_role("link", name="All executions")).to_have_attribute("href", "/")
    assert page.title() == "Not found · Duologue"
    page.goto(f"{viewer.address}/nothing/here")
    expect(page.locator("h1")).to_have_text("Not found")


@pytest.mark.parametrize(
    ("path", "waits_for", "names"),
    [
        ("/", ".executions a", ["executions"]),
        (NIGHT, "a.cell", ["execution"]),
        (f"{NIGHT}/runs", ".runs a", ["execution", "runs"]),
        (f"{NIGHT}/run/RUN", ".message", ["execution", "run", "runs"]),
        (f"{NIGHT}/run/RUN/m4", ".message.cited", ["execution", "run", "runs"]),
        (f"{NIGHT}/label", "#main", ["execution"]),
        (f"{NIGHT}/runs?outcome=fail", ".runs a", []),
        ("/executions/none", "h1", []),
    ],
)
def test_what_a_page_asks_for_first_is_asked_for_once_and_with_the_page(opened, viewer, path, waits_for, names):
    run = viewer.get("runs", id="nightly/night-1", limit=1)["runs"][0]["id"]
    address = viewer.address + path.replace("RUN", run)
    page = opened(f"{viewer.address}/nothing/here")
    asked = []
    page.on("request", lambda request: "/api/" in request.url and asked.append(request.url))
    page.goto(address)
    page.locator(waits_for).first.wait_for()
    foreseen = [link.get_attribute("href") for link in page.locator('link[rel="preload"]').all()]
    assert [link.removeprefix("/api/").partition("?")[0] for link in foreseen] == names
    counts = [sum(url == viewer.address + link for url in asked) for link in foreseen]
    assert counts == [1] * len(names)


def test_what_is_asked_for_first_is_written_as_a_browser_writes_it(opened, viewer):
    name = "".join(map(chr, range(32, 127))).replace("/", "") + "é漢😀\u0301"
    page = opened(f"{viewer.address}/nothing/here")
    path, query = page.evaluate("name => [encodeURIComponent(name), String(new URLSearchParams({ id: name }))]", name)
    assert first_requests(f"/executions/{path}", "", {name: 1}.get) == [f"/api/execution?{query}"]


def test_filters_and_search_stand_in_the_address(opened, viewer):
    page = opened(viewer.address)
    rows = page.locator(".executions > li")
    page.get_by_role("button", name="✗ failed").click()
    expect(rows).to_have_count(2)
    assert page.url.endswith("/?state=fail")
    page.keyboard.press("/")
    page.keyboard.type("c0ffee1")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    page.locator("#search").fill("nobody has this")
    page.get_by_text("No executions match.").wait_for()
    page.get_by_role("button", name="Clear the filters").click()
    expect(rows).to_have_count(4)


def test_keys_lead_through_everything(opened, viewer):
    page = opened(viewer.address)
    expect(page.locator(".executions > li")).to_have_count(4)
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator(".executions > li").first.locator("a")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".totals")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("main.run h1")).to_have_text("book-a-room · desk-large · hurried")
    page.keyboard.press("j")
    expect(page.locator("main.run h1")).to_have_text("book-a-room · desk-large · chatty")
    page.keyboard.press("/")
    page.keyboard.type("report-a-fault")
    expect(page.locator(".count")).to_contain_text("2 of 15")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    expect(page.locator(".totals")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("go through the runs")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("o")
    expect(page.locator(".executions > li")).to_have_count(4)


def test_two_executions_are_chosen_and_compared(opened, viewer):
    page = opened(viewer.address)
    boxes = page.locator(".executions input[type=checkbox]")
    boxes.nth(1).check()
    expect(page.get_by_text("Choose one more")).to_be_visible()
    boxes.nth(2).check()
    page.get_by_role("link", name="Compare the two chosen").click()
    expect(page.locator(".sides")).to_contain_text("exec_0")
    flips = page.locator("details.flip")
    expect(flips).to_have_count(2)
    flips.first.locator("summary").click()
    expect(flips.first.locator("table.pair")).to_contain_text("if you decide now")
    page.keyboard.press("x")
    expect(page.locator(".sides dl > div").first).to_contain_text("exec_1")


def test_a_suite_has_a_trend(opened, viewer):
    page = opened(f"{viewer.address}/suites/harbour-hotel")
    expect(page.locator("svg.trend .point")).to_have_count(4)
    expect(page.locator("svg.trend title").first).to_have_text("Pass rate of each execution, with its interval")
    page.locator("svg.trend .point").last.click()
    expect(page.locator(".totals")).to_be_visible()


def test_decisions_are_labelled_by_key(opened, viewer):
    page = opened(f"{viewer.address}{NIGHT}/label")
    status = page.get_by_role("status").filter(has_text="labelled")
    expect(status).to_contain_text("1 of 16, 0 labelled")
    page.keyboard.press("a")
    expect(status).to_contain_text("2 of 16, 1 labelled")
    page.keyboard.press("n")
    page.keyboard.type("because")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    expect(status).to_contain_text("3 of 16, 2 labelled")
    queue = viewer.get("labels", id="nightly/night-1")
    assert queue["items"][0]["label"] == queue["items"][0]["decision"]
    assert (queue["items"][1]["label"], queue["items"][1]["note"]) == ("fail", "because")
    page.reload()
    expect(status).to_contain_text("3 of 16, 2 labelled")
    page.keyboard.press("k")
    expect(page.locator("#note")).to_have_value("because")


def test_labels_of_others_appear_while_somebody_labels(opened, viewer):
    page = opened(f"{viewer.address}{NIGHT}/label")
    status, facts = page.get_by_role("status").filter(has_text="labelled"), page.locator("header.title .facts")
    here = status.inner_text().split()[1]
    page.keyboard.press("n")
    page.keyboard.type("half a no")
    item = viewer.get("labels", id="nightly/night-1")["items"][int(here) - 1]
    given = {"run": item["run"], "criterion": item["criterion"], "label": "fail", "rater": "grace", "note": "too late"}
    viewer.client.post(
        "/api/labels", params={"id": "nightly/night-1"}, json=given, headers={"Origin": viewer.address}
    ).raise_for_status()
    expect(facts).to_contain_text("grace 1")
    expect(page.get_by_text("Labelled by 1 other too")).to_be_visible()
    expect(page.locator("#note")).to_have_value("half a no")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(status).to_contain_text(f"{int(here) + 1} of 16")
    page.keyboard.press("k")
    expect(status).to_contain_text(f"{here} of 16")
    expect(page.locator(".others")).to_contain_text("too late")
    expect(page.locator("#note")).to_have_value("half a no")


def test_decisions_of_runs_that_end_meanwhile_appear_and_the_place_is_kept(opened, view, tmp_path):
    hotel, folder = samples.hotel(), tmp_path / "results" / "only"
    write_execution(samples.replace(hotel, runs=hotel.runs[:4]), folder)
    write_execution(hotel, tmp_path / "more")
    viewer = view(tmp_path / "results")
    viewer.listed(1)
    number = viewer.get("labels", id="only")["total"]
    page = opened(f"{viewer.address}/executions/only/label", interrupted=True)
    status = page.get_by_role("status").filter(has_text="labelled")
    expect(status).to_contain_text(f"1 of {number},")
    page.keyboard.press("j")
    expect(status).to_contain_text(f"2 of {number},")
    title = page.locator(".decision h2").inner_text()
    page.keyboard.press("n")
    page.keyboard.type("half a no")
    folder.rename(tmp_path / "away")
    (tmp_path / "more").rename(folder)
    expect(status).to_contain_text("of 16,")
    assert page.locator(".decision h2").inner_text() == title
    expect(page.locator("#note")).to_have_value("half a no")
    expect(page.locator("#note")).to_be_focused()


def test_the_label_page_says_why_nothing_was_kept(opened, view, tmp_path):
    write_execution(samples.hotel(), tmp_path / "only")
    viewer = view(tmp_path)
    viewer.listed(1)
    queue = viewer.get("labels", id="only")
    page = opened(f"{viewer.address}/executions/only/label", interrupted=True)
    status, said = page.get_by_role("status").filter(has_text="labelled"), page.get_by_role("alert")
    place = next(place for place, item in enumerate(queue["items"]) if item["decision"] == "unsure")
    expect(status).to_contain_text("1 of 16, 0 labelled")
    for number in range(place):
        page.keyboard.press("j")
        expect(status).to_contain_text(f"{number + 2} of 16")
    page.keyboard.press("d")
    expect(said).to_contain_text("Choose Met (p) or Not met (f)")
    page.route("**/api/labels*", lambda route: route.abort())
    page.keyboard.press("p")
    expect(said).to_contain_text("not saved. duologue view is not responding")
    expect(status).to_contain_text("0 labelled")
    page.unroute("**/api/labels*")
    page.keyboard.press("p")
    expect(status).to_contain_text("1 labelled")


def test_a_single_results_folder_can_be_browsed(opened, view, tmp_path):
    write_execution(samples.hotel(), tmp_path / "only")
    page = opened(view(tmp_path / "only").address)
    page.locator(".executions > li a").click()
    expect(page.locator(".totals")).to_be_visible()
    page.reload()
    page.locator("a.cell").first.click()
    expect(page.locator("main.run h1")).to_contain_text("book-a-room")
    page.reload()
    expect(page.locator("main.run h1")).to_contain_text("book-a-room")


def test_an_empty_folder_says_what_to_do(opened, view, tmp_path):
    page = opened(view(tmp_path).address)
    expect(page.locator(".empty-state")).to_contain_text("duologue run suite.yaml --out")


PAGES = ["/", NIGHT, f"{NIGHT}/runs", f"{NIGHT}/label", "/suites/harbour-hotel", "/executions/none",
         "/compare/nightly%2Fnight-0/nightly%2Fnight-1", "/executions/graded"]  # fmt: skip


def ready(page):
    expect(page.locator("#main").first).to_be_attached()
    page.locator("h1").first.wait_for(state="attached")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_a_rule_of_accessibility(opened, viewer, axe, scheme):
    page = opened(viewer.address, color_scheme=scheme)
    found = {}
    for path in [*PAGES, run_path(viewer)]:
        page.goto(viewer.address + path)
        found[path] = axe(ready(page))
    assert {path: problems for path, problems in found.items() if problems} == {}


def run_path(viewer):
    run = viewer.get("runs", id="nightly/night-1", filter="outcome=fail", limit=1)["runs"][0]
    return f"{NIGHT}/run/{run['id']}"


def test_every_page_fits_on_a_telephone(opened, viewer):
    page = opened(viewer.address, width=360, height=740)
    for path in [*PAGES, run_path(viewer)]:
        page.goto(viewer.address + path)
        assert widest(ready(page)) <= 360, path


def test_a_telephone_shows_that_something_is_not_there(opened, viewer):
    page = opened(f"{viewer.address}/executions/none", width=360, height=740)
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


def test_letters_of_a_chart_are_as_large_as_others(opened, viewer):
    page = opened(f"{viewer.address}{NIGHT}", width=3840, height=2160)
    for chart in page.locator("svg.chart").all():
        wide = chart.evaluate("chart => chart.getBoundingClientRect().width / chart.viewBox.baseVal.width")
        assert wide <= 1.01


def test_pages_that_nobody_sees_leave_their_connection_to_others(opened, viewer):
    page = opened(f"{viewer.address}{NIGHT}")
    expect(page.locator("h1")).to_have_text("harbour-hotel")
    hide = (
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.clock.install()
    for _ in range(7):  # a browser gives a host six connections
        page.evaluate(hide)
        page.clock.fast_forward(60_000)
        page = page.context.new_page()
        page.clock.install()
        page.goto(f"{viewer.address}{NIGHT}")
        expect(page.locator("h1")).to_have_text("harbour-hotel")


@pytest.mark.parametrize("number", [0, 1, 4, 5])
def test_hostile_text_does_nothing_and_hides_nothing(opened, view, tmp_path, number):
    said = samples.HOSTILE[number]
    write_execution(samples.hostile(said), tmp_path / "all" / "first")
    write_execution(
        samples.replace(samples.hostile(said), id="exec_2"), tmp_path / "all" / "<img src=x onerror=alert(1)>"
    )
    viewer = view(tmp_path / "all")
    viewer.listed(2)
    page = opened(viewer.address)
    expect(page.locator(".executions > li")).to_have_count(2)
    run = viewer.get("execution", id="first")["attention"][0]["run"]["id"]
    for path in ("/executions/first", f"/executions/first/run/{run}", "/executions/first/label"):
        page.goto(viewer.address + path)
        ready(page)
        for summary in page.locator("summary").all():
            summary.click()
        assert re.search(r"· Duologue$", page.title())
        assert page.locator("#app script, #app iframe, #app img, #app a[href^='javascript']").count() == 0
        assert not set("\x1b\x07\u202e\x00") & set(page.locator("body").inner_text())


@pytest.fixture(scope="module")
def endless(view, tmp_path_factory):
    folder = tmp_path_factory.mktemp("endless")
    for number, said in enumerate(samples.ENDLESS.values()):
        write_execution(samples.endless(said), folder / str(number))
    started = view(folder)
    started.listed(len(samples.ENDLESS))
    return started


@pytest.mark.parametrize("variant", samples.ENDLESS)
def test_texts_without_end_are_shown_in_part_and_can_be_had_whole(opened, endless, variant):
    said, key = samples.ENDLESS[variant], str(list(samples.ENDLESS).index(variant))
    failed, broken = (run["id"] for run in endless.get("runs", id=key)["runs"])
    page = opened(f"{endless.address}/executions/{key}/run/{failed}", permissions=["clipboard-read", "clipboard-write"])
    first = page.locator(".message.user")
    expect(first.get_by_role("button")).to_have_text([re.compile("Show (all|1,000,000 more)"), "Copy", "Download"])
    assert len(first.locator(".said").text_content()) < 60_000
    assert_shown_in_part(page, 1300)
    page.set_viewport_size({"width": 360, "height": 740})
    assert_shown_in_part(page, 360)
    for place in (".message.tool summary", ".prompt summary"):
        page.locator(place).first.click()
    assert_shown_in_part(page, 360)
    for place in (".message.tool", ".findings", "aside .checks"):
        assert page.locator(place).get_by_role("button", name="Download").count(), place
    first.get_by_role("button", name="Copy").click()
    expect(first.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == said
    with page.expect_download() as kept:
        page.locator(".message.tool").get_by_role("button", name="Download").click()
    assert kept.value.path().read_text("utf-8") == said
    page.goto(f"{endless.address}/executions/{key}/run/{broken}")
    page.locator(".findings").get_by_role("button", name="Show").first.wait_for()
    assert_shown_in_part(page, 360)
    page.goto(f"{endless.address}/executions/{key}")
    page.locator("a.cell").first.wait_for()
    assert_shown_in_part(page, 360)


def test_on_a_telephone_all_links_of_the_bar_are_seen(opened, viewer):
    page = opened(f"{viewer.address}{NIGHT}", width=360, height=740)
    page.locator("a.cell").first.wait_for()
    for link in page.locator(".bar nav a, .bar button").all():
        box = link.bounding_box()
        assert box["x"] >= 0, link.inner_text()
        assert box["x"] + box["width"] <= 360, link.inner_text()
    nav = page.locator(".bar nav").evaluate("nav => nav.scrollWidth - nav.clientWidth")
    assert nav <= 0
