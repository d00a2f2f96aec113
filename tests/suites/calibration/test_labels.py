"""Labels in files, as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.suites.calibration.labels import Label, label_value, labels_path, merged, read_labels, write_labels

ONE = Label(run="r-1", criterion="It is polite.", value="pass", rater="eva", note="fine")
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)
LABELS = st.builds(
    Label,
    run=TEXT.filter(lambda text: text and Path(text).name == text and not text.endswith((".json", ".jsonl"))),
    criterion=TEXT,
    value=st.sampled_from(["pass", "fail", "unsure"]),
    rater=TEXT,
    note=TEXT,
    decision=st.none() | st.sampled_from(["pass", "fail", "unsure"]),
    judge=TEXT,
)


@pytest.mark.parametrize(
    "text",
    [
        "run,criterion,label,rater,note\nr-1,It is polite.,pass,eva,fine\n",
        "\ufeffRun;Criterion;Label;Rater;Note\r\nr-1;It is polite.;PASS;eva;fine\r\n",
        "run_id\tcheck\tverdict\tannotator\tcomment\tother\nr-1\tIt is polite.\tyes\teva\tfine\tx\n",
        'note,rater,value,criterion,id\nfine,eva,1,"It is polite.",results/runs/r-1.json\n',
        "run,criterion,label,rater,note\nr-1,It is polite.,pass,eva,fine\nr-2,It is polite.,,,\n",
        '{"run": "r-1", "criterion": "It is polite.", "label": true, "rater": "eva", "note": "fine"}\n',
        '\n{"run": "r-1", "criterion": " It is polite. ", "label": 1, "rater": "eva", "note": "fine"}\n\n',
        '[{"run": "r-1", "criterion": "It is polite.", "label": "met", "rater": "eva", "note": "fine"}]',
        '{"run": "r-1", "criterion": "It is polite.", "label": "Pass ", "rater": "eva", "note": "fine", "x": null}',
    ],
)
@pytest.mark.parametrize("name", ["labels.csv", "labels.txt"])
def test_files_as_people_and_spreadsheets_write_them(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_labels(tmp_path / name) == [ONE]


@pytest.mark.parametrize(
    ("written", "value"),
    [("met", "pass"), (True, "pass"), (1.0, "pass"), ("NO", "fail"), (False, "fail"), (0, "fail"), ("not_met", "fail"),
     ("?", "unsure"), ("Inconclusive", "unsure"), ("7", None), (None, None), ([], None)],
)  # fmt: skip
def test_words_for_a_label(written: object, value: str | None) -> None:
    assert label_value(written) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "run,criterion,label\nr-1,x,perhaps so\n",
            "labels.csv:2: label: found 'perhaps so'; expected pass, fail or unsure",
        ),
        ("run,criterion,label\n,x,pass\n", "labels.csv:2: run: found nothing"),
        ("name,points\na,1\n", "found name, points; expected the columns run, criterion, label"),
        ("", "found no columns"),
        ('{"run": 1\n', "labels.csv:1: no JSON"),
        ('{"run": "a", "label": "pass"}\n[1]\n', "labels.csv:2: found [1]; expected an object"),
        ("[1]", "item 1: found 1; expected an object"),
        ('run,label\n"a,pass\n', "no CSV"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_labels(tmp_path / "labels.csv")
    assert said in str(caught.value)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("labels.csv", "missing.csv"):
        with pytest.raises(ConfigurationError, match=name):
            read_labels(tmp_path / name)


@settings(max_examples=25)
@given(labels=st.lists(LABELS, max_size=5))
def test_what_is_written_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, labels: list[Label]) -> None:
    path = tmp_path_factory.mktemp("labels") / "x.labels.jsonl"
    write_labels(path, labels)
    assert read_labels(path) == labels
    assert path.stat().st_mode & 0o077 == 0
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_newer_label_of_the_same_rater_counts() -> None:
    newer, other = (
        Label(run="r-1", criterion="It is polite.", value="fail", rater="eva"),
        Label(run="r-1", value="pass"),
    )
    assert merged([ONE, other], [newer]) == [newer, other]


def test_labels_lie_beside_the_results(tmp_path: Path) -> None:
    assert labels_path(tmp_path / "results") == tmp_path / "results.labels.jsonl"
