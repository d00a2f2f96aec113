"""The list of executions below a folder: it finds them, follows them, and lets nothing of others stop it."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
import sample_executions as samples

from duologue.runs.store.encoding import INDEX, LAUNCH
from duologue.runs.store.folder import ResultFolder, claimed, write_execution
from duologue.viewer.library import Library, cache_file
from duologue.viewer.live import watched
from duologue.viewer.tree import ROOT


def names(library):
    library.refresh()
    return [row["name"] for row in library.rows()]


def test_nested_folders_are_listed_with_the_newest_first(results):
    library = Library(results)
    assert names(library) == ["nightly/night-2", "nightly/night-1", "nightly/night-0"]
    row = library.rows()[1]
    assert (row["suite"], row["state"], row["exit"], row["commit"]) == ("harbour-hotel", "ended", 1, "c0ffee1")
    assert row["totals"]["failed"] == 2
    assert row["rate"]["value"] == pytest.approx(11 / 13)
    assert 0 < row["rate"]["low"] < row["rate"]["value"] < row["rate"]["high"] <= 1
    assert row["cost"] == pytest.approx(0.111)


def test_the_folder_may_be_an_execution_itself(results):
    library = Library(results / "nightly" / "night-0")
    assert names(library) == ["night-0"]
    assert library.rows()[0]["id"] == ROOT


def test_it_follows_what_comes_and_goes(results):
    library = Library(results)
    assert len(names(library)) == 3
    version = library.version
    library.refresh()
    assert library.version == version
    write_execution(samples.graded(), results / "deep" / "er" / "graded")
    assert "deep/er/graded" in names(library)
    shutil.rmtree(results / "nightly" / "night-0")
    assert names(library) == ["nightly/night-2", "nightly/night-1", "deep/er/graded"]
    assert library.version > version


def test_an_execution_that_is_written_again_is_read_again(results):
    library = Library(results)
    names(library)
    changed = samples.replace(samples.hotel(), id="exec_1", suite="another", started_at=samples.STARTED)
    write_execution(changed, results / "nightly" / "night-1")
    library.refresh()
    assert {row["suite"] for row in library.rows()} == {"another", "harbour-hotel"}


FOREIGN = {
    "index of others": {"index.json": '{"a": 1}'},
    "list": {"index.json": "[1, 2]"},
    "no JSON": {"index.json": "{"},
    "launch of an editor": {"launch.json": '{"version": "0.2.0", "configurations": []}'},
    "nothing": {"index.json": ""},
    "other lines": {"data.jsonl": '{"a": 1}\n'},
    "deep JSON": {"index.json": "[" * 100_000},
    "numbers": {"index.json": '{"schema_version": 1, "plan": 3, "runs": 4}'},
    "no Unicode": {"index.json": b"\xff\xfe\x00"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_folders_of_others_are_passed_over_and_left_alone(results, kind):
    other = results / "other"
    other.mkdir()
    for name, content in FOREIGN[kind].items():
        (other / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted((path, path.stat().st_mtime_ns) for path in results.rglob("*"))
    library = Library(results, cache_file(results))
    assert len(names(library)) == 3
    library._save()
    assert sorted((path, path.stat().st_mtime_ns) for path in results.rglob("*")) == before


def torn(folder, size):
    path = folder / INDEX
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_an_index_that_is_torn_is_listed_with_the_reason(results, size):
    torn(results / "nightly" / "night-2", size)
    library = Library(results)
    library.refresh()
    rows = {row["name"]: row for row in library.rows()}
    assert len(rows) == 3
    assert rows["nightly/night-2"]["state"] == "unreadable"
    assert "index.json" in rows["nightly/night-2"]["problem"]
    assert rows["nightly/night-1"]["state"] == "ended"


def begun(folder, runs=4):
    """An execution of which some runs are over; the observer that writes it."""
    hotel = samples.hotel()
    observer = ResultFolder(folder, suite=hotel.suite, path=hotel.path)
    observer.prepared(samples.replace(hotel, runs=()))
    observer.started(hotel.plan, hotel.id)
    for run in hotel.runs[:runs]:
        observer.run_finished(run)
    return observer, hotel


def test_an_execution_is_running_interrupted_and_over(results):
    folder = results / "live"
    library = Library(results)
    folder.mkdir()
    with claimed(folder):
        observer, hotel = begun(folder)
        library.refresh()
        row = next(row for row in library.rows() if row["name"] == "live")
        assert (row["state"], row["exit"], row["totals"]["runs"]) == ("running", None, 4)
    library.refresh()
    row = next(row for row in library.rows() if row["name"] == "live")
    assert (row["state"], row["exit"]) == ("interrupted", 130)
    with claimed(folder):
        for run in hotel.runs[4:]:
            observer.run_finished(run)
        observer.finished(hotel)
    library.refresh()
    row = next(row for row in library.rows() if row["name"] == "live")
    assert (row["state"], row["exit"], row["totals"]["runs"]) == ("ended", 1, 15)


def test_a_torn_file_of_a_run_is_left_out_and_named(results):
    folder = results / "live"
    folder.mkdir()
    begun(folder)
    path = next((folder / "runs").glob("*.json"))
    path.write_bytes(path.read_bytes()[:50])
    library = Library(results)
    library.refresh()
    opened = library.open("live")
    assert len(opened.overview.lines) == 3
    assert any(path.name in told for told in opened.data()["problems"])


def test_looking_never_keeps_an_execution_from_starting(results):
    folder = results / "live"
    folder.mkdir()
    begun(folder)
    library = Library(results)
    for _ in range(50):
        library.refresh()
        with claimed(folder):
            pass


def test_words_choose_executions(results):
    write_execution(samples.graded(), results / "graded")
    library = Library(results)
    library.refresh()
    assert [row["name"] for row in library.rows("C0FFEE1")] == ["nightly/night-1"]
    assert [row["name"] for row in library.rows("hotel graded")] == ["graded"]
    assert {row["name"] for row in library.rows(state="fail")} == {"nightly/night-1", "graded"}
    assert library.rows("nothing has this") == []


def test_the_list_is_kept_in_the_cache_and_nowhere_else(results, tmp_path, monkeypatch):
    monkeypatch.setenv("DUOLOGUE_CACHE_DIR", str(tmp_path / "cache"))
    path = cache_file(results)
    assert path.is_relative_to(tmp_path / "cache")
    library = Library(results, path)
    library.refresh()
    library._save()
    assert path.stat().st_mode & 0o077 == 0
    again = Library(results, path)
    monkeypatch.setattr(again, "_row", None)  # nothing is read again
    assert len(names(again)) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 0, "root": "", "rows": []}', "null"])
def test_a_broken_cache_is_no_cache(results, tmp_path, content):
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert len(names(Library(results, path))) == 3


WRONG = {
    "id": [[1], 5],
    "suite": [None, 5, ["a"]],
    "started_at": ["<b>yesterday", 5, None, "0001-01-01T00:00:00+23:00"],
    "seconds": ["long", float("nan"), float("inf")],
    "exit_code": ["0", 10**400],
    "totals": [[1], {"cases": "x"}],
    "rates": [[1], {"runs": {"value": "NaN"}}],
    "environment": [None],
    "spent": [1, {"total": {"cost": "x", "unpriced": 0, "input_tokens": 1, "output_tokens": 2}}],
}


def test_an_index_that_says_something_else_does_not_hide_the_others(results):
    index = json.loads((results / "nightly" / "night-1" / INDEX).read_text())
    wrong = [(name, value) for name, values in WRONG.items() for value in values]
    for number, (name, value) in enumerate(wrong):
        folder = results / "others" / f"{number}"
        (folder / "runs").mkdir(parents=True)
        (folder / INDEX).write_text(json.dumps({**index, name: value}))
    library = Library(results)
    assert set(names(library)) >= {f"nightly/night-{number}" for number in range(3)}
    rows = {row["name"]: row for row in library.rows()}
    assert len(rows) == 3 + len(wrong)
    for number, (name, _) in enumerate(wrong):
        row = rows[f"others/{number}"]
        assert row["state"] == "unreadable", (name, row)
        assert row["problem"].startswith("index.json, ")


@pytest.mark.parametrize(
    "name", ["@", "@@", b"\xff\xfe", "%2e%2e", "new\nline", "a#b?c&d", "back\\slash", " space ", "\u202etxt"]
)
def test_folders_of_any_name_are_opened_by_their_key(results, name):
    place = os.path.join(os.fsencode(results), name if isinstance(name, bytes) else name.encode())  # noqa: PTH118
    os.rename(results / "nightly" / "night-0", place)  # noqa: PTH104
    shutil.rmtree(results / "nightly")
    library = Library(results)
    library.refresh()
    [row] = library.rows()
    assert row["id"].encode().decode() == row["id"] != ROOT
    assert library.open(row["id"]).index["id"] == "exec_0"


def test_links_in_a_circle_are_not_followed(results):
    (results / "nightly" / "up").symlink_to(results, target_is_directory=True)
    assert len(names(Library(results))) == 3


def test_ten_thousand_folders_are_looked_at_quickly(tmp_path):
    source = tmp_path / "one"
    write_execution(samples.graded(), source)
    index = (source / INDEX).read_bytes()
    for number in range(10_000):
        folder = tmp_path / "all" / f"{number // 100:03}" / f"{number:05}"
        folder.mkdir(parents=True)
        (folder / LAUNCH).touch()
        (folder / INDEX).write_bytes(index)
        os.utime(folder, (1, 1))
    library = Library(tmp_path / "all")
    began = time.perf_counter()
    library.refresh()
    first = time.perf_counter()
    assert len(library.rows()) == 10_000
    listed = time.perf_counter()
    library.refresh()
    print(f"index {first - began:.1f} s, list {listed - first:.2f} s, look again {time.perf_counter() - listed:.2f} s")


def test_an_execution_that_the_list_notices_later_than_its_files_changes_again(tmp_path):
    results = tmp_path / "results"
    write_execution(samples.hotel(), results / "one")
    library = Library(results)
    library.refresh()
    look = watched(library, "one", None)
    (results / "one").rename(tmp_path / "away")
    library.refresh()
    gone = look()
    write_execution(samples.graded(), results / "one")
    not_in_the_list = look()
    assert not_in_the_list != gone
    library.refresh()
    assert look() != not_in_the_list
