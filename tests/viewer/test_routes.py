"""What the viewer answers, to whom, and what it never sends."""

from __future__ import annotations

import json

import pytest
import sample_executions as samples
from made_nights import nightly

from duologue.runs.store.folder import write_execution
from duologue.suites.calibration.labels import labels_path, read_labels

NIGHT = "nightly/night-1"


@pytest.fixture(scope="module")
def viewer(view, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    nightly(folder)
    started = view(folder)
    started.listed(3)
    return started


def test_an_execution_is_as_the_report_has_it(viewer):
    found = viewer.get("execution", id=NIGHT)
    assert (found["suite"], found["totals"]["failed"], found["exit"]) == ("harbour-hotel", 2, 1)
    assert [row["scenario"] for row in found["matrix"]["rows"]][:2] == ["book-a-room", "book-a-room"]
    assert found["attention"][0]["run"]["outcome"] == "fail"
    assert found["filters"]["persona"] == ["hurried", "chatty"]
    assert found["filters"]["tag"] == ["area=booking", "tier=smoke"]


def test_what_changed_since_the_last_one_is_told(viewer):
    change = viewer.get("change", id=NIGHT)
    assert change["before"]["name"] == "nightly/night-0"
    assert [cell["title"] for cell in change["failing"]] == [
        "book-a-room · desk-mini · hurried", "quote-a-price · desk-mini",
    ]  # fmt: skip
    assert change["counts"] == {"failing": 2, "fixed": 0, "still": 1}
    assert len(viewer.get("change", id="nightly/night-2")["fixed"]) == 2
    assert viewer.get("change", id="nightly/night-0") == {"before": None}


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        ("", 15),
        ("outcome=fail", 2),
        ("outcome=fail%2Cerror", 3),
        ("persona=hurried", 2),
        ("tag=area%3Dbooking", 15),
        ("q=report-a-fault", 2),
        ("q=GARDEN", 12),
        ("q=nobody+said+this", 0),
        ("agent=desk-mini&outcome=pass", 4),
    ],
)
def test_runs_are_filtered_as_in_the_report(viewer, filters, number):
    page = viewer.get("runs", id=NIGHT, filter=filters, limit=3)
    assert page["all"] == 15
    assert page["total"] == number
    assert len(page["runs"]) == min(3, page["total"])


def test_words_in_messages_are_shown_with_what_stands_around_them(viewer):
    page = viewer.get("runs", id=NIGHT, filter="q=ROOM++204&agent=desk-mini")
    assert page["searched"] == {"done": 7, "of": 7}
    hit = page["runs"][0]["hit"]
    assert (hit["message"], hit["before"], hit["found"]) == ("m4", "", "Room 204")
    assert hit["after"].startswith(" looks out on the garden.")
    assert "hit" not in viewer.get("runs", id=NIGHT)["runs"][0]
    assert "searched" not in viewer.get("runs", id=NIGHT)


def test_a_search_stops_in_time_and_goes_on_when_asked(viewer, monkeypatch):
    from duologue.reports.html import search
    from duologue.viewer import execution

    monkeypatch.setattr(execution, "SECONDS", 0.0)
    monkeypatch.setattr(search, "PART", 6)

    def looked(**more):
        return viewer.get("runs", id=NIGHT, filter="q=hh-2214", **more)

    assert looked()["searched"] == {"done": 6, "of": 15}
    assert looked(offset=3)["searched"] == {"done": 6, "of": 15}
    assert looked(further="true")["searched"] == {"done": 12, "of": 15}
    page = looked(further="true")
    assert page["searched"] == {"done": 15, "of": 15}
    assert page["total"] == len([run for run in page["runs"] if run["hit"]["found"] == "HH-2214"]) > 6


def test_a_run_is_found_in_the_list(viewer):
    runs = viewer.get("runs", id=NIGHT, limit=100)["runs"]
    page = viewer.get("runs", id=NIGHT, limit=5, around=runs[7]["id"])
    assert page["at"] == 7
    run = viewer.get("run", id=NIGHT, run=runs[7]["id"])
    assert run["title"] == runs[7]["title"]
    assert run["prompts"][0].startswith("You are")


def test_figures_are_those_of_the_report(viewer):
    from duologue.reports.html.data import agent_figures
    from duologue.runs.store.reader import read_execution

    expected = agent_figures(read_execution(viewer.folder / NIGHT))
    assert viewer.get("figures", id=NIGHT)["agents"] == json.loads(json.dumps(expected))


def test_two_executions_are_compared(viewer):
    found = viewer.get("compare", first="nightly/night-0", second=NIGHT)
    assert found["overall"]["worse"] + found["overall"]["undecided"] + found["overall"]["tied"] == len(found["cases"])
    assert [flip["second"]["outcome"] for flip in found["flips"]] == ["fail", "fail"]


def test_a_trend_begins_with_the_oldest(viewer):
    rows = viewer.get("trend", suite="harbour-hotel")["rows"]
    assert [row["name"] for row in rows] == ["nightly/night-0", "nightly/night-1", "nightly/night-2"]


def test_labels_are_those_of_the_command(viewer):
    queue = viewer.get("labels", id=NIGHT, rater="ada")
    item = queue["items"][0]
    origin = {"Origin": viewer.address}
    given = {"run": item["run"], "criterion": item["criterion"], "label": "fail", "rater": "ada", "note": "<b>no</b>"}
    answer = viewer.client.post("/api/labels", params={"id": NIGHT}, json=given, headers=origin)
    assert answer.status_code == 200
    [label] = read_labels(labels_path(viewer.folder / NIGHT))
    assert (label.run, label.value, label.rater, label.note) == (item["run"], "fail", "ada", "<b>no</b>")
    assert label.decision == item["decision"]
    queue = viewer.get("labels", id=NIGHT, rater="ada")
    assert (queue["labelled"], queue["items"][0]["label"]) == (1, "fail")
    assert viewer.get("labels", id=NIGHT, rater="grace")["labelled"] == 0
    viewer.client.post("/api/labels", params={"id": NIGHT}, json={**given, "label": None}, headers=origin)
    assert read_labels(labels_path(viewer.folder / NIGHT)) == []
    labels_path(viewer.folder / NIGHT).unlink()


