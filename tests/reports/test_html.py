"""The web page without a browser: it asks nobody for anything, holds everything, and stays small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue import web
from duologue.reports.html import render_html, save_html
from duologue.reports.html.data import Media, page_data
from duologue.reports.html.overview import inside

LARGEST = 15_000_000


class Page(HTMLParser):
    """The elements of a page, and the text of some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements:
            self.texts.append((self.elements[-1][0], data))

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def digest(text):
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_the_page_needs_nothing_from_anywhere(execution):
    text = render_html(execution)
    page = Page(text)
    assert not page.named("link") + page.named("img") + page.named("iframe") + page.named("object")
    assert all("src" not in attributes and "href" not in attributes for _, attributes in page.elements)
    markup = text.replace("http://www.w3.org/2000/svg", "").replace("http://localhost:8080", "")
    assert not re.findall(r"https?://[\w.]+", markup)
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)  # those that begin with # are in the page itself


def test_the_policy_allows_just_this_style_and_this_script(execution):
    text = render_html(execution)
    [policy] = [item["content"] for item in Page(text).named("meta") if item.get("http-equiv")]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    assert policy == (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; img-src data:; "
        "media-src 'self' data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.findall(
        r"\bstyle=|\bon\w+=|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text.split('id="data"')[0]
    )
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", script)


def test_everything_about_a_run_is_on_the_page(execution):
    data = data_of(render_html(execution))
    assert [run["id"] for run in data["runs"]] == [run.run_id for run in execution.runs]
    [failed] = [run for run in data["runs"] if run["outcome"] == "fail" and run["persona"] == "hurried"]
    assert [message["text"] for message in failed["messages"]][3] == (
        "Room 204 looks out on the garden. It is € 99 if you decide now a night."
    )
    assert failed["messages"][1]["calls"][0]["name"] == "find_rooms"
    assert failed["messages"][3]["spent"] == [1, 420, 60, 0.0021, 0.8, 0]
    assert [item["status"] for item in failed["checks"]] == ["pass", "fail", "pass"]
    assert [(item["status"], item["cites"]) for item in failed["decisions"]] == [
        ("pass", ["m6"]),
        ("fail", ["m4", "m3"]),
    ]
    assert [item["kind"] for item in failed["findings"]] == ["check", "criterion", "guardrail"]
    assert failed["guardrails"][0]["type"] == "banned_words"
    assert failed["workflow"]["state"] == "booked"
    assert failed["tools"][0]["name"] == "find_rooms"
    assert failed["tags"] == ["area=booking", "tier=smoke"]
    assert [data["prompts"][number] for number in failed["prompts"]] == list(execution.runs[0].system_prompts)
    assert len(data["prompts"]) == 1
    assert data["missing"] == ["late-checkout · desk-mini · north · hour=23:00"]
    assert data["totals"]["failed"] == execution.totals.failed
    assert data["exit"] == execution.exit_code
    [broken] = [run for run in data["runs"] if run["outcome"] == "error"]
    assert broken["error"]["causes"] == ["TimeoutError: POST http://localhost:8080/chat"]
    assert data["agents"][0]["latency"] == {"count": 19, "p10": 0.4, "p50": 0.8, "p90": 1.3, "longest": 1.3} or (
        data["agents"][0]["latency"]["longest"] == 1.3
    )


def test_without_scripts_there_is_a_summary(execution, golden):
    text = render_html(execution)
    golden("summary.html", re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)[1] + "\n")


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_cannot_leave_its_place(samples, number):
    text = render_html(samples.hostile(samples.HOSTILE[number]))
    page = Page(text)
    assert page.named("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not page.named("img")
    assert len(page.named("title")) == 1
    assert text.count("<!--") == 0
    kept = data_of(text)["runs"][0]["messages"][0]["text"]
    assert kept == samples.HOSTILE[number].replace("\ud800", "\ufffd")


TURNING = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_nothing_turns_round_the_source_of_the_page(samples):
    said = f"a {TURNING}gnp.exe é \u202f\u2030 < \\u202e"
    text = render_html(samples.hostile(said))
    assert not set(TURNING) & set(text)
    assert data_of(text)["runs"][0]["messages"][0]["text"] == said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    said=st.text(
        alphabet=st.sampled_from(list("<>/!-scriptSCRIPT%\"'&;\u2028\u2029\u202e\x00 =\\")), min_size=1, max_size=30
    )
)
def test_no_text_can_leave_its_place(samples, said):
    text = render_html(samples.hostile(said))
    tags = [tag for tag, _ in Page(text).elements]
    assert tags.count("script") == 2
    assert tags[:7] == ["html", "head", "meta", "meta", "meta", "meta", "meta"]
    assert data_of(text)["runs"][0]["messages"][0]["text"] == said


def media_of(execution):
    return [item for run in data_of(render_html(execution))["runs"] for item in run.get("media", [])]


def test_small_pictures_and_sounds_are_part_of_the_page(execution, samples):
    picture, sound = media_of(execution)[:2]
    assert picture["src"] == f"data:image/png;base64,{samples.PIXEL}"
    assert sound["src"] == f"data:audio/wav;base64,{samples.WAV}"
    assert picture["href"] is None  # nobody said where the page will lie


