"""Files that are missing, huge, binary or strange are problems with a place."""

from __future__ import annotations

import os
import sys

import pytest

from duologue.config.problems import Problems, hint, listed, nearest, plain, report, shown
from duologue.config.yaml_reader import MAX_BYTES, read
from duologue.errors import Position, SuiteError


def told(path, **options):
    problems = Problems()
    value = read(path, problems, shown_as=path.name, **options)
    return value, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\x00", "f.yaml:1:1: this is not UTF-8 text: looks like UTF-16; save the file as UTF-8"),
        (b"a: 1\nb: \xe9", "f.yaml:2:4: this is not UTF-8 text: found the byte 0xe9"),
        (b"a: 1\nb: \x07", "f.yaml:2:4: found the control character U+0007"),
        (b"\x7fELF\x02\x01\x01\x00", "f.yaml:1:1: found the control character"),
        (b"", "f.yaml:1:1: the file is empty"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(tmp_path, content, message):
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    value, [problem] = told(path)
    assert value is None
    assert problem.startswith(message)


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    value, problems = told(path)
    assert plain(value) == {"a": 1, "b": 2}
    assert problems == []


def test_a_missing_file_is_the_mistake_of_who_names_it(tmp_path):
    (tmp_path / "order.yaml").write_text("a: 1")
    place = Position("suite.yaml", 3, 5, "spec.tools[0]")
    _, [problem] = told(tmp_path / "ordr.yaml", asked_by=place)
    assert problem == "suite.yaml:3:5: spec.tools[0]: there is no file 'ordr.yaml'; did you mean 'order.yaml'?"


def test_folders_pipes_and_huge_files_are_not_read(tmp_path):
    assert "is a folder; expected a file" in told(tmp_path)[1][0]
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert f"has {MAX_BYTES + 1:,} bytes" in told(huge)[1][0]
    assert "cannot be read" in told(tmp_path / ("x" * 300))[1][0]
    assert "cannot be read" in told(tmp_path / "a\0b")[1][0]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert "no ordinary file" in told(tmp_path / "pipe")[1][0]


def test_json_with_escapes_that_yaml_does_not_know_is_read(tmp_path):
    path = tmp_path / "pack.json"
    path.write_text('{"a": "\\ud83d\\ude00", "b": [1]}')
    value, problems = told(path)
    assert plain(value) == {"a": "😀", "b": [1]}
    assert problems == []
    assert value["b"].mark(0).field == "b[0]"
    path.write_text('{"a": NaN')
    assert told(path)[0] is None


def test_errors_are_raised_together_in_the_order_of_files_and_lines():
    problems = Problems()
    problems.error(Position("b.yaml", 9, 1, "x"), "late")
    problems.error(Position("a.yaml", 5, 1), "other file")
    problems.error(Position("b.yaml", 2, 1), "early")
    problems.error(Position("b.yaml", 2, 1), "early")
    problems.warning(Position("b.yaml", 1, 1), "only a warning")
    with pytest.raises(SuiteError) as caught:
        problems.raise_errors()
    assert str(caught.value) == "b.yaml:2:1: early\nb.yaml:9:1: x: late\na.yaml:5:1: other file"
    assert len(caught.value.problems) == 3
    assert len(report(list(problems) * 30).splitlines()) == 51


def test_nothing_is_raised_for_warnings():
    problems = Problems()
    problems.warning(Position("b.yaml", 1, 1), "only a warning")
    problems.raise_errors()
    assert str(next(iter(problems))) == "b.yaml:1:1: warning: only a warning"


def test_words_for_errors_are_short_and_name_what_is_similar():
    assert nearest("Modell", ["model", "prompt"]) == "; did you mean 'model'?"
    assert (nearest("zzz", ["model"]), hint("zzz", ["model"])) == ("", ".")
    assert listed([]) == "none"
    assert listed(map(str, range(20))).endswith("11 and 8 more")
    assert shown("x" * 100).endswith("…")
    assert [shown(value) for value in (None, True, 1.5, [], [1], {}, {"a": 1})] == [
        "nothing",
        "true (a boolean)",
        "1.5 (a number)",
        "an empty list",
        "a list of 1",
        "an empty mapping",
        "a mapping (a)",
    ]