@pytest.mark.parametrize(
    "given",
    [[], "x", {}, {"run": "../../x"}, {"run": "none", "label": "pass"}, {"run": None, "criterion": None, "label": 1}],
)
def test_what_is_no_label_is_refused(viewer, given):
    answer = viewer.client.post("/api/labels", params={"id": NIGHT}, json=given, headers={"Origin": viewer.address})
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert not labels_path(viewer.folder / NIGHT).exists()


def test_what_is_too_long_for_a_label_is_refused_before_it_is_read(viewer):
    pieces = (b"[" * 50_000 for _ in range(10_000))
    answer = viewer.client.post("/api/labels", params={"id": NIGHT}, content=pieces, headers={"Origin": viewer.address})
    assert answer.status_code == 422
    assert "longer than" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/api/executions", "/api/events", "/api/none", "/static/view.js"])
def test_head_is_answered_without_a_body(viewer, path):
    answer = viewer.client.head(path)
    assert answer.status_code in {200, 404}
    assert not answer.content
    assert viewer.client.get("/api/executions").is_success  # on the same connection


REFUSED = {
    "another name": {"Host": "evil.example"},
    "a name that leads here": {"Host": "localhost.evil.example:8643"},
    "another address": {"Host": "10.0.0.1:8643"},
    "no name": {"Host": ""},
    "a name behind an address": {"Host": "[::1].evil.example"},
    "a page of another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a hidden origin": {"Origin": "null"},
    "a script of another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "another port of this machine": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
}


@pytest.mark.parametrize("who", REFUSED)
def test_others_get_nothing(viewer, who):
    answer = viewer.client.get("/api/executions", headers=REFUSED[who])
    assert answer.status_code in {400, 403}
    assert "harbour" not in answer.text


def test_changes_come_from_pages_of_the_viewer_only(viewer):
    given = {"run": "x", "criterion": "", "label": "pass"}
    assert viewer.client.post("/api/labels", params={"id": NIGHT}, json=given).status_code == 403
    assert viewer.client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).is_success


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/executions/nightly%2Fnight-1",
        "/static/app.js",
        "/api/executions",
        "/api/none",
        "/static/none",
        "/%2e%2e/x",
    ],
)
def test_every_answer_has_its_policy(viewer, path):
    headers = viewer.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "key", ["", "..", "../nightly/night-1", "/etc", "nightly", "nightly/night-1/runs", "nightly/../nightly/night-1"]
)
def test_only_executions_of_the_list_are_opened(viewer, key):
    answer = viewer.client.get("/api/execution", params={"id": key})
    assert answer.status_code == 404


@pytest.mark.parametrize("run", ["", "..", "../launch", "../../night-0/runs/x", "/etc/passwd", "a\0b", "x" * 5000])
def test_only_runs_of_the_execution_are_read(viewer, run):
    assert viewer.client.get("/api/run", params={"id": NIGHT, "run": run}).status_code == 404
    assert viewer.client.get("/api/calls", params={"id": NIGHT, "run": run}).json() == []


def test_media_are_sent_if_they_are_harmless_and_inside(viewer, tmp_path):
    media = viewer.folder / NIGHT / "media"
    media.mkdir()
    (media / "answer.wav").write_bytes(b"RIFF0123456789")
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (media / "link.wav").symlink_to(tmp_path / "secret.wav")
    for name in ("x.svg", "x.html", "x.xml", "x.js"):
        (media / name).write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")

    def asked(path, **headers):
        return viewer.client.get("/api/media", params={"id": NIGHT, "path": path}, headers=headers)

    whole = asked("media/answer.wav")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/x-wav")
    assert "sandbox" in whole.headers["content-security-policy"]
    assert asked("media/answer.wav", Range="bytes=4-7").content == b"0123"
    for path in ("media/link.wav", "media/x.svg", "media/x.html", "media/x.xml", "media/x.js", "index.json", "../x.wav",
                 "/etc/passwd", "media/../index.json", "media/none.wav", "media"):  # fmt: skip
        assert asked(path).status_code == 404, path


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_is_data_and_nothing_else(view, tmp_path, number):
    folder = tmp_path / "hostile"
    write_execution(samples.hostile(samples.HOSTILE[number]), folder / "one")
    viewer = view(folder)
    viewer.listed(1)
    answer = viewer.client.get("/api/execution", params={"id": "one"})
    assert answer.headers["content-type"] == "application/json"
    run = viewer.get("run", id="one", run=answer.json()["attention"][0]["run"]["id"])
    assert run["messages"][0]["text"] == samples.HOSTILE[number].replace("\ud800", "\ufffd")


def test_a_port_that_is_taken_is_named(viewer):
    from duologue.errors import ConfigurationError
    from duologue.viewer.serving import PORT, listener

    port = int(viewer.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"--port: 127.0.0.1:{port} cannot be used"):
        listener(port).listen()
    with listener(None) as one:
        one.listen()
        with listener(None) as other:
            assert other.getsockname()[1] > one.getsockname()[1] >= PORT
            assert other.getsockname()[0] == "127.0.0.1"


def test_an_empty_folder_is_an_empty_list(view, tmp_path):
    viewer = view(tmp_path)
    assert viewer.listed(0) == []