def test_only_harmless_kinds_of_media_are_shown(samples):
    found = media_of(samples.hostile("<svg onload=alert(1)>"))
    assert [(item["src"], item["href"]) for item in found] == [(None, None), (None, None)]


def test_files_of_the_results_are_shown_or_linked(execution, samples, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "answer.wav").write_bytes(b"x" * 300_000)
    bare = samples.case(0, "s", "a")
    run = samples.picture_run(bare)
    silent = samples.replace(run, messages=())
    whole = samples.replace(execution, runs=(silent,), plan=samples.Plan(suite="s", cases=(bare,), seed=1))
    page = save_html(whole, tmp_path / "report.html", tmp_path).read_text("utf-8")
    _, sound = data_of(page)["runs"][0]["media"]
    assert (sound["src"], sound["href"]) == (None, "./media/answer.wav")
    (tmp_path / "media" / "answer.wav").write_bytes(b"RIFF")
    page = save_html(whole, tmp_path / "report.html", tmp_path).read_text("utf-8")
    assert data_of(page)["runs"][0]["media"][1]["src"] == "data:audio/wav;base64,UklGRg=="


@pytest.mark.parametrize("name", ["x.svg", "x.html", "x.xml", "x.svgz", "x.SVG", "x.xhtml", "x", "x.js", "x.png.svg"])
def test_files_that_a_browser_could_run_are_never_linked(execution, samples, tmp_path, name):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / name).write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    bare = samples.picture_run(samples.case(0, "s", "a"))
    media = tuple(samples.replace(item, path=f"media/{name}", thumbnail=None) for item in bare.media)
    silent = samples.replace(bare, messages=(), media=media)
    whole = samples.replace(execution, runs=(silent,), plan=samples.Plan(suite="s", cases=(silent.case,), seed=1))
    page = save_html(whole, tmp_path / "report.html", tmp_path).read_text("utf-8")
    assert {item["href"] for item in data_of(page)["runs"][0]["media"]} == {None}


def test_a_link_out_of_the_results_is_not_followed(execution, samples, tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    folder = tmp_path / "results"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "answer.wav").symlink_to(secret)
    silent = samples.replace(samples.picture_run(samples.case(0, "s", "a")), messages=())
    whole = samples.replace(execution, runs=(silent,), plan=samples.Plan(suite="s", cases=(silent.case,), seed=1))
    page = save_html(whole, folder / "report.html", folder).read_text("utf-8")
    sound = data_of(page)["runs"][0]["media"][1]
    assert (sound["src"], sound["href"]) == (None, None)


@pytest.mark.parametrize(
    "path", ["../x.png", "/etc/x.png", "a/../../x", "C:\\x", "javascript:alert(1)", "//host/x", "", None]
)
def test_paths_that_leave_the_results_are_refused(path):
    assert inside(path) is None


def test_media_fill_the_page_only_so_far(samples):
    url = f"data:image/png;base64,{'A' * 300_000}"
    cases = [samples.case(index, "s", f"a{index}") for index in range(40)]
    item = samples.MediaResult(type="image", mime_type="image/png", message_id="m1", part=0, thumbnail=url)
    runs = [samples.run_of(case, media=(item,)) for case in cases]
    whole = samples.replace(samples.hotel(), runs=tuple(runs), plan=samples.Plan(suite="s", cases=tuple(cases), seed=1))
    shown = [found["src"] for found in media_of(whole)]
    assert 0 < sum(src is not None for src in shown) < 25


def test_a_thousand_runs_fit_into_a_page_that_can_be_sent(samples):
    size = len(render_html(samples.many(1000)).encode())
    print(f"{size / 1e6:.1f} MB")
    assert size < LARGEST


def test_an_execution_without_runs_has_a_page(execution, samples):
    empty = samples.replace(execution, runs=(), thresholds={}, interrupted=True)
    data = data_of(render_html(empty))
    assert data["runs"] == []
    assert len(data["missing"]) == 16


@pytest.mark.parametrize(
    "details",
    [
        {"metrics": "none"},
        {"metrics": [1, None, {}], "weights": [], "score": "high", "threshold": None},
        {"metrics": [{"metric": "m", "score": "5", "message_ids": None}], "outcomes": {}, "tool_calls": [{}]},
    ],
)
def test_what_is_no_grading_does_not_break_the_page(samples, details):
    broken = samples.replace(samples.check("metrics", False, kind="pack_eval:metrics"), details=details)
    whole = samples.graded()
    run = samples.replace(whole.runs[0], checks=(broken,))
    data = json.loads(page_data(samples.replace(whole, runs=(run,), metrics_threshold=None), Media()))
    [found] = data["runs"][0]["checks"]
    if isinstance(details["metrics"], str):
        assert found["details"] == details
    else:
        assert found["grades"]["score"] is None
        assert all(grade["score"] is None for grade in found["grades"]["metrics"])


def test_style_and_scripts_can_be_read_by_a_person():
    paths = [path for path in (Path(web.__file__).parent / "static").iterdir() if path.suffix in {".js", ".css"}]
    assert len(paths) >= 10
    assert not [path.name for path in paths for line in path.read_text("utf-8").splitlines() if len(line) > 120]
