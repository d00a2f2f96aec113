"""Labels: what people say of a run, or of one criterion of it. They are read from CSV and JSONL, and kept as JSONL.

Columns, or fields of a line: ``run`` (the id of the run), ``criterion`` (empty for the run as a whole), ``label``
(``pass``, ``fail`` or ``unsure``), ``rater`` and ``note``. A label that was given beside a decision keeps it as
``decision`` (in the same words) and the digest of its judge as ``judge``. Other columns are passed over.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Literal, cast

from duologue.config.files import read_file, write_atomic
from duologue.config.problems import similar_file
from duologue.errors import ConfigurationError
from duologue.frozen import frozen

LabelValue = Literal["pass", "fail", "unsure"]

SUFFIX = ".labels.jsonl"
"""What the name of the file with the labels of a results folder ends with."""
_LARGEST = 100_000_000
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "run": ("run", "run_id", "id"),
    "criterion": ("criterion", "check", "criteria"),
    "label": ("label", "value", "verdict", "human"),
    "rater": ("rater", "annotator", "labeler", "labeller", "user", "reviewer"),
    "note": ("note", "notes", "comment", "reason"),
    "decision": ("decision", "judged"),
    "judge": ("judge",),
    "at": ("at", "labelled_at", "created_at"),
}
_WORDS: Mapping[LabelValue, frozenset[str]] = {
    "pass": frozenset({"pass", "passed", "met", "true", "yes", "y", "1", "ok", "good", "success", "correct"}),
    "fail": frozenset(
        {"fail", "failed", "unmet", "not met", "false", "no", "n", "0", "bad", "failure", "incorrect", "wrong"}
    ),
    "unsure": frozenset(
        {"unsure", "undecided", "unknown", "inconclusive", "?", "maybe", "n/a", "na", "cannot tell", "skip"}
    ),
}


@frozen
class Label:
    """What one person says of a run, or of one criterion of it.

    Attributes:
        run: the id of the run.
        criterion: its text, or the name of a check that a model decides; '' for the run as a whole.
        value: whether it is met, or the run passes.
        rater: who says so.
        note: why, in their words.
        decision: what the judge had said; None where that was not kept.
        judge: the digest of that judge; '' where that was not kept.
        at: when, as ISO 8601; '' where that was not kept.
    """

    run: str
    criterion: str = ""
    value: LabelValue
    rater: str = ""
    note: str = ""
    decision: LabelValue | None = None
    judge: str = ""
    at: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What a label of the same rater replaces."""
        return self.run, self.criterion, self.rater

    def as_data(self) -> dict[str, Any]:
        """As plain data, as it is kept."""
        data: dict[str, Any] = {"run": self.run, "criterion": self.criterion, "label": self.value, "rater": self.rater}
        more = {"note": self.note, "decision": self.decision, "judge": self.judge, "at": self.at}
        return {**data, **{name: value for name, value in more.items() if value}}


def label_value(written: object) -> LabelValue | None:
    """The value that a word, number or truth value stands for; None if it stands for none."""
    text = str(written).strip().lower().replace("_", " ")
    text = text.removesuffix(".0")
    return next((value for value, words in _WORDS.items() if text in words), None)


def labels_path(folder: Path) -> Path:
    """The file that keeps the labels of a results folder: beside it, so that nothing in it changes."""
    folder = folder.absolute()
    return folder.with_name(folder.name + SUFFIX)


def read_labels(path: Path) -> list[Label]:
    """The labels of a file, CSV (also with tabs or semicolons) or JSONL, in the order in which they are written.

    A row without a label is passed over: somebody has not come to it yet.

    Raises:
        ConfigurationError: it cannot be read; the error names the line, what was found and what is expected.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist; expected labels as CSV or JSONL{similar_file(path)}")
    try:
        text = read_file(path, _LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as text in UTF-8: {error}") from error
    rows = _json_rows(path, text) if _is_json(path, text) else _table_rows(path, text)
    return [label for line, row in rows if (label := _label(f"{path}:{line}", row)) is not None]


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Write labels as JSONL, all of them at once: whoever reads the file sees the old ones or the new ones."""
    lines = [json.dumps(label.as_data(), ensure_ascii=False) for label in labels]
    write_atomic(path, "".join(f"{line}\n" for line in lines), permissions=0o600)


def merged(known: Iterable[Label], new: Iterable[Label]) -> list[Label]:
    """Both together; a newer label of the same rater takes the place of an older one."""
    found = {label.key: label for label in known}
    for label in new:
        found[label.key] = label
    return list(found.values())


def now() -> str:
    """This moment, for :attr:`Label.at`."""
    from duologue.context import SystemClock

    return datetime.fromtimestamp(SystemClock().now(), UTC).isoformat(timespec="seconds")


def _is_json(path: Path, text: str) -> bool:
    return path.suffix.lower() in {".jsonl", ".ndjson", ".json"} or text.lstrip().startswith(("{", "["))


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if text.lstrip().startswith("["):
        try:
            items: object = json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"{path} is no JSON: {error}") from error
        for number, item in enumerate(cast("list[object]", items), 1):
            yield number, _object(f"{path}: item {number}", item)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                item = json.loads(line)
            except ValueError as error:
                raise ConfigurationError(f"{path}:{number}: no JSON: {error}; expected an object a line") from error
            yield number, _object(f"{path}:{number}", item)


def _object(place: str, item: object) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise ConfigurationError(f"{place}: found {item!r}; expected an object with run, criterion and label")
    return cast("dict[str, Any]", item)


def _table_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = [str(name or "") for name in reader.fieldnames or ()]
        for wanted in ("run", "label"):
            if not any(name.strip().lower() in _COLUMNS[wanted] for name in names):
                found = ", ".join(filter(None, names)) or "no columns"
                raise ConfigurationError(
                    f"{path}: found {found}; expected the columns run, criterion, label, and perhaps rater and note"
                )
        for row in reader:
            yield reader.line_num, cast("Mapping[str, Any]", row)
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}: no CSV: {error}") from error


def _label(place: str, row: Mapping[str, Any]) -> Label | None:
    lower = {str(name).strip().lower(): value for name, value in row.items()}
    found = {name: next((lower[key] for key in keys if key in lower), None) for name, keys in _COLUMNS.items()}
    written = found["label"]
    if written is None or str(written).strip() == "":
        return None
    value = label_value(written)
    if value is None:
        raise ConfigurationError(f"{place}: label: found {written!r}; expected pass, fail or unsure")
    run = str(found["run"] if found["run"] is not None else "").strip()
    if not run:
        raise ConfigurationError(f"{place}: run: found nothing; expected the id of a run")
    decision = found["decision"]
    return Label(
        run=Path(run).name.removesuffix(".json").removesuffix(".jsonl"),
        criterion=_text(found["criterion"]),
        value=value,
        rater=_text(found["rater"]),
        note=_text(found["note"]),
        decision=None if decision in {None, ""} else label_value(decision),
        judge=_text(found["judge"]),
        at=_text(found["at"]),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
